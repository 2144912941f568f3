"""Judges a contract by the last released one, and whether its version was raised as Semantic Versioning asks.

python -m fastapi_contract.changes.contract_diff openapi.yaml contracts CHANGELOG.md
"""

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

from fastapi_contract.changes.contract_changes import changes
from fastapi_contract.changes.operation_changes import Change
from fastapi_contract.changes.schema_changes import Verdict
from fastapi_contract.contract import Contract, ContractError
from fastapi_contract.openapi.document import Line

Version: TypeAlias = tuple[int, int, int]

_VERSION = re.compile(r"(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)")


def version_of(text: str) -> Version | None:
    """The parts of a version such as 1.10.0; None if it is none."""
    found = _VERSION.fullmatch(text)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def released(folder: Path) -> dict[Version, bytes]:
    """The released contracts: files such as `1.3.0.yaml`."""
    return {version: path.read_bytes() for path in folder.glob("*.yaml") if (version := version_of(path.stem))}


def lines(found: list[Change]) -> Iterator[str]:
    """A sentence for each change, also if it concerns several operations.

    openapi.yaml:366: listTasks / query limit: breaking: `maximum` was 100 and is 50. A request that was valid can be
    rejected.
    """
    same: dict[tuple[Line, str], list[str]] = {}
    for each in found:
        same.setdefault((each.line, f"{each.verdict.value}: {each.text}"), []).append(" / ".join(each.place))
    for (line, text), places in same.items():
        others = f" and {len(places) - 1} more" if len(places) > 1 else ""
        yield f"{line}: {places[0]}{others}: {text}"


def faults(
    contract: Contract, contracts: Mapping[Version, bytes], found: list[Change], changelog: str
) -> Iterator[str]:
    """What must be done before this contract can be released. `found` are the changes since the last of `contracts`."""
    written = contract.document["info"]["version"]
    at, version = contract.line("#/info/version"), version_of(written)
    if version is None:
        yield f"{at}: The version must be three numbers, such as 1.3.0."
        return
    if not re.search(rf"^## {re.escape(written)}$", changelog, re.MULTILINE):
        yield f"CHANGELOG.md has no section ## {written}: describe there what changes for clients."
    for each in found:
        if each.verdict is Verdict.FORBIDDEN:
            yield f"{each.line}: {' / '.join(each.place)}: {each.text}"
    if not contracts:
        return
    last = max(contracts)
    needed = _raised(last, found)
    if version in contracts and contract.source != contracts[version]:
        yield f"{at}: Version {written} is released and kept, and this contract differs: raise it to {_text(needed)}."
    elif version not in contracts and version < needed:
        worst = found[0].verdict.value if found else "no"
        yield f"{at}: There are {worst} changes since {_text(last)}: raise the version to {_text(needed)}."


def _raised(last: Version, found: list[Change]) -> Version:
    major, minor, patch = last
    verdicts = {each.verdict for each in found}
    if verdicts & {Verdict.FORBIDDEN, Verdict.BREAKING}:
        return major + 1, 0, 0
    return (major, minor + 1, 0) if Verdict.ADDITIVE in verdicts else (major, minor, patch + 1)


def _text(version: Version) -> str:
    return ".".join(map(str, version))


def main(path: str, folder: str, changelog: str) -> None:
    """Prints the changes, and exits with the faults if there are any."""
    try:
        contract, contracts = Contract.read(Path(path)), released(Path(folder))
        base = Contract.parse(contracts[max(contracts)]) if contracts else contract
        found = changes(base, contract)
    except ContractError as error:
        sys.exit(str(error))
    for line in [*lines(found)] or ["There are no changes since the last release."]:
        sys.stdout.write(f"{line}\n")
    if errors := [*faults(contract, contracts, found, Path(changelog).read_text())]:
        sys.exit("\n".join(errors))


if __name__ == "__main__":
    main(*sys.argv[1:])

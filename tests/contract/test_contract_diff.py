"""`make contract-diff` fails if the version was not raised as the changes ask, and passes for this repository."""

import subprocess
import sys
from pathlib import Path

import pytest

from fastapi_contract.changes.contract_changes import changes
from fastapi_contract.changes.contract_diff import faults, lines, released, version_of
from fastapi_contract.contract import Contract
from support import ROOT
from support.released import FOLDER

KEPT = released(FOLDER)
VERSION = "1.3.0"
RELEASED = KEPT[1, 3, 0]
"""A contract that stays as it is, for edits of its text."""


def edited(version: str, *replaced: tuple[str, str]) -> Contract:
    source = RELEASED.decode()
    for old, new in (*replaced, (f"  version: {VERSION}\n", f"  version: {version}\n")):
        assert old in source
        source = source.replace(old, new)
    return Contract.parse(source.encode())


def judged(contract: Contract, changelog: str | None = None) -> list[str]:
    found = changes(Contract.parse(RELEASED), contract)
    text = f"# Changelog\n\n## {contract.document['info']['version']}\n" if changelog is None else changelog
    return [each.split(": ", 1)[-1] for each in faults(contract, {(1, 3, 0): RELEASED}, found, text)]


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fastapi_contract.changes.contract_diff", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_working_contract_passes() -> None:
    result = run("openapi.yaml", "contracts", "CHANGELOG.md")
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_released_contract_is_named_after_its_version() -> None:
    for path in FOLDER.glob("*.yaml"):
        assert Contract.parse(path.read_bytes()).document["info"]["version"] == path.stem
        assert version_of(path.stem) is not None
        assert path.with_suffix(".ts").exists(), "the client of this version is missing"


Replaced = tuple[tuple[str, str], ...]
BREAKING: Replaced = (("operationId: getTask\n", "operationId: readTask\n"),)
_DAYS = "      deprecated: true\n      x-deprecated-at: 2026-01-31\n      x-sunset: 2999-01-31\n"
ADDITIVE: Replaced = (("summary: Get a task\n", f"summary: Get a task\n{_DAYS}"),)
NEUTRAL: Replaced = (("summary: Get a task", "summary: Read a task"),)


@pytest.mark.parametrize(
    ("version", "edit", "needed"),
    [
        pytest.param("1.4.0", BREAKING, "2.0.0", id="minor for a breaking change"),
        pytest.param("2.0.0", BREAKING, None, id="major for a breaking change"),
        pytest.param("1.3.1", ADDITIVE, "1.4.0", id="patch for an additive one"),
        pytest.param("1.4.0", ADDITIVE, None, id="minor for an additive one"),
        pytest.param("1.5.0", ADDITIVE, None, id="higher minor than needed"),
        pytest.param("1.3.1", NEUTRAL, None, id="patch for a text"),
        pytest.param("0.9.0", NEUTRAL, "1.3.1", id="older version"),
        pytest.param("1.3.1", (), None, id="version alone"),
    ],
)
def test_version_must_be_raised_as_the_changes_ask(version: str, edit: Replaced, needed: str | None) -> None:
    found = judged(edited(version, *edit))
    if needed is None:
        assert found == []
    else:
        assert len(found) == 1
        assert found[0].endswith(f"raise the version to {needed}.")


@pytest.mark.parametrize(
    ("edit", "needed"),
    [
        pytest.param(BREAKING, "2.0.0", id="breaking"),
        pytest.param(NEUTRAL, "1.3.1", id="text"),
        pytest.param((("openapi: 3.1", "# Written by hand.\nopenapi: 3.1"),), "1.3.1", id="comment"),
    ],
)
def test_released_version_stays_as_it_is_byte_for_byte(edit: Replaced, needed: str) -> None:
    assert judged(edited(VERSION)) == []
    (fault,) = judged(edited(VERSION, *edit))
    assert fault == f"Version {VERSION} is released and kept, and this contract differs: raise it to {needed}."


def test_version_that_is_no_semantic_one_is_rejected() -> None:
    assert judged(edited("2026-11")) == ["The version must be three numbers, such as 1.3.0."]


@pytest.mark.parametrize("changelog", ["# Changelog\n", f"## {VERSION}.1\n", f"### {VERSION}\n"])
def test_changelog_must_have_a_section_for_the_version(changelog: str) -> None:
    (fault,) = judged(edited(VERSION), changelog)
    assert fault == "describe there what changes for clients."


def test_breaking_change_without_a_major_version_fails_with_a_sentence_and_its_line(tmp_path: Path) -> None:
    contract = edited(VERSION, *BREAKING)
    (tmp_path / "openapi.yaml").write_bytes(contract.source)
    (tmp_path / f"{VERSION}.yaml").write_bytes(RELEASED)
    result = run(tmp_path / "openapi.yaml", tmp_path, "CHANGELOG.md")
    assert result.returncode == 1
    line = contract.source.decode().splitlines().index("      operationId: readTask") + 1
    assert f"openapi.yaml:{line}: readTask: breaking: the operationId was getTask." in result.stdout
    assert "raise it to 2.0.0." in result.stderr


def test_contract_that_cannot_be_read_fails_with_its_fault(tmp_path: Path) -> None:
    (tmp_path / "openapi.yaml").write_text("openapi: 3.1.0\n")
    result = run(tmp_path / "openapi.yaml", "contracts", "CHANGELOG.md")
    assert result.returncode == 1
    assert "openapi.yaml cannot be served" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        pytest.param(
            "maximum: 100\n        default: 50",
            "maximum: 99\n        default: 50",
            "listTasks / query limit: breaking: `maximum` was 100 and is 99. A request that was valid can be rejected.",
            id="bound of a parameter",
        ),
        pytest.param(
            "required: [id, user_id, title, description, completed, created_at, updated_at]",
            "required: [id, user_id, title, description, completed, created_at]",
            "listTasks / 200 / items / items / updated_at and 4 more: breaking: is no longer required.",
            id="member of an answer",
        ),
        pytest.param(
            '            - type: "null"\n          default: null\n',
            '            - type: "null"\n',
            "openapi: neutral: only the notation changed, and no meaning.",
            id="default of null",
        ),
        pytest.param(
            "            - multiple_of\n",
            "            - multiple_of\n            - past\n",
            'getServiceInfo / 422 / errors / items / code and 8 more: additive: the value "past" is new.',
            id="value of an open list",
        ),
        pytest.param(
            "            - /problems/forbidden\n",
            "            - /problems/forbidden\n            - /problems/locked\n",
            'getServiceInfo / 414 / type and 58 more: breaking: the value "/problems/locked" is new.',
            id="value of a closed list",
        ),
    ],
)
def test_edit_of_this_contract_is_judged_once_for_all_operations(old: str, new: str, sentence: str) -> None:
    (line,) = lines(changes(Contract.parse(RELEASED), edited(VERSION, (old, new))))
    assert line.split(": ", 1)[1].startswith(sentence)


def test_line_is_that_of_the_change_in_the_working_contract() -> None:
    contract = edited(VERSION, ("maximum: 100\n        default: 50", "maximum: 99\n        default: 50"))
    (line,) = lines(changes(Contract.parse(RELEASED), contract))
    number = int(line.split(":")[1])
    assert contract.source.decode().splitlines()[number - 1] == "        maximum: 99"


def test_line_of_a_change_is_that_of_its_file(tmp_path: Path) -> None:
    limit = "        type: integer\n        minimum: 1\n        maximum: 100\n        default: 50\n"
    source = RELEASED.decode()
    assert source.count(limit) == 1
    (tmp_path / "openapi.yaml").write_text(source.replace(limit, "        $ref: limit.yaml\n"))
    (tmp_path / "limit.yaml").write_text("type: integer\nminimum: 1\nmaximum: 99\ndefault: 50\n")
    (tmp_path / f"{VERSION}.yaml").write_bytes(RELEASED)
    result = run(tmp_path / "openapi.yaml", tmp_path, "CHANGELOG.md")
    assert "limit.yaml:3: listTasks / query limit: breaking: `maximum` was 100 and is 99." in result.stdout

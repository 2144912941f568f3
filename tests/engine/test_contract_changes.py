"""Each edit of a contract is judged as a person has judged it, with a sentence for each change and for nothing else."""

import copy
from typing import Any

import pytest
import yaml

from fastapi_contract.changes.contract_changes import changes
from fastapi_contract.changes.contract_diff import lines
from fastapi_contract.contract import Contract
from support import ROOT

_FILE = yaml.safe_load((ROOT / "tests/engine/contract_changes.yaml").read_bytes())
_DOCUMENT = _FILE.pop("contract")
EDITS = [(f"{group}, {edit['title']}", edit) for group, edits in _FILE.items() for edit in edits]


def parsed(document: dict[str, Any]) -> Contract:
    return Contract.parse(yaml.safe_dump(document, sort_keys=False).encode())


def edited(document: dict[str, Any], edit: dict[str, Any]) -> dict[str, Any]:
    document = copy.deepcopy(document)
    for path, name in edit.get("rename", {}).items():
        node, key = _parent(document, path)
        # The order of a map's members can have a meaning.
        members = {name if each == key else each: value for each, value in node.items()}
        node.clear()
        node.update(members)
    for path, value in edit.get("set", {}).items():
        node, key = _parent(document, path)
        if isinstance(node, list) and int(key) == len(node):
            node.append(value)
        elif value == "REMOVED":
            del node[key]
        else:
            node[int(key) if isinstance(node, list) else key] = value
    for path in edit.get("remove", ()):
        node, key = _parent(document, path)
        del node[int(key) if isinstance(node, list) else key]
    return document


def _parent(document: Any, path: str) -> tuple[Any, str]:
    *parents, key = path.split()
    for parent in parents:
        document = document[int(parent) if isinstance(document, list) else parent]
    return document, key


def test_table_has_more_than_60_edits_with_different_titles() -> None:
    assert len({title for title, _ in EDITS}) == len(EDITS) > 60


@pytest.mark.parametrize("edit", [pytest.param(edit, id=title) for title, edit in EDITS])
def test_edit_is_judged_as_written_down(edit: dict[str, Any]) -> None:
    base = edited(_DOCUMENT, {"set": edit.get("base", {}), "remove": edit.get("without", ())})
    old, new = parsed(base), parsed(edited(base, edit))
    found = changes(old, new)
    assert (found[0].verdict.value if found else "none") == edit["verdict"], [*lines(found)]
    sentences = [line.split(": ", 1)[1] for line in lines(found)]
    unexpected = [line for line in sentences if not any(line.startswith(each) for each in edit["says"])]
    missing = [each for each in edit["says"] if not any(line.startswith(each) for line in sentences)]
    assert (unexpected, missing) == ([], [])

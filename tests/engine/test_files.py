"""A contract of several files: what a `$ref` may lead to, and how the files become one document."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fastapi_contract.contract import Contract, InvalidContractError
from fastapi_contract.openapi.bundle import dump
from fastapi_contract.openapi.document import read
from support import ROOT

MAIN = """openapi: 3.1.0
info: {title: Files, version: "1"}
paths:
  /values:
    get:
      operationId: getValue
      responses:
        "200": {description: Value., content: {application/json: {schema: {$ref: "%s"}}}}
"""
TEXT = {"type": "string"}


def contract(folder: Path, ref: str, files: Mapping[str, Any], more: str = "") -> Contract:
    """A contract whose only answer is a `$ref`, beside other files."""
    (folder / "openapi.yaml").write_text(MAIN % ref + more)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return Contract.read(folder / "openapi.yaml")


def faults(folder: Path, ref: str, files: Mapping[str, Any], more: str = "") -> list[str]:
    with pytest.raises(InvalidContractError) as raised:
        contract(folder, ref, files, more)
    return raised.value.differences


def schemas(found: Contract) -> dict[str, Any]:
    named: dict[str, Any] = found.document["components"]["schemas"]
    return named


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for name, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from [each] if name == "$ref" and isinstance(each, str) else references(each)


@pytest.mark.parametrize(
    ("ref", "file", "content", "name"),
    [
        pytest.param("task-list.yaml", "task-list.yaml", TEXT, "TaskList", id="file"),
        pytest.param("./schemas/task.yaml", "schemas/task.yaml", TEXT, "Task", id="file in a folder"),
        pytest.param("schemas/../task.yaml#", "task.yaml", TEXT, "Task", id="folder and back"),
        pytest.param("all.json#/$defs/Task", "all.json", '{"$defs": {"Task": {"type": "string"}}}', "Task", id="JSON"),
        pytest.param("a%20b.yaml#/t%C3%A4sk/Task", "a b.yaml", {"täsk": {"Task": TEXT}}, "Task", id="percent-encoded"),
        pytest.param("all.yaml#/a~1b~0c", "all.yaml", {"a/b~c": TEXT}, "ABC", id="~0 and ~1"),
        pytest.param("all.yaml#/list/0/Task", "all.yaml", {"list": [{"Task": TEXT}]}, "Task", id="item of a list"),
        pytest.param("all.yaml#/Alias", "all.yaml", {"Alias": {"$ref": "#/Task"}, "Task": TEXT}, "Task", id="chain"),
    ],
)
def test_reference_into_a_file_becomes_a_component(
    ref: str, file: str, content: Any, name: str, tmp_path: Path
) -> None:
    found = contract(tmp_path, ref, {file: content})
    assert schemas(found) == {name: TEXT}
    assert list(references(found.document)) == [f"#/components/schemas/{name}"]
    assert read(found.source).root == found.document


def test_component_that_is_only_a_reference_keeps_its_name(tmp_path: Path) -> None:
    """The usual way to divide a contract, in which both have the same name."""
    more = 'components: {schemas: {Task: {$ref: "schemas/task.yaml"}, Other: {$ref: "schemas/task.yaml"}}}'
    files = {
        "schemas/task.yaml": {
            "type": "object",
            "properties": {"parent": {"$ref": "../openapi.yaml#/components/schemas/Task"}},
        }
    }
    found = schemas(contract(tmp_path, "schemas/task.yaml", files, more))
    assert found["Task"] == {"type": "object", "properties": {"parent": {"$ref": "#/components/schemas/Task"}}}
    assert found["Other"] == {"$ref": "#/components/schemas/Task"}


def test_files_may_refer_to_one_another_in_circles(tmp_path: Path) -> None:
    files = {
        "a/first.yaml": {"type": "object", "properties": {"b": {"$ref": "../b/second.yaml"}, "a": {"$ref": "#"}}},
        "b/second.yaml": {"type": "object", "properties": {"a": {"$ref": "../a/first.yaml"}}},
    }
    assert schemas(contract(tmp_path, "a/first.yaml", files)) == {
        "First": {
            "type": "object",
            "properties": {"b": {"$ref": "#/components/schemas/Second"}, "a": {"$ref": "#/components/schemas/First"}},
        },
        "Second": {"type": "object", "properties": {"a": {"$ref": "#/components/schemas/First"}}},
    }


def test_only_references_are_followed(tmp_path: Path) -> None:
    """A value, an extension and a member named `$ref` are none."""
    values = {"default": {"$ref": "no.yaml"}, "x-more": {"$ref": "no.yaml"}, "examples": [{"$ref": "no.yaml"}]}
    named = {"type": "object", "properties": {"$ref": {"type": "string"}}, **values}
    assert schemas(contract(tmp_path, "all.yaml#/Task", {"all.yaml": {"Task": named}})) == {"Task": named}


def test_mapping_of_a_discriminator_is_followed(tmp_path: Path) -> None:
    kind = {"type": "object", "required": ["kind"], "properties": {"kind": {"const": "cat"}}}
    union = {"oneOf": [{"$ref": "#/Cat"}], "discriminator": {"propertyName": "kind", "mapping": {"cat": "#/Cat"}}}
    found = schemas(contract(tmp_path, "all.yaml#/Pet", {"all.yaml": {"Pet": union, "Cat": kind}}))
    assert found["Pet"]["discriminator"]["mapping"] == {"cat": "#/components/schemas/Cat"}


def test_siblings_of_a_reference_stay(tmp_path: Path) -> None:
    files = {"all.yaml": {"Task": {"$ref": "#/Name", "maxLength": 5}, "Name": TEXT}}
    assert schemas(contract(tmp_path, "all.yaml#/Task", files)) == {
        "Task": {"$ref": "#/components/schemas/Name", "maxLength": 5},
        "Name": TEXT,
    }


NOWHERE = "which is not a file below the folder of the contract"


@pytest.mark.parametrize(
    ("ref", "fault"),
    [
        pytest.param("no.yaml", "but there is no file no.yaml", id="missing file"),
        pytest.param("schemas", "but there is no file schemas below", id="folder"),
        pytest.param("a%00b", "but there is no file a\0b below", id="NUL"),
        pytest.param("a" * 300, "but there is no file", id="name that is too long"),
        pytest.param("link.yaml", "but there is no file link.yaml below", id="link to a file outside"),
        pytest.param("../outside.yaml", NOWHERE, id="file outside"),
        pytest.param("schemas/%2e%2e/../outside.yaml", NOWHERE, id="encoded path to a file outside"),
        pytest.param("/etc/hostname", NOWHERE, id="absolute path"),
        pytest.param("http://127.0.0.1/a.yaml", NOWHERE, id="URL"),
        pytest.param("file:task.yaml", NOWHERE, id="URL of a file"),
        pytest.param("//host/a.yaml", NOWHERE, id="host"),
        pytest.param("http://[", NOWHERE, id="malformed URL"),
        pytest.param("schemas/task.yaml?a=1", NOWHERE, id="query"),
        pytest.param("schemas/task.yaml#/nothing", "but schemas/task.yaml has nothing there", id="pointer to nothing"),
        pytest.param("schemas/task.yaml#/enum/00", "but schemas/task.yaml has nothing there", id="index with a zero"),
        pytest.param("schemas/task.yaml#Task", "which is no JSON Pointer", id="anchor"),
    ],
)
def test_reference_that_leads_nowhere_is_rejected_with_its_line(ref: str, fault: str, tmp_path: Path) -> None:
    folder = tmp_path / "contract"
    folder.mkdir()
    (tmp_path / "outside.yaml").write_text("type: string")
    (folder / "link.yaml").symlink_to(tmp_path / "outside.yaml")
    [found] = faults(folder, ref, {"schemas/task.yaml": {"type": "string", "enum": ["a"]}})
    assert found.startswith(f"openapi.yaml:8: getValue refers to {ref}, {fault}"), found


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        pytest.param("type: string\nformat: phone", "2: schemas/Task uses the format phone", id="not supported"),
        pytest.param("type: text", "1: schemas/Task has `type` of the wrong type", id="malformed"),
        pytest.param("\ntype: string\ntype: string", "3: The key type appears twice", id="duplicate key"),
        pytest.param("type: string\n- a", "2: This is not YAML", id="no YAML"),
        pytest.param("- a", "1: schemas/Task has `Task` of the wrong type: a list", id="list"),
        pytest.param("", "1: schemas/Task has `Task` of the wrong type: null", id="empty file"),
        pytest.param(
            "items:\n  $ref: no.yaml", "2: schemas/Task refers to no.yaml, but there is no file", id="missing file"
        ),
        pytest.param(
            "$ref: '#/a'\na:\n  $ref: '#/a'", "3: schemas/A refers to #/components/schemas/A, which", id="circle"
        ),
    ],
)
def test_fault_in_another_file_is_reported_with_its_file_and_line(content: str, fault: str, tmp_path: Path) -> None:
    found = faults(tmp_path, "schemas/task.yaml", {"schemas/task.yaml": content})
    assert any(each.startswith(f"schemas/task.yaml:{fault}") for each in found), found


def test_two_references_of_one_name_are_rejected(tmp_path: Path) -> None:
    files = {"a.yaml": {"type": "array", "items": {"$ref": "b/a.yaml"}}, "b/a.yaml": TEXT}
    [fault] = faults(tmp_path, "a.yaml", files)
    text = "whose name in the served contract, schemas/A, is also that of a.yaml. Rename one."
    assert fault == f"a.yaml:2: schemas/A refers to b/a.yaml, {text}"


def test_malformed_components_are_reported_once_there_is_no_place_for_a_reference(tmp_path: Path) -> None:
    for components in ("[]", "{schemas: []}", "null"):
        found = faults(tmp_path, "a.yaml", {"a.yaml": TEXT}, f"components: {components}")
        assert any("of the wrong type" in each for each in found), found


def test_contract_of_one_file_is_served_as_it_is_written(tmp_path: Path) -> None:
    for source in (ROOT / "openapi.yaml", ROOT / "tests/engine/notes.yaml"):
        shutil.copy(source, tmp_path / "openapi.yaml")
        assert Contract.read(tmp_path / "openapi.yaml").source == source.read_bytes()


NOTATIONS = ["no", "10:30", "2026-12-31", "0o17", "1e3", "0x1f", ".5", "~", "<<", "=", "a: b", "- a", "a\nb\n", " a\n"]
TEXTS = st.text(st.characters(codec="utf-8")) | st.sampled_from(NOTATIONS)
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner)
)


@given(JSON)
def test_served_yaml_is_read_as_what_was_written(value: Any) -> None:
    assert read(dump(value)).root == value

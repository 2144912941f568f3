"""The contract is read as YAML 1.2, with the line of each value, and its references are followed."""

from typing import Any

import pytest

from fastapi_contract.openapi.document import UnreadableError, line_of, place_of, read, resolve, value_at
from support import ROOT


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("[no, off, y, de]", ["no", "off", "y", "de"], id="words that YAML 1.1 reads as booleans"),
        pytest.param("[true, False, TRUE]", [True, False, True], id="booleans"),
        pytest.param("[null, ~, Null, ]", [None, None, None], id="nulls"),
        pytest.param("[2026-12-31, 2026-12-31T10:30:00Z]", ["2026-12-31", "2026-12-31T10:30:00Z"], id="dates"),
        pytest.param("[10:30, 1_000, 0b1]", ["10:30", "1_000", "0b1"], id="numbers of YAML 1.1 only"),
        pytest.param("[0o17, 017, 0x1F, -5, +5]", [15, 17, 31, -5, 5], id="integers"),
        pytest.param("[1e3, .5, 1., -0.5]", [1000.0, 0.5, 1.0, -0.5], id="floats"),
        pytest.param("['5', \"true\", !!str 5]", ["5", "true", "5"], id="quoted"),
        pytest.param("!!int '5'", 5, id="tagged"),
        pytest.param("{200: a, 0o17: b, ~: c, no: d}", {"200": "a", "0o17": "b", "~": "c", "no": "d"}, id="keys"),
        pytest.param("a: &a [1]\nb: *a", {"a": [1], "b": [1]}, id="alias"),
        pytest.param("&a b: *a", {"b": "b"}, id="alias of a key"),
        pytest.param("# nothing", None, id="empty"),
    ],
)
def test_value_is_that_of_yaml_1_2(text: str, value: Any) -> None:
    document = read(text.encode())
    assert (document.root, document.faults) == (value, [])


@pytest.mark.parametrize(
    ("text", "line", "fault"),
    [
        pytest.param("a: 1\nb: 2\na: 3", 3, "The key a appears twice, first in line 1", id="duplicate key"),
        pytest.param("a: {b: 1,\n b: {c: 1}}", 2, "The key b appears twice", id="duplicate key in an object"),
        pytest.param("200: a\n'200': b", 2, "The key 200 appears twice", id="duplicate key written in two ways"),
        pytest.param("a: 1\n<<: {b: 1}", 2, "The merge key << is not part of YAML 1.2", id="merge key"),
        pytest.param("a: 1\n[b]: 1", 2, "A key must be text", id="list as key"),
        pytest.param("a:\n- .inf", 2, ".inf cannot be written in JSON", id="infinity"),
        pytest.param("a: 1e999", 1, "1e999 cannot be written in JSON", id="huge float"),
        pytest.param("a: " + "9" * 5000, 1, "cannot be written in JSON", id="huge integer"),
        pytest.param("a: !!timestamp 2026-12-31", 1, "The tag !!timestamp", id="tag of YAML 1.1"),
        pytest.param("a: !mine {}", 1, "The tag !mine", id="own tag"),
    ],
)
def test_fault_of_a_value_has_its_line(text: str, line: int, fault: str) -> None:
    [(found, sentence)] = read(text.encode()).faults
    assert found.number == line
    assert fault in sentence


def test_each_duplicate_key_is_reported() -> None:
    assert len(read(b"a: 1\na: 2\na: 3\nb: {c: 1, c: 2}").faults) == 3


def nested_aliases(levels: int, width: int) -> bytes:
    lists = [b"a%d: &a%d [%s]\n" % (n, n, b", ".join([b"*a%d" % (n - 1)] * width)) for n in range(1, levels + 1)]
    return b"a0: &a0 [x]\n" + b"".join(lists)


@pytest.mark.parametrize(
    ("source", "line", "message"),
    [
        pytest.param(b"a: 1\nb: c: d", 2, "not YAML: mapping values are not allowed", id="syntax"),
        pytest.param(b"a: 'b", 1, "not YAML: while scanning a quoted scalar", id="open quote"),
        pytest.param(b"a: 1\nb: \xff", 2, "not YAML: invalid leading UTF-8 octet", id="not UTF-8"),
        pytest.param(b"a: 1\n\nb: \x01", 3, "not YAML: control characters", id="control character"),
        pytest.param(b"a: 1\n---\nb: 1", 2, "second document", id="two documents"),
        pytest.param(b"a: 1\nb: &b [*b]", 2, r"alias \*b is part of the value", id="cyclic alias"),
        pytest.param(b"a: 1\nb: *b", 2, r"alias \*b has no anchor", id="alias without an anchor"),
        pytest.param(b"[" * 200, 1, "more than 100 levels", id="deep"),
        pytest.param(b"[" * 100_000, 1, "more than 100 levels", id="very deep"),
        pytest.param(nested_aliases(8, 9), 1, "more than 100000 values", id="aliases that multiply"),
        pytest.param(nested_aliases(200, 1), 1, "100 levels", id="aliases that nest"),
    ],
)
def test_unreadable_text_is_rejected_with_its_line(source: bytes, line: int, message: str) -> None:
    with pytest.raises(UnreadableError, match=message) as raised:
        read(source)
    assert raised.value.line.number == line


def test_line_is_that_of_the_key_or_item() -> None:
    lines = read(b"# first\na:\n  b:\n    - c\n    - d: 1\n").lines
    found = {pointer: line_of(lines, place_of(pointer)).number for pointer in ("", "/a", "/a/b", "/a/b/0", "/a/b/1/d")}
    assert found == {"": 2, "/a": 2, "/a/b": 3, "/a/b/0": 4, "/a/b/1/d": 5}


def test_line_of_a_missing_value_is_that_of_the_value_around_it() -> None:
    lines = read(b"a: &a\n  b: 1\nc: *a\n").lines
    assert line_of(lines, ("a", "x", "y")).number == 1
    assert line_of(lines, ("c", "b")).number == 3


DOCUMENT = {
    "a/b": {"c~d": {"value": 1}, "e f": {"value": 2}},
    "list": [{"value": 3}],
    "ref": {"$ref": "#/list/0", "description": "Beside."},
    "circle": {"$ref": "#/circle"},
    "circles": [{"$ref": "#/circles/1"}, {"$ref": "#/circles/0"}],
    "nowhere": {"$ref": "#/list/1"},
}


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        pytest.param("#/a~1b/c~0d", {"value": 1}, id="escaped"),
        pytest.param("#/a~1b/e%20f", {"value": 2}, id="percent-encoded"),
        pytest.param("#/a%7E1b/c~0d", {"value": 1}, id="percent-encoded escape"),
        pytest.param("#/list/0", {"value": 3}, id="item of a list"),
        pytest.param("#/ref", {"value": 3, "description": "Beside."}, id="reference to a reference"),
    ],
)
def test_reference_is_followed(pointer: str, value: Any) -> None:
    assert resolve(DOCUMENT, {"$ref": pointer}) == value


def test_field_beside_a_reference_replaces_that_of_its_target() -> None:
    assert resolve(DOCUMENT, {"$ref": "#/ref", "description": "Nearer."}) == {"value": 3, "description": "Nearer."}


def test_target_of_a_reference_is_not_copied() -> None:
    assert resolve(DOCUMENT, {"$ref": "#/list/0"}) is value_at(DOCUMENT, ("list", "0"))


@pytest.mark.parametrize(
    "pointer", ["#/circle", "#/circles/0", "#/nowhere", "#/list/x", "#/list/-1", "#/list/0/value/0"]
)
def test_reference_that_leads_nowhere_is_an_error(pointer: str) -> None:
    with pytest.raises(LookupError):
        resolve(DOCUMENT, {"$ref": pointer})


def test_contract_is_read_without_faults() -> None:
    document = read((ROOT / "openapi.yaml").read_bytes())
    assert document.faults == []
    assert document.root["paths"]["/health"]["get"]["operationId"] == "getHealth"

"""A schema that loses no value allows each value that the other one allows, whatever the two are."""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastapi_contract.changes.inclusion import Inclusion
from fastapi_contract.comparison.normal_form import NormalForm
from fastapi_contract.openapi.directions import Direction

_FEW = st.integers(0, 3)
_TEXTS = st.sampled_from(["", "a", "b", "ab", "aab"])
_TEXT = st.fixed_dictionaries(
    {"type": st.just("string")},
    optional={
        "minLength": _FEW,
        "maxLength": _FEW,
        "pattern": st.sampled_from(["^a", "b$"]),
        "enum": st.lists(_TEXTS, min_size=1),
    },
)
_NUMBER = st.fixed_dictionaries(
    {"type": st.sampled_from(["integer", "number"])},
    optional={
        **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), _FEW),
        "multipleOf": st.sampled_from([1, 2, 0.5]),
        "enum": st.lists(_FEW, min_size=1),
    },
)
_SCALAR = st.one_of(_TEXT, _NUMBER, st.sampled_from([{"type": "null"}, {"type": "boolean"}, {"const": True}, {}]))


def _composed(schemas: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    members = st.dictionaries(st.sampled_from("xy"), schemas, min_size=1)
    required = st.lists(st.sampled_from("xy"), unique=True)
    lists = st.fixed_dictionaries(
        {"type": st.just("array")},
        optional={"items": schemas, "minItems": _FEW, "maxItems": _FEW, "uniqueItems": st.booleans()},
    )
    objects = st.fixed_dictionaries(
        {"type": st.just("object"), "additionalProperties": st.just(value=False), "properties": members},
        optional={"required": required, "minProperties": _FEW, "maxProperties": _FEW},
    )
    maps = st.fixed_dictionaries(
        {"type": st.just("object"), "additionalProperties": schemas},
        optional={"required": required, "propertyNames": _TEXT, "maxProperties": _FEW},
    )
    unions = st.fixed_dictionaries({"anyOf": st.lists(schemas, min_size=1, max_size=3)})
    both = st.fixed_dictionaries({"allOf": st.lists(schemas, min_size=1, max_size=2)})
    return st.one_of(lists, objects, maps, unions, both)


SCHEMAS = st.recursive(_SCALAR, _composed, max_leaves=4)
_VALUE = st.one_of(_TEXTS, _FEW, st.sampled_from([None, True, False, 0.5, 1.5, 2.5]))
VALUES = st.recursive(
    _VALUE,
    lambda each: st.one_of(st.lists(each, max_size=3), st.dictionaries(st.sampled_from(["x", "y", "ab"]), each)),
    max_leaves=4,
)


def _nodes(schema: Any) -> Iterator[dict[str, Any] | list[Any]]:
    if isinstance(schema, dict | list):
        yield schema
        for each in schema.values() if isinstance(schema, dict) else schema:
            yield from _nodes(each)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Any, Any]:
    """A schema, and a copy in which a few keywords have another value or are removed."""
    schema = draw(SCHEMAS)
    edited = json.loads(json.dumps(schema))
    for _ in range(draw(st.integers(1, 2))):
        node = draw(st.sampled_from([*_nodes(edited)]))
        keys = [*node] if isinstance(node, dict) else [*range(len(node))]
        if not keys:
            continue
        key: Any = draw(st.sampled_from(keys))
        if isinstance(node[key], int) and not isinstance(node[key], bool) and key != "multipleOf":
            node[key] = draw(_FEW)
        elif isinstance(node, dict) and key not in {"type", "properties"}:
            del node[key]
    return schema, edited


# A person's edit of one keyword is the usual case; random pairs are almost always different in type.
@pytest.mark.parametrize("flip", [False, True], ids=["before the edit", "after the edit"])
@settings(max_examples=200, derandomize=True, database=None, deadline=None)
@given(pair=pairs(), values=st.lists(VALUES, min_size=10, max_size=10))
def test_value_of_a_schema_is_allowed_by_one_to_which_it_loses_nothing(
    pair: tuple[Any, Any], values: list[Any], *, flip: bool
) -> None:
    inner, outer = reversed(pair) if flip else pair
    if Inclusion(NormalForm({}), NormalForm({}), Direction.REQUEST, ()).of(inner, outer):
        return
    for value in values:
        if jsonschema_rs.is_valid(inner, value):
            assert jsonschema_rs.is_valid(outer, value), json.dumps([inner, outer, value])


@given(schema=SCHEMAS)
@settings(max_examples=200, derandomize=True, database=None, deadline=None)
def test_schema_loses_nothing_to_a_copy(schema: Any) -> None:
    copy = json.loads(json.dumps(schema))
    assert Inclusion(NormalForm({}), NormalForm({}), Direction.REQUEST, ()).of(schema, copy) == []


def test_schema_of_too_many_branches_is_compared_by_its_text() -> None:
    many = {"anyOf": [{"const": number} for number in range(200)]}
    fewer = {"anyOf": many["anyOf"][1:]}
    compared = Inclusion(NormalForm({}), NormalForm({}), Direction.REQUEST, ())
    assert compared.of(many, json.loads(json.dumps(many))) == []
    assert [loss.keyword for loss in compared.of(many, fewer)] == ["anyOf"]

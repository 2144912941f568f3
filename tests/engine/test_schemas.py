"""Errors of the contract's schemas: their code, limit and sentence, and their place in the body as it was sent."""

from typing import Any

import pytest
import yaml

from fastapi_contract.validation.schemas import Validator

DOCUMENT = yaml.safe_load("""
components:
  schemas:
    Title:
      {type: string, minLength: 1, maxLength: 5, pattern: "[a-z]", x-pattern-error: {code: blank}}
    Weekly:
      type: object
      required: [kind, day]
      additionalProperties: false
      properties: {kind: {const: weekly}, day: {type: integer, minimum: 1, maximum: 7}}
    Monthly:
      type: object
      required: [kind, day]
      additionalProperties: false
      properties: {kind: {const: monthly}, day: {type: integer, minimum: 1, maximum: 31}}
    Cat: {type: object, required: [pet], properties: {pet: {type: string}, purrs: {type: boolean}}}
    Dog: {type: object, required: [pet], properties: {pet: {type: string}, age: {type: integer}}}
    a/b~c: {type: integer, readOnly: true}
    Base: {type: object, required: [id], properties: {id: {$ref: "#/components/schemas/a~1b~0c"}}}
    Marked: {type: object, required: [id], properties: {size: {type: integer}}}
    Node:
      type: object
      required: [v]
      properties: {v: {type: integer}, next: {anyOf: [{$ref: "#/components/schemas/Node"}, {type: "null"}]}}
    Body:
      type: object
      additionalProperties: false
      minProperties: 1
      properties:
        title: {$ref: "#/components/schemas/Title"}
        short: {$ref: "#/components/schemas/Title", maxLength: 2}
        code: {type: string, pattern: "^[A-Z]+$"}
        colour: {type: string, pattern: "^#[0-9a-f]{6}$", x-pattern-error: {detail: "Must be a colour: #ff0000."}}
        repeat:
          oneOf: [{$ref: "#/components/schemas/Weekly"}, {$ref: "#/components/schemas/Monthly"}, {type: "null"}]
        pet:
          oneOf: [{$ref: "#/components/schemas/Cat"}, {$ref: "#/components/schemas/Dog"}]
          discriminator: {propertyName: pet, mapping: {cat: "#/components/schemas/Cat", dog: Dog}}
        untold: {oneOf: [{type: number}, {type: integer}]}
        either: {anyOf: [{type: string}, {type: integer}]}
        base: {allOf: [{$ref: "#/components/schemas/Base"}, {properties: {x: {type: string}}}], required: [id, x]}
        marked: {allOf: [{$ref: "#/components/schemas/Base"}, {$ref: "#/components/schemas/Marked"}]}
        node: {$ref: "#/components/schemas/Node"}
        created: {type: string, format: date-time, readOnly: true}
        day: {type: string, format: date}
        count: {type: [integer, "null"]}
        small: {type: integer, format: int32}
        ratio: {type: number, format: float, exclusiveMinimum: 0}
        step: {type: number, multipleOf: 0.5}
        level: {enum: [1, 2]}
        kind: {const: task}
        mixed: {enum: [low, 3, null]}
        labels: {type: array, items: {$ref: "#/components/schemas/Title"}, uniqueItems: true, minItems: 1, maxItems: 2}
        "0": {type: array, items: {type: boolean}}
        map: {type: object, propertyNames: {maxLength: 2}, additionalProperties: {type: integer}, maxProperties: 2}
""")
VALIDATOR = Validator(DOCUMENT, {"$ref": "#/components/schemas/Body"})
KNOWN = (
    "title, short, code, colour, repeat, pet, untold, either, base, marked, node, day, count, small, ratio, step, "
    "level, kind, mixed, labels, 0, map"
)
BIG = 2**63 - 1


@pytest.mark.parametrize(
    "body",
    [
        {"title": "a"}, {"title": "\U0001f600" * 4 + "a"}, {"repeat": None}, {"repeat": {"kind": "monthly", "day": 31}},
        {"pet": {"pet": "dog", "age": 3}}, {"either": 5}, {"base": {"x": ""}}, {"marked": {}}, {"marked": {"size": 1}},
        {"node": {"v": 1, "next": {"v": BIG, "next": None}}}, {"count": None}, {"count": -BIG - 1}, {"small": -(2**31)},
        {"ratio": 1}, {"step": 19.5}, {"level": 2}, {"mixed": None}, {"labels": ["a", "b"]}, {"map": {"a": 1}},
        {"0": []}, {"untold": 0.5},
    ],
    ids=str,
)  # fmt: skip
def test_right_body_has_no_errors(body: Any) -> None:
    assert VALIDATOR.is_valid(body)
    assert VALIDATOR.errors(body) == []


@pytest.mark.parametrize(
    ("body", "pointer", "code", "limit", "detail"),
    [
        (5, "#", "type", None, "Must be an object."),
        (None, "#", "type", None, "Must be an object."),
        ({}, "#", "too_few", 1, "Must have at least 1 member."),
        ({"zz": 1}, "#/zz", "unknown_member", None, f"Unknown member. Known members: {KNOWN}."),
        ({"title": ""}, "#/title", "too_short", 1, "Must have at least 1 character."),
        ({"title": "abcdef"}, "#/title", "too_long", 5, "Must have at most 5 characters."),
        ({"short": "abc"}, "#/short", "too_long", 2, "Must have at most 2 characters."),
        ({"title": "!"}, "#/title", "blank", None, "Must not be blank."),
        ({"title": None}, "#/title", "type", None, "Must be text."),
        ({"code": "a"}, "#/code", "pattern", None, "Is not in the required form."),
        ({"colour": "red"}, "#/colour", "pattern", None, "Must be a colour: #ff0000."),
        ({"repeat": {"kind": "weekly", "day": 9}}, "#/repeat/day", "too_large", 7, "Must be at most 7."),
        ({"repeat": {"kind": "x", "day": 9}}, "#/repeat/kind", "not_one_of", None, "Must be one of: weekly, monthly."),
        ({"repeat": {"day": 9}}, "#/repeat/kind", "required", None, "Is required."),
        ({"repeat": 5}, "#/repeat", "type", None, "Must be an object or null."),
        ({"pet": {"pet": "cat", "purrs": 1}}, "#/pet/purrs", "type", None, "Must be true or false."),
        ({"pet": {"pet": "Cat"}}, "#/pet/pet", "not_one_of", None, "Must be one of: cat, dog."),
        ({"pet": {"pet": ["cat"]}}, "#/pet/pet", "not_one_of", None, "Must be one of: cat, dog."),
        ({"pet": {}}, "#/pet/pet", "required", None, "Is required."),
        ({"pet": "cat"}, "#/pet", "type", None, "Must be an object."),
        (
            {"untold": 1}, "#/untold", "several_matches", None,
            "Must fit exactly one of the allowed forms, but fits several.",
        ),
        ({"either": True}, "#/either", "type", None, "Must be text or a whole number."),
        (
            {"base": {"x": "", "id": 1}}, "#/base/id", "read_only", None,
            "Must not be sent, because the service sets it.",
        ),
        ({"base": {}}, "#/base/x", "required", None, "Is required."),
        ({"marked": {"id": 1}}, "#/marked/id", "read_only", None, "Must not be sent, because the service sets it."),
        ({"created": "x"}, "#/created", "read_only", None, "Must not be sent, because the service sets it."),
        ({"node": {"v": 1, "next": {"v": "a"}}}, "#/node/next/v", "type", None, "Must be a whole number."),
        ({"day": "2026-02-30"}, "#/day", "format", None, "Must be a date, such as 2026-12-31."),
        ({"day": 0}, "#/day", "type", None, "Must be text."),
        ({"count": "1"}, "#/count", "type", None, "Must be a whole number or null."),
        ({"count": 1.0}, "#/count", "type", None, "Must be a whole number or null."),
        ({"count": BIG + 1}, "#/count", "too_large", BIG, f"Must be at most {BIG}."),
        ({"count": -(10**4000)}, "#/count", "too_small", -BIG - 1, f"Must be at least {-BIG - 1}."),
        ({"small": 2**31}, "#/small", "too_large", 2**31 - 1, "Must be at most 2147483647."),
        ({"ratio": 0}, "#/ratio", "too_small", 0, "Must be greater than 0."),
        ({"ratio": 4e38}, "#/ratio", "too_large", 3.4028234663852886e38, "Must be at most 3.4028234663852886e+38."),
        ({"ratio": True}, "#/ratio", "type", None, "Must be a number."),
        ({"step": 0.3}, "#/step", "multiple_of", 0.5, "Must be a multiple of 0.5."),
        ({"level": 3}, "#/level", "not_one_of", None, "Must be one of: 1, 2."),
        ({"level": True}, "#/level", "not_one_of", None, "Must be one of: 1, 2."),
        ({"level": 1.0}, "#/level", "not_one_of", None, "Must be one of: 1, 2."),
        ({"kind": "x"}, "#/kind", "not_one_of", None, "Must be task."),
        ({"mixed": 4}, "#/mixed", "not_one_of", None, "Must be one of: low, 3, null."),
        ({"labels": []}, "#/labels", "too_few", 1, "Must have at least 1 item."),
        ({"labels": ["a", "b", "c"]}, "#/labels", "too_many", 2, "Must have at most 2 items."),
        ({"labels": ["a", "a"]}, "#/labels", "duplicate_items", None, "Must not have the same item twice."),
        ({"labels": ["a", ""]}, "#/labels/1", "too_short", 1, "Must have at least 1 character."),
        ({"0": [True, 1]}, "#/0/1", "type", None, "Must be true or false."),
        ({"map": {"a/~ b": 1}}, "#/map/a~1~0%20b", "too_long", 2,
         "The name of this member: Must have at most 2 characters."),
        ({"map": {"a": "x"}}, "#/map/a", "type", None, "Must be a whole number."),
        ({"map": {"a": 1, "b": 1, "c": 1}}, "#/map", "too_many", 2, "Must have at most 2 members."),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, dict) else "",
)  # fmt: skip
def test_wrong_body_has_one_error(body: Any, pointer: str, code: str, limit: float | None, detail: str) -> None:
    assert not VALIDATOR.is_valid(body)
    [error] = VALIDATOR.errors(body)
    bound = {} if limit is None else {"limit": limit}
    assert error.members() == {"code": code, "detail": detail, **bound, "pointer": pointer}


def test_error_of_a_parameter_has_its_name() -> None:
    validator = Validator(DOCUMENT, {"type": "array", "items": {"$ref": "#/components/schemas/Title"}})
    [error] = validator.errors(["", "!", "abcdef"], parameter="label")
    assert error.members() == {
        "code": "too_short",
        "detail": "Must have at least 1 character.",
        "limit": 1,
        "parameter": "label",
    }


def test_errors_are_reported_for_each_place() -> None:
    errors = VALIDATOR.errors({"title": "", "labels": ["", "!"], "x": 1, "node": {}})
    assert {(error.code, error.location["pointer"]) for error in errors} == {
        ("too_short", "#/title"),
        ("too_short", "#/labels/0"),
        ("blank", "#/labels/1"),
        ("unknown_member", "#/x"),
        ("required", "#/node/v"),
    }


def test_tag_without_a_mapping_is_the_schemas_own_value_or_its_name() -> None:
    branches = [{"$ref": "#/components/schemas/Weekly"}, {"$ref": "#/components/schemas/Monthly"}]
    own = Validator(DOCUMENT, {"oneOf": branches, "discriminator": {"propertyName": "kind"}})
    assert own.is_valid({"kind": "weekly", "day": 7})
    pets = [{"$ref": "#/components/schemas/Cat"}, {"$ref": "#/components/schemas/Dog"}]
    named = Validator(DOCUMENT, {"oneOf": pets, "discriminator": {"propertyName": "pet"}})
    assert named.is_valid({"pet": "Dog"})
    assert not named.is_valid({"pet": "dog"})

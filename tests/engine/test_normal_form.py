"""Each notation of a schema starts: its generated model is compared by what it means."""

import json
from types import ModuleType
from typing import Any

import pytest

from fastapi_contract.generation.generated import digest
from fastapi_contract.openapi.directions import Uses
from fastapi_contract.openapi.model_names import model_name
from support.generated import generate_models
from support.one_operation import AGED, content, differences, document, parsed, ref

NULLABLE = ["string", "null"]
MEMBERS: dict[str, Any] = {
    "nullable with a default of null": {"type": NULLABLE, "default": None},
    "nullable by anyOf": {"anyOf": [ref("Word"), {"type": "null"}], "default": None},
    "nullable by oneOf": {"oneOf": [{"type": "null"}, {"type": "integer", "minimum": 1}]},
    "nullable with another default": {"type": ["integer", "null"], "default": 5},
    "nullable enum": {"type": NULLABLE, "enum": ["a", "b", None]},
    "nullable enum by anyOf": {"anyOf": [{"enum": ["a", "b"]}, {"type": "null"}], "default": "a"},
    "enum without type": {"enum": ["b", "a"]},
    "enum of integers": {"type": "integer", "enum": [2, 1]},
    "enum of several types": {"enum": [1, "a"]},
    "const without type": {"const": 5},
    "const with type": {"type": "boolean", "const": True},
    "uniqueItems": {"type": "array", "items": {"type": "string"}, "uniqueItems": True, "default": []},
    "allOf around one": {"allOf": [ref("Leaf")], "description": "A leaf."},
    "allOf of two": {"allOf": [ref("Leaf"), AGED]},
    "map of inline values": {"type": "object", "additionalProperties": AGED},
    "map of references": {"type": "object", "additionalProperties": ref("Leaf")},
    "map with names": {"type": "object", "additionalProperties": AGED, "propertyNames": {"pattern": "^a"}},
    "readOnly": {"type": "string", "readOnly": True},
    "writeOnly": {"type": "string", "writeOnly": True},
    **{f"format {name}": {"type": "string", "format": name} for name in (
        "uri", "uri-reference", "ipv4", "ipv6", "hostname", "password", "email", "date", "date-time", "time", "uuid",
        "duration", "decimal", "byte",
    )},
    "format with a length": {"type": "string", "format": "date-time", "maxLength": 40, "pattern": "Z$"},
    "format int64": {"type": "integer", "format": "int64", "exclusiveMinimum": 0},
    "bounds of a number": {"type": "number", "multipleOf": 0.5, "exclusiveMaximum": 10},
    "several types": {"type": ["integer", "string"], "maximum": 5, "maxLength": 5},
    "union": {"oneOf": [ref("Leaf"), ref("Twig")]},
    "union with a discriminator": {
        "oneOf": [ref("Leaf"), ref("Twig")],
        "discriminator": {
            "propertyName": "kind",
            "mapping": {"leaf": "#/components/schemas/Leaf", "twig": "#/components/schemas/Twig"},
        },
    },
    "array with bounds": {"type": "array", "minItems": 1, "maxItems": 3, "items": ref("Word")},
    "multipleOf with a fraction": {"type": "number", "multipleOf": 0.01},
    "date with a default": {"type": "string", "format": "date", "default": "2026-12-31"},
    "dates with a default": {
        "type": "array", "items": {"type": "string", "format": "date"}, "default": ["2026-12-31"],
    },
    "inline object": {"type": "object", "additionalProperties": False, "properties": {"from": {"type": "string"}}},
    "free value": {},
    "free object": {"type": "object"},
    "siblings of a reference": {**ref("Word"), "description": "A word."},
}  # fmt: skip


def name_of(construct: str) -> str:
    return "".join(part.title() for part in construct.replace("-", " ").split())


def holder(member: Any, *, is_required: bool) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"member": member}}
    return {**schema, "required": ["member"]} if is_required else schema


HOLDERS = {
    f"{name_of(construct)}{'Required' if is_required else ''}": holder(member, is_required=is_required)
    for construct, member in MEMBERS.items()
    for is_required in (False, True)
}
RECURSIVE = {
    "Tree": {"type": "object", "properties": {"trees": {"type": "array", "items": ref("Tree")}, "parent": ref("Tree")}},
    "One": {"type": "object", "properties": {"other": ref("Other")}},
    "Other": {"type": "object", "properties": {"one": {"anyOf": [ref("One"), {"type": "null"}]}}},
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    folder = tmp_path_factory.mktemp("drift")
    contract = folder / "openapi.yaml"
    each = content({"anyOf": [ref(name) for name in (*HOLDERS, *RECURSIVE)]})
    operation = {"requestBody": {"required": True, **each}, "responses": {"200": {"description": "One.", **each}}}
    contract.write_text(json.dumps(document({**HOLDERS, **RECURSIVE}, operation)))
    return generate_models(contract, folder)


@pytest.mark.parametrize("freshness", ["fresh", "unknown", "stale"])
@pytest.mark.parametrize("name", [*HOLDERS, *RECURSIVE])
def test_generated_model_of_each_construct_does_not_differ(models: Any, name: str, freshness: str) -> None:
    operation = {"requestBody": {"required": True, **content(ref(name))}}
    operation["responses"] = {"200": {"description": "The same.", **content(ref(name))}}
    contract = parsed(document({**HOLDERS, **RECURSIVE}, operation))
    known = {"fresh": digest(contract.document), "unknown": None, "stale": "another"}[freshness]

    async def send(value: Any) -> Any: ...

    received = Uses(contract.document).twins.get(name, model_name(name))
    send.__annotations__ = {"value": getattr(models, received), "return": getattr(models, model_name(name))}
    found = differences(contract, models, send, known)
    # Stale models are compared strictly: only the keywords that they do not show are left out.
    stale = f"{models.__name__} is stale: it was generated from another openapi.yaml. Run ./codegen.sh."
    assert found == ([stale] if freshness == "stale" else [])

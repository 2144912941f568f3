"""Serializes models to JSON: with orjson (15 µs for 50 tasks) if its JSON is the same as pydantic's (54 µs)."""

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

import orjson
from pydantic import MISSING, BaseModel, TypeAdapter


def serializer(model: Any) -> Callable[[Any], bytes]:
    """Returns a function that serializes a value of the type `model`."""
    adapter = TypeAdapter(model)
    by_pydantic = partial(adapter.dump_json, by_alias=True)
    if _needs_pydantic(adapter.core_schema):
        return by_pydantic

    def serialize(value: Any) -> bytes:
        try:
            return orjson.dumps(value, default=_members, option=orjson.OPT_UTC_Z)
        except TypeError:
            # An integer has more than 64 bits.
            return by_pydantic(value)

    return serialize


def _needs_pydantic(schema: Mapping[str, Any]) -> bool:
    """Whether pydantic's JSON may differ from orjson's: renamed, converted, omitted or additional members.

    Unknown schema types count as different.
    """
    if schema["type"] not in _SAME_AS_ORJSON or any(map(schema.get, _PYDANTIC_ONLY)):
        return True
    if schema.get("config", {}).get("extra_fields_behavior") == "allow":
        return True
    parts = [schema[key] for key in ("schema", "items_schema") if key in schema]
    return any(map(_needs_pydantic, [*parts, *schema.get("fields", {}).values(), *schema.get("definitions", ())]))


# Types and keys of pydantic's core schema.
_SAME_AS_ORJSON = {
    "bool", "date", "datetime", "default", "definition-ref", "definitions", "int", "list", "literal",
    "missing-sentinel", "model", "model-field", "model-fields", "nullable", "str", "uuid",
}  # fmt: skip
_PYDANTIC_ONLY = (
    "serialization", "serialization_alias", "serialization_exclude", "serialization_exclude_if", "computed_fields",
    "root_model",
)  # fmt: skip


def _members(model: BaseModel) -> Mapping[str, Any]:
    members = model.__dict__
    if _has_optional_members(type(model)):
        return {name: value for name, value in members.items() if value is not MISSING}
    return members


@cache
def _has_optional_members(model: type[BaseModel]) -> bool:
    return any(field.default is MISSING for field in model.model_fields.values())

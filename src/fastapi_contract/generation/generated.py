"""The generated modules of a contract: which type belongs to a schema, and whether they are generated from it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType, ModuleType
from typing import Any, get_args, get_origin

from fastapi_contract.contract import Schema
from fastapi_contract.openapi.openapi_objects import values_in
from fastapi_contract.responses.answers import pascal_case, type_of

_NOT_GENERATED = frozenset(
    {"info", "servers", "security", "securitySchemes", "tags", "externalDocs", "links"}
    | {"summary", "description", "title", "example", "examples", "deprecated", "$comment"}
)
"""Fields that restrict no value, or that no generated model contains."""


def digest(document: Schema) -> str:
    """A digest of all that the generated types follow from, without descriptions and other annotations."""
    text = json.dumps(outline(document, "OpenAPI"), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def outline(value: Any, kind: str) -> Any:
    """A value of a contract without annotations; `kind` is that of the table OBJECTS."""
    if kind.startswith("[") and isinstance(value, list):
        return [outline(each, kind[1:-1]) for each in value]
    if not isinstance(value, dict) or kind == "any":
        return value
    if kind.startswith("{"):
        return {name: outline(each, kind[1:-1]) for name, each in value.items()}
    return {
        name: outline(each, field)
        for name, each, field in values_in(value, kind, ())
        if name not in _NOT_GENERATED and not name.startswith("x-")
    }


def expression(kind: Any, models: ModuleType, module: str = "models") -> str:
    """A type as it is written in code that imports the generated models as `module`: `list[models.Task]`."""
    if get_origin(kind) is list:
        return f"list[{expression(get_args(kind)[0], models, module)}]"
    name = getattr(kind, "__name__", str(kind))
    return f"{module}.{name}" if getattr(models, name, None) is kind else name


@dataclass(frozen=True)
class Generated:
    """The modules of the generated models and answers."""

    models: ModuleType
    answers: ModuleType | None

    def is_fresh(self, current: str) -> bool | None:
        """Whether they were generated from the contract with this digest; None if that is unknown, because there are
        no answers."""
        known = getattr(self.answers, "CONTRACT", None)
        return None if known is None else bool(known == current)

    def query_model(self, operation_id: str) -> Any:
        """The model of an operation's query parameters; None if there is none."""
        return getattr(self.models, f"{pascal_case(operation_id)}ParametersQuery", None)

    def type_of(
        self, schema: Mapping[str, Any], inline_name: str = "", twins: Mapping[str, str] = MappingProxyType({})
    ) -> Any:
        """The type of a schema as it is written in the contract; None if there is none: see `answers.type_of`."""
        return type_of(schema, self.models, inline_name, twins)

    def is_type_of(self, written: Any, schema: Mapping[str, Any]) -> bool:
        """Whether the type that a developer wrote is the generated one of a schema."""
        return written is not None and "$ref" in schema and written is self.type_of(schema)

"""Compares the contract with the code, and reports every difference in one error.

Both are reduced to the same form: the contract from its document, the code from the schema that FastAPI generates.
"""

import json
from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI

from fastapi_contract.contract import (
    Contract,
    ContractError,
    Schema,
    operations_of,
    parameters_of,
    security_of,
)
from fastapi_contract.document import resolve


def publish(app: FastAPI, contract: Contract) -> None:
    """Compares an app with the contract, and makes the contract the result of `app.openapi()`.

    Call it after all routers are included; contract_app does. Raises ContractError with every difference.

        app = FastAPI()
        app.include_router(router)
        publish(app, contract)
    """
    code = FastAPI.openapi(app)
    app.openapi_schema = None
    # What typed answers refer to is in the contract alone.
    schemas = code.setdefault("components", {}).setdefault("schemas", {})
    schemas |= {**contract.document.get("components", {}).get("schemas", {}), **schemas}
    expected = _surface(contract.document)
    for operation_id, each in expected.items():
        each["security"] = _required_schemes(contract, operation_id)
    differences = list(_differences(expected, _surface(code)))
    if differences:
        raise ContractError(differences)
    app.openapi = lambda: contract.document  # type: ignore[method-assign]


def _surface(document: Schema) -> dict[str, Schema]:
    """What clients can see of each operation, by operationId, in one form for the contract and FastAPI's schema."""
    return {
        str(spec.get("operationId")): {
            "method": method.upper(),
            "path": path,
            "parameters": {
                _parameter_name(parameter): {
                    "required": (required := parameter.get("required", False)),
                    "schema": _normalize(document, parameter["schema"], required=required),
                }
                for parameter in parameters_of(document, item, spec)
            },
            "body": _body(document, spec),
            "responses": {
                status: _content(document, resolve(document, response), required=True)
                for status, response in spec["responses"].items()
                if status.startswith("2")
            },
            # FastAPI names each scheme in an alternative of its own, although it requires all of them.
            "security": sorted(name for alternative in security_of(document, spec) for name in alternative),
        }
        for path, method, item, spec in operations_of(document)
    }


def _parameter_name(parameter: Schema) -> str:
    """The names of headers are compared without case (RFC 9110, section 5.1)."""
    name = parameter["name"].lower() if parameter["in"] == "header" else parameter["name"]
    return f"{parameter['in']} {name}"


def _required_schemes(contract: Contract, operation_id: str) -> list[str]:
    """The schemes that FastAPI's schema must name: with several alternatives the engine calls the guards itself."""
    alternatives = contract.operations[operation_id].security
    return sorted(alternatives[0]) if len(alternatives) == 1 else []


def _body(document: Schema, spec: Schema) -> Schema | None:
    if "requestBody" not in spec:
        return None
    body = resolve(document, spec["requestBody"])
    required = body.get("required", False)
    return {"required": required, "content": _content(document, body, required=required)}


def _content(document: Schema, node: Schema, *, required: bool) -> Schema:
    return {
        media: _normalize(document, content.get("schema", {}), required=required)
        for media, content in node.get("content", {}).items()
    }


# Annotations restrict no value. FastAPI's schema of a generated model omits formats and minProperties (the model still
# enforces minProperties).
_IGNORED = {"$ref", "title", "description", "examples", "example", "deprecated", "format", "minProperties"}


def _normalize(
    document: Schema, schema: Schema, inside: frozenset[str] = frozenset(), *, required: bool = True
) -> Schema:
    """Removes differences of notation from a schema: `$ref`, order, forms of nullable, whole numbers as floats.

    A schema inside itself stays a `$ref`; `inside` are those around this one.
    """
    ref = schema.get("$ref")
    if ref in inside:
        # FastAPI may write two variants of a model.
        return {"$ref": ref.rpartition("/")[2].removesuffix("-Input").removesuffix("-Output")}
    inside = inside | {ref} if ref else inside
    schema = {**resolve(document, schema)}
    if isinstance(schema.get("type"), list):
        kinds = schema.pop("type")
        schema = {"anyOf": [{**schema, "type": kind} if kind != "null" else {"type": kind} for kind in kinds]}
    if "anyOf" in schema:
        variants = [_normalize(document, variant, inside) for variant in schema["anyOf"]]
        if not required:
            # FastAPI describes an optional parameter or body as nullable.
            variants = [variant for variant in variants if variant != {"type": "null"}]
        if len(variants) == 1:
            return {**variants[0], **{k: v for k, v in schema.items() if k not in _IGNORED | {"anyOf"}}}
        schema = {**schema, "anyOf": sorted(variants, key=_canonical)}
    if schema.get("format") == "date-time":
        # Pydantic supports neither pattern nor length on a datetime; the response watch of the tests checks the form.
        return {"type": "string", "format": "date-time"}
    if "const" in schema:
        schema["enum"] = [schema.pop("const")]
    if "enum" in schema:
        schema.pop("type", None)
    return {
        k: _normalize_value(document, k, v, inside)
        for k, v in schema.items()
        if k not in _IGNORED and not k.startswith("x-")
    }


def _normalize_value(document: Schema, keyword: str, value: Any, inside: frozenset[str]) -> Any:
    if keyword == "properties":
        return {name: _normalize(document, member, inside) for name, member in value.items()}
    if keyword == "items":
        return _normalize(document, value, inside)
    if keyword in {"enum", "required"}:
        return sorted(value, key=_canonical)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _differences(contract: dict[str, Schema], code: dict[str, Schema]) -> Iterator[str]:
    for operation_id in contract | code:
        expected, actual = contract.get(operation_id), code.get(operation_id)
        if expected is None or actual is None:
            spec = expected or actual or {}
            operation = f"{operation_id} ({spec['method']} {spec['path']})"
            yield (
                f"not in openapi.yaml: {operation}. Add it there first, or remove it."
                if expected is None
                else f'not implemented: {operation}. Write a handler with @router.operation("{operation_id}") '
                "and pass its router to contract_app()."
            )
            continue
        for path, in_contract, in_code in _compare("", expected, actual):
            yield (
                f"{operation_id}{path}: openapi.yaml says {in_contract}, the code {in_code}. "
                "Run ./codegen.sh, and use the generated model or type."
            )


def _compare(path: str, expected: Any, actual: Any) -> Iterator[tuple[str, str, str]]:
    """Yields the path of each difference, and both values as text."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        for key in sorted(expected.keys() | actual.keys()):
            yield from _compare(f"{path} / {key}", expected.get(key), actual.get(key))
    elif expected != actual:
        yield path, _format(expected), _format(actual)


def _format(value: Any) -> str:
    return "nothing" if value is None else json.dumps(value)

"""Every difference between the contract and the code, in one error.

The same surface is read out of the contract and out of FastAPI's own schema, and compared.
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
    resolve,
    schemes_of,
)


def publish(app: FastAPI, contract: Contract) -> None:
    """Refuses an app that differs from the contract, and makes the contract the app's schema.

    Raises ContractError with every difference. To be called when all routers are included.
    """
    code = FastAPI.openapi(app)
    app.openapi_schema = None
    differences = list(_differences(_surface(contract.document), _surface(code)))
    if differences:
        raise ContractError(differences)
    app.openapi = lambda: contract.document  # type: ignore[method-assign]


def _surface(document: Schema) -> dict[str, Schema]:
    """operationId -> what callers can see of it, in a form that is alike for the contract and for FastAPI."""
    return {
        str(spec.get("operationId")): {
            "method": method.upper(),
            "path": path,
            "parameters": {
                f"{parameter['in']} {parameter['name']}": {
                    "required": (required := parameter.get("required", False)),
                    "schema": _normal(document, parameter["schema"], required=required),
                }
                for parameter in parameters_of(document, item, spec)
            },
            "body": _body(document, spec),
            "responses": {
                status: _content(document, resolve(document, response), required=True)
                for status, response in spec["responses"].items()
                if status.startswith("2")
            },
            "security": schemes_of(document, spec),
        }
        for path, method, item, spec in operations_of(document)
    }


def _body(document: Schema, spec: Schema) -> Schema | None:
    if "requestBody" not in spec:
        return None
    body = resolve(document, spec["requestBody"])
    required = body.get("required", False)
    return {"required": required, "content": _content(document, body, required=required)}


def _content(document: Schema, node: Schema, *, required: bool) -> Schema:
    return {
        media: _normal(document, content.get("schema", {}), required=required)
        for media, content in node.get("content", {}).items()
    }


# Annotations, which bind nobody; formats and minProperties, which FastAPI's schema of a generated model does not
# repeat (the model enforces minProperties all the same).
_IGNORED = {"$ref", "title", "description", "examples", "example", "deprecated", "format", "minProperties"}


def _normal(document: Schema, schema: Schema, *, required: bool = True) -> Schema:
    """A schema without what may differ in writing alone: `$ref`, order, ways to say null, float bounds."""
    schema = {**resolve(document, schema), **{k: v for k, v in schema.items() if k != "$ref"}}
    if isinstance(schema.get("type"), list):
        kinds = schema.pop("type")
        schema = {"anyOf": [{**schema, "type": kind} if kind != "null" else {"type": kind} for kind in kinds]}
    if "anyOf" in schema:
        variants = [_normal(document, variant) for variant in schema["anyOf"]]
        if not required:
            # FastAPI writes an optional parameter or body as one that may be null.
            variants = [variant for variant in variants if variant != {"type": "null"}]
        if len(variants) == 1:
            return {**variants[0], **{k: v for k, v in schema.items() if k not in _IGNORED | {"anyOf"}}}
        schema = {**schema, "anyOf": sorted(variants, key=_canonical)}
    if schema.get("format") == "date-time":
        # Pydantic takes neither pattern nor length on a datetime; the response watch holds the form on the wire.
        return {"type": "string", "format": "date-time"}
    if "const" in schema:
        schema["enum"] = [schema.pop("const")]
    if "enum" in schema:
        schema.pop("type", None)
    return {k: _normal_value(document, k, v) for k, v in schema.items() if k not in _IGNORED}


def _normal_value(document: Schema, keyword: str, value: Any) -> Any:
    if keyword == "properties":
        return {name: _normal(document, member) for name, member in value.items()}
    if keyword == "items":
        return _normal(document, value)
    if keyword in {"enum", "required"}:
        return sorted(value, key=_canonical)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _differences(contract: dict[str, Schema], code: dict[str, Schema]) -> Iterator[str]:
    for operation_id in contract | code:
        wanted, found = contract.get(operation_id), code.get(operation_id)
        if wanted is None or found is None:
            spec = wanted or found or {}
            where = f"{operation_id} ({spec['method']} {spec['path']})"
            yield (
                f"not in openapi.yaml: {where}. Add it there first, or remove it."
                if wanted is None
                else f'not implemented: {where}. Write a handler with @router.operation("{operation_id}") '
                "and include its router in app.py."
            )
            continue
        for place, said, done in _walk("", wanted, found):
            yield (
                f"{operation_id}{place}: openapi.yaml says {said}, the code {done}. "
                "Run ./codegen.sh, and use the generated model or type."
            )


def _walk(place: str, wanted: Any, found: Any) -> Iterator[tuple[str, str, str]]:
    if isinstance(wanted, dict) and isinstance(found, dict):
        for key in sorted(wanted.keys() | found.keys()):
            yield from _walk(f"{place} / {key}", wanted.get(key), found.get(key))
    elif wanted != found:
        yield place, _told(wanted), _told(found)


def _told(side: Any) -> str:
    return "nothing" if side is None else json.dumps(side)

"""Checks objects of an OpenAPI document one by one, beyond the types of their fields.

Each rule receives the fields of an object whose types are right. For each fault it yields the field (or ""), a
predicate such as "has an empty `enum`.", and whether that violates OpenAPI; otherwise it is only not supported.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic_core import SchemaError, SchemaValidator, core_schema

from fastapi_contract.openapi import servers
from fastapi_contract.openapi.structure import Rule
from fastapi_contract.openapi.supported import NUMBER_FORMATS, SECURITY_SCHEMES, STRING_FORMATS, not_supported
from fastapi_contract.validation.formats import CHECKS
from fastapi_contract.validation.input_errors import CODES


def _openapi(document: Mapping[str, Any]) -> Iterator[tuple[str, str, bool]]:
    version = document.get("openapi", "3.1.")
    if not version.startswith("3.1."):
        yield "openapi", not_supported(f"OpenAPI {version}", ["3.1.x"]), False


def _server(server: Mapping[str, Any]) -> Iterator[tuple[str, str, bool]]:
    variables = server.get("variables", {})
    is_complete = isinstance(variables, dict) and all(map(_is_variable, variables.values()))
    if "url" not in server or not is_complete:
        return
    names = servers.variables_of(server["url"])
    if missing := [name for name in names if name not in variables]:
        yield "url", f"has {{{missing[0]}}} in its URL, which is not in its `variables`: add it.", True
        return
    try:
        path = servers.path_of(server)
        values = {name: variables[name].get("enum") for name in names}
        others = {servers.path_of(server, {name: each}) for name in names for each in _texts(values[name])}
    except ValueError:
        yield "url", "has a URL that cannot be read, or that has `?` or `#`: correct it.", True
        return
    if not servers.is_path(path):
        yield "url", f"uses the base path {path}, which is not supported. Write one such as /v2.", False
    elif others - {path}:
        text = f"uses the base paths {', '.join(sorted(others))} by a variable, which is not supported. Allow only one."
        yield "url", text, False


def _texts(values: Any) -> list[str]:
    return [each for each in values if isinstance(each, str)] if isinstance(values, list) else []


def _is_variable(variable: Any) -> bool:
    return isinstance(variable, dict) and isinstance(variable.get("default"), str)


def _server_variable(variable: Mapping[str, Any]) -> Iterator[tuple[str, str, bool]]:
    values = variable.get("enum")
    if isinstance(values, list) and variable.get("default", "") not in values:
        yield "default", "has a `default` that is not in its `enum`: add it there.", True


def _parameter(parameter: Mapping[str, Any]) -> Iterator[tuple[str, str, bool]]:
    where, name = parameter.get("in"), parameter.get("name")
    if where not in {None, "path", "query", "header", "cookie"}:
        yield "in", f"has the parameter {name} in `{where}`: it must be in path, query, header or cookie.", True
    if where == "path" and parameter.get("required") is not True:
        yield "", f"has the path parameter {name} without `required: true`: add it.", True
    for field in ("allowReserved", "allowEmptyValue"):
        if parameter.get(field):
            yield field, f"uses `{field}`, which is not supported. Leave it out.", False
    if "x-invalid-status" in parameter and (where, parameter["x-invalid-status"]) != ("header", 400):
        text = "has an `x-invalid-status` other than 400, or not in a header: remove it. The status is 422."
        yield "x-invalid-status", text, False
    yield from _needs_schema(parameter, f"the parameter {name}")


def _operation(operation: Mapping[str, Any]) -> Iterator[tuple[str, str, bool]]:
    days = {name: operation[name] for name in ("x-deprecated-at", "x-sunset") if name in operation}
    if not operation.get("deprecated"):
        for name in days:
            yield name, f"has `{name}` without `deprecated: true`: add it.", False
    elif len(days) < 2:
        text = "is deprecated without the days `x-deprecated-at` and `x-sunset`, such as 2026-12-31: add them."
        yield "deprecated", text, False
    elif not all(isinstance(day, str) and CHECKS["date"](day) for day in days.values()):
        yield "deprecated", "has an `x-deprecated-at` or `x-sunset` that is not a day such as 2026-12-31.", False
    elif days["x-sunset"] < days["x-deprecated-at"]:
        yield "x-sunset", "has an `x-sunset` before its `x-deprecated-at`: change one of them.", False


def _header(header: Mapping[str, Any]) -> Iterator[tuple[str, str, bool]]:
    if (style := header.get("style", "simple")) != "simple":
        yield "style", not_supported(f"the style {style} in a header", ["simple"]), False
    yield from _needs_schema(header, "a header")


def _needs_schema(value: Mapping[str, Any], name: str) -> Iterator[tuple[str, str, bool]]:
    if "schema" not in value and "content" not in value:
        yield "", f"has {name} without `schema`: add it.", True


def _security_scheme(scheme: Mapping[str, Any]) -> Iterator[tuple[str, str, bool]]:
    if "type" not in scheme:
        return
    kind = scheme["type"]
    if kind not in SECURITY_SCHEMES:
        yield "type", not_supported(f"a security scheme of the type {kind}", SECURITY_SCHEMES), False
    for field in {"apiKey": ("name", "in"), "http": ("scheme",)}.get(kind, ()):
        if field not in scheme:
            yield "", f"has no `{field}`, which a security scheme of the type {kind} requires: add it.", True
    if kind == "apiKey" and scheme.get("in") not in {None, "header", "query", "cookie"}:
        yield "in", f"has an API key in `{scheme['in']}`: it must be in header, query or cookie.", True


def _link(link: Mapping[str, Any]) -> Iterator[tuple[str, str, bool]]:
    if "operationRef" in link:
        yield "operationRef", "uses `operationRef`, which is not supported. Use `operationId`.", False
    elif "operationId" not in link:
        yield "", "has a link without `operationId`: add it.", True


def _schema(schema: Mapping[str, Any]) -> Iterator[tuple[str, str, bool]]:
    if "format" in schema:
        types = schema.get("type", "string")
        formats = (
            NUMBER_FORMATS
            if {"integer", "number"} & {*([types] if isinstance(types, str) else types)}
            else STRING_FORMATS
        )
        if schema["format"] not in formats:
            yield "format", not_supported(f"the format {schema['format']}", formats), False
    for field in {"const", "enum", "pattern"} & schema.keys() if schema.get("format") == "binary" else ():
        yield field, not_supported(f"`{field}` beside `format: binary`", ["minLength", "maxLength"]), False
    if "pattern" in schema and (problem := _pattern_problem(schema["pattern"])):
        yield "pattern", f"has a `pattern` that the generated models cannot use: {problem}.", True
    if "x-pattern-error" in schema and not _is_pattern_error(schema["x-pattern-error"]):
        text = f"has an `x-pattern-error` that is not a code, a detail, or both. The codes are: {', '.join(CODES)}."
        yield "x-pattern-error", text, False
    yield from _lists(schema)
    if schema.get("multipleOf", 1) <= 0:
        yield "multipleOf", "has a `multipleOf` that is not above 0: change it.", True
    if "discriminator" in schema and not {"oneOf", "anyOf"} & schema.keys():
        text = "uses `discriminator` without `oneOf` or `anyOf`, which is not supported. Add one of them."
        yield "discriminator", text, False


def _lists(schema: Mapping[str, Any]) -> Iterator[tuple[str, str, bool]]:
    for field in ("enum", "allOf", "anyOf", "oneOf"):
        if schema.get(field) == []:
            yield field, f"has an empty `{field}`: add a value, or remove it.", True
    required = _texts(schema.get("required"))
    if len({*required}) < len(required):
        yield "required", "has a `required` with a name twice: remove one.", True


def _is_pattern_error(error: Any) -> bool:
    return (
        isinstance(error, dict)
        and error.keys() <= {"code", "detail"}
        and error.get("code", "pattern") in [*CODES]
        and isinstance(error.get("detail", ""), str)
    )


def _pattern_problem(pattern: str) -> str | None:
    """What prevents pydantic from compiling a pattern, if anything."""
    try:
        SchemaValidator(core_schema.str_schema(pattern=pattern))
    except SchemaError as error:
        return str(error).rpartition("error: ")[2].strip()
    return None


RULES: Mapping[str, Rule] = {
    "OpenAPI": _openapi,
    "Server": _server,
    "ServerVariable": _server_variable,
    "Operation": _operation,
    "Parameter": _parameter,
    "Header": _header,
    "SecurityScheme": _security_scheme,
    "Link": _link,
    "Schema": _schema,
}
"""By the kind of the object."""

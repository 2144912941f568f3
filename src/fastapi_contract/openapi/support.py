"""Finds what must be changed in a contract: what OpenAPI 3.1 forbids, and what the engine does not carry."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi_contract.openapi.document import Document, Place, line_of, resolve, value_at
from fastapi_contract.openapi.model_rules import inline_answers, model_faults
from fastapi_contract.openapi.object_rules import RULES
from fastapi_contract.openapi.openapi_objects import IGNORED_PARAMETERS, METHODS, parameter_key
from fastapi_contract.openapi.runtime_expressions import Exchange, callback_faults, link_faults
from fastapi_contract.openapi.schema_types import JSON_TYPES, json_types
from fastapi_contract.openapi.servers import path_of
from fastapi_contract.openapi.structure import Fault, Structure
from fastapi_contract.openapi.support_bodies import (
    file_not_supported,
    has_file,
    json_faults,
    misplaced_limits,
    request_faults,
)
from fastapi_contract.openapi.supported import (
    ITEM_TYPES,
    PARAMETER_TYPES,
    PROBLEM_MEDIA_TYPES,
    REQUEST_MEDIA_TYPES,
    RESPONSE_MEDIA_TYPES,
    STYLES,
    UNSUPPORTED,
    not_supported,
)
from fastapi_contract.paths import PathTemplate

_STATUS = re.compile(r"[1-5][0-9]{2}")
_RANGE = re.compile(r"default|[1-5]XX")
_WITHOUT_BODY = re.compile(r"1..|204|205|304")
_PARAMETER = re.compile(r"\{[^{}]+\}")


def faults(document: Document) -> list[str]:
    """Returns a line for each fault, in the order of the document:

    openapi.yaml:214: createTask uses multipart/mixed, which is not supported. Supported is application/json.
    """
    structure = Structure(document, UNSUPPORTED, RULES)
    found = {
        (line_of(document.lines, fault.place), f"{_subject(structure, fault.place)} {fault.text}")
        for fault in (
            *structure.faults,
            *_base_paths(structure),
            *_operation_faults(structure),
            *misplaced_limits(structure),
        )
    }
    return [f"{line}: {text}" for line, text in sorted(found | {*document.faults})]


def _subject(structure: Structure, place: Place) -> str:
    """The operation, component or path that a place belongs to."""
    for length in range(len(place), 0, -1):
        if structure.kinds.get(place[:length]) == "Operation":
            name = value_at(structure.root, place[:length]).get("operationId")
            return name if isinstance(name, str) else f"{place[length - 1].upper()} {place[length - 2]}"
    if place[:1] == ("components",):
        return "/".join(place[1:3]) or "components"
    if place[:1] in {("paths",), ("webhooks",)}:
        return place[1] if len(place) > 1 else place[0]
    return place[0] if place else "The document"


def _base_paths(structure: Structure) -> Iterator[Fault]:
    """The faults of servers whose base path is not that of the first one, and of problem types outside of it."""
    if any(fault.is_malformed or fault.place[:1] == ("servers",) for fault in structure.faults):
        return
    first, *others = [path_of(each) for each in structure.root.get("servers", ())] or [""]
    for index, path in enumerate(others, start=1):
        if path != first:
            text = f"uses the base path {path or '/'} beside {first or '/'}, which is not supported. Use one of them."
            yield _unsupported(("servers", str(index), "url"), text)
    problems = (place for place in structure.kinds if place[-2:-1] == ("content",) and place[-1] in PROBLEM_MEDIA_TYPES)
    for place in problems if first else ():
        at = structure.follow((*place, "schema"))
        if "type" in value_at(structure.root, at).get("properties", {}):
            at = structure.follow((*at, "properties", "type"))
            kind = value_at(structure.root, at)
            field = "enum" if "enum" in kind else "const"
            texts = [each for each in kind.get("enum", [kind.get("const")]) if str(each).startswith("/")]
            if outside := [each for each in texts if not each.startswith(f"{first}/")]:
                text = f"has problem types outside of the base path {first}, such as {outside[0]}: write "
                yield _malformed((*at, field), f"{text}{first}{outside[0]}.")


@dataclass(frozen=True)
class _Operation:
    """An operation that is served."""

    path: str
    place: Place
    spec: Mapping[str, Any]
    parameters: Mapping[tuple[str, str], Place]
    """Of path item and operation, by where they are and their name."""


def _operation_faults(structure: Structure) -> Iterator[Fault]:
    """The faults of operations. Malformed parts are left out: they are faults already, and must be mended first."""
    broken = [fault.place for fault in structure.faults if fault.is_malformed]
    if any(len(place) == 1 or place[:1] != ("paths",) for place in broken) or (broken and structure.refers_to("paths")):
        return
    operations: dict[str, _Operation] = {}
    templates: dict[str, str] = {}
    for path in structure.root["paths"]:
        place = ("paths", path)
        if path.startswith("x-") or any(_concerns_all(each, place) for each in broken):
            continue
        yield from _path(path, templates)
        item_place = structure.follow(place)
        item = value_at(structure.root, item_place)
        for method in METHODS:
            if method not in item or any(each[:3] == (*place, method) for each in broken):
                continue
            operation = _operation(structure, path, (*item_place, method), item_place)
            name = operation.spec.get("operationId", "")
            if not name:
                yield _malformed(operation.place, "has no operationId: add one.")
            elif name in operations:
                yield _malformed((*operation.place, "operationId"), "appears twice: rename one of them.")
            operations[name] = operation
            yield from _path_parameters(structure, operation)
            yield from _parameters(structure, operation)
            yield from _request_body(structure, operation)
            yield from _security(structure, operation)
    for operation in operations.values():
        yield from _responses(structure, operation, operations)
        yield from inline_answers(structure, operation.place)
        yield from _callbacks(structure, operation)
    if not broken:
        yield from _other_operations(structure, operations)
        yield from model_faults(structure)


def _malformed(place: Place, text: str) -> Fault:
    return Fault(place, text, is_malformed=True)


def _unsupported(place: Place, text: str) -> Fault:
    return Fault(place, text, is_malformed=False)


def _concerns_all(broken: Place, path: Place) -> bool:
    """Whether a broken place is around a path, or in what its path item says of all operations."""
    return broken == path[: len(broken)] or (broken[: len(path)] == path and broken[len(path)] not in METHODS)


def _path(path: str, templates: dict[str, str]) -> Iterator[Fault]:
    """`templates` are the paths so far, without the names of their parameters."""
    place = ("paths", path)
    bare = _PARAMETER.sub("{}", path)
    if not path.startswith("/"):
        yield _malformed(place, "is a path that does not begin with `/`: add it.")
    if re.search(r"[?#\s]", path):
        yield _malformed(place, "is a path with `?`, `#` or white space: remove it.")
    if re.search(r"[{}]", bare.replace("{}", "")):
        yield _malformed(place, "is a path with an unbalanced brace: close it.")
    if len({*PathTemplate(path).names}) < len(PathTemplate(path).names):
        yield _malformed(place, "is a path that has a parameter twice: rename one of them.")
    if bare in templates:
        yield _malformed(place, f"is a path that matches the same URLs as {templates[bare]}: remove one of them.")
    templates[bare] = path


def _operation(structure: Structure, path: str, place: Place, item_place: Place) -> _Operation:
    spec = value_at(structure.root, place)
    found: dict[tuple[str, str], Place] = {}
    for owner in (item_place, place):
        for index in range(len(value_at(structure.root, owner).get("parameters", ()))):
            at = structure.follow((*owner, "parameters", str(index)))
            if (key := parameter_key(value_at(structure.root, at))) not in IGNORED_PARAMETERS:
                found[key] = at
    return _Operation(path, place, spec, found)


def _path_parameters(structure: Structure, operation: _Operation) -> Iterator[Fault]:
    names = PathTemplate(operation.path).names
    declared = [name for where, name in operation.parameters if where == "path"]
    for name in names:
        if name not in declared:
            yield _malformed(operation.place, f"has no parameter for {{{name}}} of its path: add it, `in: path`.")
    for name in declared:
        if name not in names:
            text = f"has the path parameter {name}, which is not in {operation.path}: add {{{name}}}, or remove it."
            yield _malformed(operation.place, text)
    for owner in (operation.place[:-1], operation.place):
        keys = [
            (parameter["in"], parameter["name"])
            for each in value_at(structure.root, owner).get("parameters", ())
            for parameter in [resolve(structure.root, each)]
        ]
        for where, name in {key for key in keys if keys.count(key) > 1}:
            text = f"has the {where} parameter {name} twice: remove one of them."
            yield _malformed((*owner, "parameters"), text)


def _parameters(structure: Structure, operation: _Operation) -> Iterator[Fault]:
    for (where, name), place in operation.parameters.items():
        parameter = value_at(structure.root, place)
        if where not in STYLES:
            yield _unsupported((*place, "in"), not_supported(f"the {where} parameter {name}", [*STYLES]))
            continue
        style = parameter.get("style", STYLES[where])
        if style != STYLES[where]:
            text = not_supported(f"the style {style} for the {where} parameter {name}", [STYLES[where]])
            yield _unsupported((*place, "style"), text)
        if isinstance(schema := parameter.get("schema"), dict):
            if has_file(structure.root, schema):
                yield _unsupported((*place, "schema"), file_not_supported(f"the {where} parameter {name}"))
            yield from _parameter_types(structure, (*place, "schema"), schema, f"the {where} parameter {name}", where)


def _parameter_types(
    structure: Structure, place: Place, schema: dict[str, Any], name: str, where: str
) -> Iterator[Fault]:
    types = json_types(structure.root, schema)
    items = resolve(structure.root, schema).get("items", {}) if "array" in types else {}
    for found, supported, what in (
        (types, PARAMETER_TYPES[where], name),
        (json_types(structure.root, items) if isinstance(items, dict) else JSON_TYPES, ITEM_TYPES, f"items of {name}"),
    ):
        # A schema without types is text.
        for unsupported in sorted(found - {*supported}) if found != JSON_TYPES else ():
            yield _unsupported(place, not_supported(f"{unsupported} in {what}", supported))


def _request_body(structure: Structure, operation: _Operation) -> Iterator[Fault]:
    if "requestBody" in operation.spec:
        place = structure.follow((*operation.place, "requestBody"))
        yield from _content(structure, place, REQUEST_MEDIA_TYPES, "a request body")
        yield from request_faults(structure, place)
        if not value_at(structure.root, place)["content"]:
            yield _malformed((*place, "content"), "has a request body without media types: add one.")


def _content(structure: Structure, place: Place, supported: tuple[str, ...], where: str) -> Iterator[Fault]:
    for media_type in value_at(structure.root, place).get("content", ()):
        if media_type not in supported:
            text = not_supported(f"{media_type} in {where}", supported)
            yield _unsupported((*place, "content", media_type), text)


def _security(structure: Structure, operation: _Operation) -> Iterator[Fault]:
    place: Place = (*operation.place, "security") if "security" in operation.spec else ("security",)
    alternatives = operation.spec.get("security", structure.root.get("security", ()))
    schemes = structure.root.get("components", {}).get("securitySchemes", {})
    for index, alternative in enumerate(alternatives):
        for name in alternative:
            if name not in schemes:
                text = f"requires the security scheme {name}, which is not in components/securitySchemes: add it there."
                yield _malformed((*place, str(index), name), text)


def _responses(structure: Structure, operation: _Operation, operations: Mapping[str, _Operation]) -> Iterator[Fault]:
    statuses = [status for status in operation.spec["responses"] if not status.startswith("x-")]
    place = (*operation.place, "responses")
    for status in statuses:
        at = structure.follow((*place, status))
        response = value_at(structure.root, at)
        if _RANGE.fullmatch(status):
            text = f"uses `{status}` in its responses, which is not supported. Write each status, such as 404."
            yield _unsupported((*place, status), text)
        elif not _STATUS.fullmatch(status):
            yield _malformed((*place, status), f"has the response {status}, which is not a status from 100 to 599.")
        elif _WITHOUT_BODY.fullmatch(status) and response.get("content"):
            yield _malformed((*place, status), f"has `content` in its {status} response, which has no body: remove it.")
        else:
            supported = RESPONSE_MEDIA_TYPES if status < "4" else PROBLEM_MEDIA_TYPES
            yield from _content(structure, at, supported, f"a {status} response")
            yield from json_faults(structure, at)
        yield from _links(response, structure, at, operations)
        for key in response.get("links", ()):
            link = structure.follow((*at, "links", key))
            yield from link_faults(structure, link, _exchange(structure, operation, response))
    if not any(status.isdigit() and "2" <= status < "4" for status in statuses):
        yield _malformed(place, "has no 2xx or 3xx response: add one.")


def _exchange(structure: Structure, operation: _Operation, response: Mapping[str, Any] | None) -> Exchange:
    request = resolve(structure.root, operation.spec.get("requestBody", {}))
    return Exchange(operation.spec["operationId"], operation.parameters, request, response)


def _callbacks(structure: Structure, operation: _Operation) -> Iterator[Fault]:
    for name in operation.spec.get("callbacks", ()):
        place = structure.follow((*operation.place, "callbacks", name))
        yield from callback_faults(structure, place, _exchange(structure, operation, None))


def _other_operations(structure: Structure, operations: Mapping[str, _Operation]) -> Iterator[Fault]:
    """The faults of operations that are not served: those of webhooks and callbacks."""
    served, names = {operation.place for operation in operations.values()}, {*operations}
    for place in (each for each, kind in structure.kinds.items() if kind == "Operation" and each not in served):
        name = value_at(structure.root, place).get("operationId", "")
        if not name:
            yield _malformed(place, "has no operationId, which its generated models are named after: add one.")
        elif name in names:
            yield _malformed((*place, "operationId"), "appears twice: rename one of them.")
        names.add(name)


def _links(response: Any, structure: Structure, place: Place, operations: Mapping[str, _Operation]) -> Iterator[Fault]:
    for key in response.get("links", ()):
        at = structure.follow((*place, "links", key))
        link = value_at(structure.root, at)
        target = link.get("operationId")
        if target is None:
            continue
        if target not in operations:
            yield _malformed((*at, "operationId"), f"has a link to {target}, which is not an operation: change it.")
            continue
        known = {each for where, name in operations[target].parameters for each in (name, f"{where}.{name}")}
        for name in link.get("parameters", {}).keys() - known:
            text = f"has a link with the parameter {name}, which {target} does not have: remove it."
            yield _malformed((*at, "parameters", name), text)

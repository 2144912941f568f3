"""Contracts that each differ from the service's in one place, and so that a client or a test could notice."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi_contract.contract import operations_of, security_of
from fastapi_contract.openapi.document import Place, place_of, resolve, value_at
from fastapi_contract.validation.schemas import Validator

Document = dict[str, Any]
DELETED: Any = object()
LOWER_BOUNDS = ("minLength", "minimum", "minItems", "minProperties")
UPPER_BOUNDS = ("maxLength", "maximum", "maxItems", "maxProperties")
LOOSE_WITHOUT = ("pattern", "format", "additionalProperties")
"""Keywords of requests without which more is valid."""


@dataclass(frozen=True)
class Mutant:
    """An edit of the contract."""

    place: Place
    value: Any
    """DELETED removes what is at the place."""
    text: str
    """Completes "no test would notice if ..."."""
    remedy: str
    """Completes "a test must ..."."""
    is_for_responses: bool = False
    """Whether it narrows a keyword that some response has."""

    def of(self, document: Document) -> Document:
        """Return the edited document, which shares all other parts with `document`."""
        changed: Document = _changed(document, self.place, self.value)
        return changed


@dataclass(frozen=True)
class Part:
    """The request of an operation, or one of its responses, and the places that it is written at."""

    operation: str
    status: str | None
    """None: the request."""
    places: frozenset[Place]

    def has(self, place: Place) -> bool:
        return any(place[:length] in self.places for length in range(1, len(place) + 1))


def parts_of(document: Document) -> list[Part]:
    parts = []
    for path, method, item, spec in operations_of(document):
        place = ("paths", path, method)
        inputs: list[tuple[Place, Any]] = [(("paths", path, "parameters"), item.get("parameters", []))]
        inputs += [((*place, name), spec.get(name, [])) for name in ("parameters", "requestBody")]
        places = frozenset(each for _, node in inputs for each in _referenced(document, node))
        parts.append(Part(spec["operationId"], None, places | {each for each, _ in inputs}))
        for status, response in spec["responses"].items():
            referenced = frozenset(_referenced(document, response))
            parts.append(Part(spec["operationId"], status, referenced | {(*place, "responses", status)}))
    return parts


def mutants_of(document: Document) -> Iterator[Mutant]:
    parts = parts_of(document)
    yield from _of_operations(document)
    for place, node in _nodes(document, ()):
        in_request = any(part.has(place) for part in parts if part.status is None)
        in_response = any(part.has(place) for part in parts if part.status is not None)
        if not (in_request or in_response):
            continue
        name = _name(document, place)
        if "schema" in node and "in" in node:
            yield from _of_parameter(place, node, name)
        elif "schema" in node and not node.get("required") and place[-2:-1] == ("headers",):
            remedy = f"receive the response without {name}"
            yield Mutant(
                (*place, "required"),
                value=True,
                text=f"{name} were required",
                remedy=remedy,
                is_for_responses=in_response,
            )
        elif "headers" in node and "description" in node and not _is_schema(place):
            yield from _of_headers(document, place, node, name)
        elif _is_schema(place):
            for narrower in _narrowed(place, node, name):
                yield Mutant(*narrower, in_response)
            if in_request:
                yield from (Mutant(*wider) for wider in _widened(document, place, node, name))


def _of_operations(document: Document) -> Iterator[Mutant]:
    for path, method, item, spec in operations_of(document):
        place, name = ("paths", path, method), spec["operationId"]
        others = {each: value for each, value in item.items() if each != method}
        call = f"call {name}"
        yield Mutant(place[:2], {**others, "trace": spec}, f"{name} had another method", call)
        paths = {**document["paths"], path: others, f"{path.rstrip('/')}/other": item}
        yield Mutant(("paths",), paths, f"{name} had another path", call)
        yield from _of_security(document, place, spec, name)
        for status, response in spec["responses"].items():
            receive = f"receive {status} from {name}"
            yield Mutant(
                (*place, "responses", status), DELETED, f"{name} had no {status}", receive, is_for_responses=True
            )
            for media_type, media in resolve(document, response).get("content", {}).items():
                value = {**resolve(document, response), "content": {"text/x-other": media}}
                text = f"{name} {status} were not {media_type}"
                yield Mutant(
                    (*place, "responses", status), value, text, f"{receive} as {media_type}", is_for_responses=True
                )
        yield from _of_body(document, place, spec, name)


def _of_security(document: Document, place: Place, spec: Document, name: str) -> Iterator[Mutant]:
    security = security_of(document, spec)
    scheme: Any = next(iter(document["components"]["securitySchemes"]))
    if not security:
        remedy = f"call {name} without credentials"
        yield Mutant((*place, "security"), [{scheme: []}], f"{name} required credentials", remedy)
        return
    remedy = f"call {name} without credentials, and get 401"
    yield Mutant((*place, "security"), [], f"{name} required no credentials", remedy)
    yield Mutant((*place, "security"), [*security, {}], f"the credentials of {name} were optional", remedy)


def _of_body(document: Document, place: Place, spec: Document, name: str) -> Iterator[Mutant]:
    if not (body := resolve(document, spec.get("requestBody", {}))):
        return
    place = (*place, "requestBody")
    for media_type in body["content"]:
        content = {each: media for each, media in body["content"].items() if each != media_type}
        value = {**body, "content": content or {"text/x-other": body["content"][media_type]}}
        remedy = f"send {name} {media_type} with success"
        yield Mutant(place, value, f"the body of {name} could not be {media_type}", remedy)
    required = not body.get("required", False)
    text = f"the body of {name} were {'required' if required else 'optional'}"
    remedy = f"send {name} no body, and get {'a success' if required else '422'}"
    yield Mutant(place, {**body, "required": required}, text, remedy)


def _of_parameter(place: Place, node: Document, name: str) -> Iterator[Mutant]:
    if node["in"] != "path":
        rename = f"send {name} with a valid value and with an invalid one"
        yield Mutant((*place, "name"), f"{node['name']}_other", f"{name} had another name", rename)
        required = not node.get("required", False)
        text = f"{name} were {'required' if required else 'optional'}"
        remedy = f"leave out {name}, and get {'a success' if required else '422'}"
        yield Mutant((*place, "required"), required, text, remedy)


def _of_headers(document: Document, place: Place, response: Document, name: str) -> Iterator[Mutant]:
    for header, reference in response["headers"].items():
        spec = resolve(document, reference)
        # An optional header that no response has is an error of its own: see optional_parts.py.
        if spec.get("required"):
            others = {each: value for each, value in response["headers"].items() if each != header}
            value = {**others, f"{header}-Other": spec}
            text, remedy = f"the header {header} of {name} had another name", f"receive {name}"
            yield Mutant((*place, "headers"), value, text, remedy, is_for_responses=True)


Edit = tuple[Place, Any, str, str]
"""The arguments of a Mutant."""


def _moved(place: Place, schema: Document, name: str, inward: int) -> Iterator[Edit]:
    for bounds, step in ((LOWER_BOUNDS, inward), (UPPER_BOUNDS, -inward)):
        for bound in bounds:
            if bound in schema:
                value = schema[bound] + step
                is_inside = f"send or receive {name} exactly at {bound}: {schema[bound]}"
                is_outside = f"send {name} just outside {bound}: {value}, and get 422"
                yield (
                    (*place, bound),
                    value,
                    f"{name}.{bound} were {value}",
                    is_inside if inward == 1 else is_outside,
                )


def _narrowed(place: Place, schema: Document, name: str) -> Iterator[Edit]:
    """Each has one more promise for the reader of a value than the contract."""
    yield from _moved(place, schema, name, 1)
    properties, required = schema.get("properties", {}), schema.get("required", ())
    for member in properties:
        if member in required:
            names = [f"{each}_other" if each == member else each for each in required]
            renamed = {f"{each}_other" if each == member else each: value for each, value in properties.items()}
            value = {**schema, "properties": renamed, "required": names}
            yield place, value, f"{name}.{member} had another name", f"send or receive {name}"
        else:
            remedy = f"send or receive {name} without {member}"
            yield (*place, "required"), [*required, member], f"{name}.{member} were required", remedy
    for value in schema.get("enum", ()):
        rest = [each for each in schema["enum"] if each != value]
        yield (*place, "enum"), rest, f"{name} had no value {value}", f"send or receive {value} as {name}"
    if "const" in schema:
        other = schema["const"] + (1 if isinstance(schema["const"], int) else "-other")
        yield (*place, "const"), other, f"{name} were always {other}", f"send or receive {name}"
    yield from _of_other_types(place, schema, name)


def _of_other_types(place: Place, schema: Document, name: str) -> Iterator[Edit]:
    kind = schema.get("type", "null")
    if isinstance(kind, list):
        for each in kind:
            rest = [other for other in kind if other != each]
            yield (*place, "type"), rest, f"{name} were never {each}", f"send or receive {each} as {name}"
    elif kind != "null":
        other = "integer" if kind == "string" else "string"
        yield (*place, "type"), other, f"{name} were {other}", f"send or receive {name}"
    for keyword in ("anyOf", "oneOf"):
        for index, branch in enumerate(schema.get(keyword, ())):
            rest = [each for at, each in enumerate(schema[keyword]) if at != index]
            branch_name = branch.get("$ref", str(branch.get("type"))).rpartition("/")[2]
            remedy = f"send or receive {branch_name} as {name}"
            yield (*place, keyword), rest, f"{name} were never {branch_name}", remedy


def _widened(document: Document, place: Place, schema: Document, name: str) -> Iterator[Edit]:
    """Each allows a request that the contract does not."""
    yield from _moved(place, schema, name, -1)
    for member in schema.get("required", ()):
        rest = [each for each in schema["required"] if each != member]
        remedy = f"send {name} without {member}, and get 422"
        yield (*place, "required"), rest, f"{name}.{member} were optional", remedy
    for keyword in LOOSE_WITHOUT:
        if keyword in schema:
            remedy = f"send {name} against only its {keyword}, and get 422"
            yield (*place, keyword), DELETED, f"{name} had no {keyword}", remedy
    for member, each in schema.get("properties", {}).items():
        if not Validator(document, each).is_valid(None):
            value = {"anyOf": [each, {"type": "null"}]}
            text, remedy = f"{name}.{member} could be null", f"send null as {name}.{member}, and get 422"
            yield (*place, "properties", member), value, text, remedy


def _is_schema(place: Place) -> bool:
    """Whether a place below `components` or `paths` is that of a schema: all others have no keywords of one."""
    return place[:2] == ("components", "schemas") or "schema" in place


def _nodes(node: Any, place: Place) -> Iterator[tuple[Place, Document]]:
    """Yield each object of the contract except those that are values of its examples, and maps by name."""
    if isinstance(node, list):
        for index, each in enumerate(node):
            yield from _nodes(each, (*place, str(index)))
    elif isinstance(node, dict):
        if not place or place[-1] != "properties":
            yield place, node
        for name, each in node.items():
            is_member = bool(place) and place[-1] == "properties"
            if is_member or name not in {"example", "examples", "links", "default", "info", "servers", "enum"}:
                yield from _nodes(each, (*place, name))


def _referenced(document: Document, node: Any, seen: set[Place] | None = None) -> set[Place]:
    """The places that a value refers to, directly or through others."""
    seen = set() if seen is None else seen
    if isinstance(node, list):
        for each in node:
            _referenced(document, each, seen)
    elif isinstance(node, Mapping):
        if isinstance(ref := node.get("$ref"), str) and (place := place_of(ref)) not in seen:
            seen.add(place)
            _referenced(document, value_at(document, place), seen)
        for each in node.values():
            _referenced(document, each, seen)
    return seen


def _changed(node: Any, place: Place, value: Any) -> Any:
    if not place:
        return value
    if isinstance(node, list):
        at = int(place[0])
        return [*node[:at], _changed(node[at], place[1:], value), *node[at + 1 :]]
    if len(place) == 1 and value is DELETED:
        return {name: each for name, each in node.items() if name != place[0]}
    return {**node, place[0]: _changed(node.get(place[0], {}), place[1:], value)}


def _name(document: Document, place: Place) -> str:
    """The name of a value for people: `Task.title` or `getTask.304.ETag`."""
    node: Any = document
    names: list[str] = []
    for depth, each in enumerate(place):
        node = node[int(each)] if isinstance(node, list) else node[each]
        is_named = depth > 0 and (place[0] == "paths" or depth > 1)
        if place[0] == "paths" and isinstance(node, dict) and isinstance(node.get("operationId"), str):
            names = [node["operationId"]]
        elif place[depth - 1] == "parameters" and isinstance(node, dict) and "name" in node and depth > 2:
            names.append(node["name"])
        elif is_named and (each not in _UNNAMED or place[depth - 1] == "properties"):
            names.append(each)
    return ".".join(names)


_UNNAMED = {"parameters", "responses", "headers", "content", "properties", "schema"}
"""Keys that a name leaves out."""

"""Finds what the engine does not carry in the bodies of requests and responses."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from fastapi_contract.openapi.document import Place, resolve, value_at
from fastapi_contract.openapi.openapi_objects import kind_within
from fastapi_contract.openapi.schema_types import JSON_TYPES, is_file, json_types, members_of, parts_of
from fastapi_contract.openapi.structure import Fault, Structure
from fastapi_contract.openapi.supported import FILE_MEDIA_TYPES, FORM_TYPES, not_supported
from fastapi_contract.validation.media_types import BINARY, FORM, MULTIPART, NDJSON, TEXT


def request_faults(structure: Structure, place: Place) -> Iterator[Fault]:
    """The faults of a request body at `place`, except media types that are not supported."""
    yield from _limit_faults(structure, place)
    yield from json_faults(structure, place)
    for media_type, media in value_at(structure.root, place)["content"].items():
        schema, at = media["schema"], (*place, "content", media_type, "schema")
        if media_type in {FORM, MULTIPART}:
            for text in _form_faults(structure.root, schema, media_type):
                yield Fault(at, text, is_malformed=False)
        elif media_type in {TEXT, BINARY}:
            parts = parts_of(structure.root, schema)
            if media_type != TEXT and any(part.keys() & {"const", "enum", "pattern"} for part in parts):
                text = not_supported(f"values of {media_type} in a schema", ["minLength", "maxLength"])
                yield Fault(at, text, is_malformed=False)
            types = json_types(structure.root, schema)
            if types != {"string"} and not (types == JSON_TYPES and media_type != TEXT):
                yield Fault(at, not_supported(f"{_listed(types)} in {media_type}", ["string"]), is_malformed=False)


def json_faults(structure: Structure, place: Place) -> Iterator[Fault]:
    """The files in the JSON of a request body or a response at `place`."""
    for media_type, media in value_at(structure.root, place).get("content", {}).items():
        if media_type.endswith("json") and has_file(structure.root, media["schema"]):
            at = (*place, "content", media_type, "schema")
            yield Fault(at, file_not_supported(media_type), is_malformed=False)


def _limit_faults(structure: Structure, place: Place) -> Iterator[Fault]:
    """The faults of `x-max-bytes` and `x-max-items` in a request body at `place`."""
    body = value_at(structure.root, place)
    media = {(*place, "content", name): each for name, each in body["content"].items()}
    for at, each in {place: body, **media}.items():
        for name in ("x-max-bytes", "x-max-items"):
            limit = each.get(name, 1)
            if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
                text = f"has an `{name}` that is not an integer from 1: change it."
                yield Fault((*at, name), text, is_malformed=True)


def misplaced_limits(structure: Structure) -> Iterator[Fault]:
    """The faults of an `x-max-items` that would have no effect."""
    for place, kind in structure.kinds.items():
        is_ndjson = kind == "MediaType" and place[-1] == NDJSON and structure.kinds.get(place[:-2]) == "RequestBody"
        if "x-max-items" in value_at(structure.root, place) and not is_ndjson:
            text = not_supported(
                "`x-max-items` here", [f"`x-max-items` beside the schema of {NDJSON} in a request body"]
            )
            yield Fault((*place, "x-max-items"), text, is_malformed=False)


def file_not_supported(where: str) -> str:
    """The predicate of a fault."""
    return not_supported(f"`format: binary` in {where}", FILE_MEDIA_TYPES)


def has_file(document: Mapping[str, Any], schema: Any, kind: str = "Schema", seen: set[int] | None = None) -> bool:
    """Whether a schema or one within it is `format: binary`. `kind` is that of `schema`, such as a map of schemas."""
    seen = set() if seen is None else seen
    if kind == "any" or not isinstance(schema, dict | list) or id(schema) in seen:
        return False
    seen.add(id(schema))
    if isinstance(schema, list):
        return any(has_file(document, each, kind[1:-1], seen) for each in schema)
    if kind == "Schema" and "$ref" in schema:
        return has_file(document, resolve(document, {"$ref": schema["$ref"]}), kind, seen)
    if kind == "Schema" and schema.get("format") == "binary":
        return True
    return any(has_file(document, each, kind_within(kind, name, ()), seen) for name, each in schema.items())


def _form_faults(document: dict[str, Any], schema: dict[str, Any], media_type: str) -> Iterator[str]:
    if json_types(document, schema) != {"object"}:
        yield f"has {media_type} with a schema that is not `type: object`: change it."
        return
    for name, member in members_of(document, schema).items():
        what = f"the member {name} of {media_type}"
        types = json_types(document, member)
        if "array" not in types or types == JSON_TYPES:
            yield from _member_faults(document, member, media_type, what, FORM_TYPES[media_type])
            continue
        if types != {"array"}:
            yield not_supported(f"{_listed(types)} in {what}", ["array alone"])
        items = resolve(document, member).get("items", {})
        supported = [each for each in FORM_TYPES[media_type] if each != "array"]
        yield from _member_faults(document, items, media_type, f"items of {what}", supported)


def _member_faults(
    document: dict[str, Any], member: dict[str, Any], media_type: str, what: str, supported: Collection[str]
) -> Iterator[str]:
    types = json_types(document, member)
    if types != JSON_TYPES and (unsupported := types - {*supported}):
        yield not_supported(f"{_listed(unsupported)} in {what}", supported)
    elif has_file(document, member) and not (media_type == MULTIPART and is_file(document, member)):
        yield file_not_supported(what)


def _listed(types: frozenset[str]) -> str:
    return "any value" if types == JSON_TYPES else " or ".join(sorted(types))

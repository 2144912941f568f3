"""NDJSON in tests: a body or a response as the list of its items, also for schemathesis."""

import json
from collections.abc import Iterable
from typing import Any

import schemathesis
from schemathesis import DeserializationContext, Response, SerializationContext

from fastapi_contract.contract import operations_of
from fastapi_contract.validation.media_types import EVENT_STREAM, NDJSON

_FRAMES = {NDJSON: ("", "\n"), EVENT_STREAM: ("data: ", "\n\n")}


def to_lines(items: Iterable[Any]) -> bytes:
    return b"".join(json.dumps(item).encode() + b"\n" for item in items)


def items_of(text: str, media_type: str = NDJSON) -> list[Any]:
    """The items of NDJSON or of an event stream. Raises ValueError."""
    before, end = _FRAMES[media_type]
    lines = text.removesuffix(end).split(end) if text else []
    return [json.loads(line.removeprefix(before)) for line in lines]


@schemathesis.serializer(NDJSON)
def one_line(_: SerializationContext, value: Any) -> bytes:
    """Makes a request of one line, because the contract has the schema of a line."""
    return value if isinstance(value, bytes) else to_lines([value])


@schemathesis.deserializer(NDJSON)
def all_items(_: DeserializationContext, response: Response) -> list[Any]:
    return items_of(response.content.decode())


def describe_responses(document: Any) -> None:
    """Changes the schemas of responses in NDJSON, which are those of an item, to those of what `all_items` returns."""
    responses = [*document.get("components", {}).get("responses", {}).values()]
    responses += [each for *_, operation in operations_of(document) for each in operation["responses"].values()]
    for media in (each["content"][NDJSON] for each in responses if NDJSON in each.get("content", {})):
        media["schema"] = {"type": "array", "items": media["schema"]}

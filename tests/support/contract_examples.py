"""The examples of a contract, each with the schema that it must fit."""

from collections.abc import Iterator
from typing import Any

import jsonschema_rs

from fastapi_contract.openapi.document import resolve

Document = dict[str, Any]


def examples(document: Document, node: Any = None, place: str = "#") -> Iterator[tuple[str, Any, Any]]:
    """Yield place, schema and value of each example below a part of a document, or below all of it."""
    node = document if node is None else node
    for name, each in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        if name not in {"example", "examples"}:
            yield from examples(document, each, f"{place}/{name}")
        elif name == "example":
            yield f"{place}/example", node["schema"], each
        elif isinstance(each, list):
            yield from ((f"{place}/examples/{index}", node, value) for index, value in enumerate(each))
        elif "schema" in node:
            for key, example in each.items():
                yield f"{place}/examples/{key}", node["schema"], resolve(document, example)["value"]


def misfits(document: Document, schema: Any, example: Any) -> list[str]:
    """Return why an example does not fit its schema."""
    whole = {"components": document["components"], **schema}
    validator = jsonschema_rs.Draft202012Validator(whole, validate_formats=True)
    return [error.message for error in validator.iter_errors(example)]

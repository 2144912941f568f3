"""Judges all changes from one contract to the next: of operations, of names, and of texts.

A name counts if generators name code of a client after it (docs/decisions/0024).
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from fastapi_contract.changes.operation_changes import Change, OperationChanges
from fastapi_contract.changes.schema_changes import Verdict
from fastapi_contract.contract import Contract, Operation, Schema
from fastapi_contract.generation.generated import outline
from fastapi_contract.openapi.document import line_of, place_of, value_at
from fastapi_contract.openapi.openapi_objects import METHODS, OBJECTS, kind_within, values_in

_TYPED_COMPONENTS = ("schemas", "responses", "parameters", "requestBodies", "headers", "pathItems")
"""The components that openapi-typescript and hey-api write types for."""
_ANNOTATIONS = frozenset(
    {"title", "summary", "description", "example", "examples", "externalDocs", "contact", "license", "termsOfService"}
    | {"links", "bearerFormat", "openapi", "$comment", "deprecated"}
)
"""Fields that change no request and no response."""


def changes(old: Contract, new: Contract) -> list[Change]:
    """Returns the changes from `old`, the contract that clients have, to `new`, the worst first."""
    documents = _Documents(old, new)
    found = [
        *OperationChanges(old, new).found(),
        *documents.components(),
        *documents.servers(),
        *documents.calls(),
        *documents.texts(),
    ]
    if not found and old.source != new.source:
        found = [Change(Verdict.NEUTRAL, new.line("#"), ("openapi",), "only the notation changed, and no meaning.")]
    order = [*Verdict]
    return sorted(found, key=lambda change: (order.index(change.verdict), change.line))


class _Documents:
    """Judges what belongs to no operation, or does not follow from what it means."""

    def __init__(self, old: Contract, new: Contract) -> None:
        self._old, self._new = old, new

    def _change(self, verdict: Verdict, place: Sequence[str], text: str) -> Change:
        return Change(verdict, line_of(self._new.lines, tuple(place)), self._named(place), text)

    def _named(self, place: Sequence[str]) -> tuple[str, ...]:
        """A place, with the operationId instead of path and method."""
        ids = (each.id for each in self._new.operations.values() if place[:3] == _place(each))
        found = next(ids, None)
        return tuple(place) if found is None else (found, *place[3:])

    def components(self) -> Iterator[Change]:
        was, now = (each.document.get("components", {}) for each in (self._old, self._new))
        for group in was | now:
            before, after = was.get(group, {}), now.get(group, {})
            is_typed = group in _TYPED_COMPONENTS
            end = "Generated types are named after it." if is_typed else "No generated code is named after it."
            added = [name for name in after if name not in before]
            for name in (each for each in before if each not in after):
                same = [each for each in added if after[each] == before[name]]
                text = f"{name} is now {same[0]}." if same else "is removed."
                verdict = Verdict.BREAKING if is_typed else Verdict.NEUTRAL
                yield self._change(verdict, ("components", group, same[0] if same else name), f"{text} {end}")
            for name in added:
                verdict = Verdict.ADDITIVE if is_typed else Verdict.NEUTRAL
                yield self._change(verdict, ("components", group, name), f"is new. {end}")

    def servers(self) -> Iterator[Change]:
        was, now = (
            [_server(each) for each in by.document.get("servers", [{"url": "/"}])] for by in (self._old, self._new)
        )
        for each in was:
            if each not in now:
                text = f"{each} is removed or changed. A client that calls it finds nothing."
                yield self._change(Verdict.BREAKING, ("servers",), text)
        for index, each in enumerate(now):
            if each not in was:
                yield self._change(Verdict.ADDITIVE, ("servers", str(index)), f"{each} is new. A client may call it.")
        if was[0] in now and was[0] != now[0]:
            text = f"the first was {was[0]} and is {now[0]}. Generated clients call the first."
            yield self._change(Verdict.BREAKING, ("servers", "0"), text)

    def calls(self) -> Iterator[Change]:
        """Webhooks and callbacks, which a client serves: each change of their meaning counts as breaking."""
        was, now = _calls(self._old), _calls(self._new)
        for place in was | now:
            if place not in was:
                text, verdict = "is new. A client need not receive it.", Verdict.ADDITIVE
            elif place not in now:
                text, verdict = "is removed. A client waits for it in vain.", Verdict.BREAKING
            elif _meaning(self._old.document, was[place]) != _meaning(self._new.document, now[place]):
                text, verdict = "is changed. A client that serves the former can fail.", Verdict.BREAKING
            else:
                continue
            yield self._change(verdict, place, text)

    def texts(self) -> Iterator[Change]:
        """The annotations that differ at a place that both documents have."""
        yield from self._texts(self._old.document, self._new.document, "OpenAPI", ())

    def _texts(self, old: Any, new: Any, kind: str, place: tuple[str, ...]) -> Iterator[Change]:
        was, now = ({name: (each, field) for name, each, field in values_in(by, kind, place)} for by in (old, new))
        # Components are groups, one of which is `examples`.
        has_texts = kind in OBJECTS and kind != "Components"
        for name in was | now:
            before, after = was.get(name, (None, "any")), now.get(name, (None, "any"))
            if has_texts and _is_text(kind, name):
                if before[0] != after[0]:
                    yield self._text(name, before[0], after[0], (*place, name))
            elif name in was and name in now:
                yield from self._texts(before[0], after[0], after[1], (*place, name))

    def _text(self, name: str, old: Any, new: Any, place: tuple[str, ...]) -> Change:
        if name == "deprecated" and new:
            # Semantic Versioning 2.0.0, section 7.
            return self._change(Verdict.ADDITIVE, place, "is now deprecated. A client should stop to use it.")
        if name == "x-pattern-error" and _code(old) != _code(new):
            text = f"the `code` of the error was {_code(old)} and is {_code(new)}. Programs read it."
            return self._change(Verdict.BREAKING, place, text)
        return self._change(Verdict.NEUTRAL, place, "is another text. No request and no response changes.")


def _is_text(kind: str, name: str) -> bool:
    is_extension = name.startswith("x-") and name not in {"x-max-bytes", "x-max-items"}
    return kind in {"Tag", "Example"} or name in _ANNOTATIONS or is_extension


def _server(server: Schema) -> str:
    variables = {
        name: {field: value for field, value in variable.items() if field != "description"}
        for name, variable in server.get("variables", {}).items()
    }
    return f"{server['url']} {json.dumps(variables, sort_keys=True)}" if variables else str(server["url"])


def _code(error: Any) -> str:
    return str((error or {}).get("code", "pattern"))


def _place(operation: Operation) -> tuple[str, ...]:
    return "paths", operation.path, operation.method.lower()


def _calls(contract: Contract) -> dict[tuple[str, ...], Any]:
    """The webhooks and callbacks, by their places."""
    found: dict[tuple[str, ...], Any] = {
        ("webhooks", name): hook for name, hook in contract.document.get("webhooks", {}).items()
    }
    for operation in contract.operations.values():
        calls = operation.spec.get("callbacks", {}).items()
        found |= {(*_place(operation), "callbacks", name): call for name, call in calls}
    return found


def _meaning(document: Schema, value: Any) -> str:
    """A webhook or callback without its texts, with all that it refers to."""
    found: dict[str, Any] = {}

    def follow(node: Any) -> None:
        if isinstance(node, dict) and isinstance(ref := node.get("$ref"), str) and ref not in found:
            place = place_of(ref)
            kind = kind_within("Components", place[1], ())[1:-1] if place[0] == "components" else "PathItem"
            found[ref] = outline(value_at(document, place), kind)
            follow(found[ref])
        for each in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            follow(each)

    kind = "PathItem" if any(method in value for method in METHODS) else "Callback"
    written = outline(value, kind)
    follow(written)
    return json.dumps([written, found], sort_keys=True)

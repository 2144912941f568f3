"""Walks an OpenAPI document by the table of its objects: wrong types, missing and unknown fields, broken references."""

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias

from fastapi_contract.openapi.document import Document, Place, place_of, pointer_to, value_at
from fastapi_contract.openapi.openapi_objects import OBJECTS, REFERENCE_SIBLINGS, REFERENCEABLE, kind_within
from fastapi_contract.openapi.schema_types import JSON_TYPES


class Fault(NamedTuple):
    """Something that must be changed in a document."""

    place: Place
    text: str
    """A predicate without its subject, such as "uses `not`, which is not supported."."""
    is_malformed: bool
    """Whether it violates OpenAPI; otherwise it is only not supported here."""


Rule: TypeAlias = Callable[[Any], Iterator[tuple[str, str, bool]]]
"""Checks an object of one kind, and yields the field (or ""), the text and `is_malformed` of each fault."""

_SCALARS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "text": (lambda value: isinstance(value, str), "text"),
    "flag": (lambda value: isinstance(value, bool), "true or false"),
    "number": (lambda value: _is_number(value, int | float), "a number"),
    "count": (lambda value: _is_number(value, int) and value >= 0, "an integer from 0"),
    "type": (
        lambda value: _is_types(value if isinstance(value, list) else [value]),
        "a type of JSON Schema or a list of such types",
    ),
}
_IN_PLACE = frozenset({"allOf", "anyOf", "oneOf"})
_COMPONENT_NAME = re.compile(r"[A-Za-z0-9._-]+")
_NAMES = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}


class Structure:
    """The objects of a document, found by a walk from its root.

    `unsupported` are fields that OpenAPI or JSON Schema define and the engine does not carry, each with what to use
    instead, by kind. `rules` check the objects of a kind.
    """

    def __init__(
        self, document: Document, unsupported: Mapping[str, Mapping[str, str]], rules: Mapping[str, Rule]
    ) -> None:
        self.root = root = document.root
        self.faults: list[Fault] = []
        self.kinds: dict[Place, str] = {}
        """The kind of each object."""
        self._refs: list[tuple[Place, str]] = []
        self._broken = document.broken
        self._graph: dict[Place, list[Place]] = {}
        """What each object consists of without a member or item between: the target of its `$ref`, parts of a union."""
        self._unsupported_fields = unsupported
        self._rules = rules
        self._check(root, "OpenAPI", ())
        for place, ref in self._refs:
            self._check_reference(place, ref)
        self._find_circles()

    def follow(self, place: Place) -> Place:
        """The place of an object, or the one that its `$ref` leads to. The document has no broken references."""
        while "$ref" in (value := value_at(self.root, place)):
            place = place_of(value["$ref"])
        return place

    def refers_to(self, group: str) -> bool:
        """Whether a reference leads to a place in one field of the document, such as `paths`."""
        return any(place_of(ref)[:1] == (group,) for _, ref in self._refs)

    def _malformed(self, place: Place, text: str) -> None:
        self.faults.append(Fault(place, text, is_malformed=True))

    def _unsupported(self, place: Place, text: str) -> None:
        self.faults.append(Fault(place, text, is_malformed=False))

    def _check(self, value: Any, kind: str, place: Place) -> None:
        if kind in OBJECTS:
            self._check_object(value, kind, place)
        elif kind[0] == "{":
            if not isinstance(value, dict):
                self._wrong_type(value, "an object", place)
                return
            for name, each in value.items():
                self._check(each, kind_within(kind, name, place), (*place, name))
        elif kind[0] == "[":
            if not isinstance(value, list):
                self._wrong_type(value, "a list", place)
                return
            for index, each in enumerate(value):
                self._check(each, kind[1:-1], (*place, str(index)))
        elif kind != "any" and not _SCALARS[kind][0](value):
            self._wrong_type(value, _SCALARS[kind][1], place)

    def _wrong_type(self, value: Any, expected: str, place: Place) -> None:
        hint = " Write it in quotes." if expected == "text" and not isinstance(value, dict | list | None) else ""
        name = _NAMES.get(type(value), "a number")
        self._malformed(
            place, f"has `{place[-1] if place else ''}` of the wrong type: {name} instead of {expected}.{hint}"
        )

    def _check_object(self, value: Any, kind: str, place: Place) -> None:
        if isinstance(value, bool) and kind == "Schema":
            if place[-1] != "additionalProperties":
                self._unsupported(place, f"uses the schema `{str(value).lower()}`, which is not supported. Use {{}}.")
            return
        if not isinstance(value, dict):
            self._wrong_type(value, "an object", place)
            return
        self.kinds[place] = kind
        if kind == "Schema" and place[-2] in _IN_PLACE:
            self._graph.setdefault(place[:-2], []).append(place)
        if "$ref" in value and kind in REFERENCEABLE:
            self._add_reference(value, kind, place)
            if kind != "Schema":
                return
        self._check_fields(value, kind, place)
        if kind in self._rules:
            scalars = ((name, each, _SCALARS.get(_FIELDS[kind].get(name, ""))) for name, each in value.items())
            right = {name: each for name, each, scalar in scalars if scalar is None or scalar[0](each)}
            for field, text, is_malformed in self._rules[kind](right):
                self.faults.append(Fault((*place, field) if field else place, text, is_malformed))

    def _add_reference(self, value: Mapping[str, Any], kind: str, place: Place) -> None:
        if isinstance(value["$ref"], str):
            self._refs.append((place, value["$ref"]))
        else:
            self._wrong_type(value["$ref"], "text", (*place, "$ref"))
        for name in value.keys() - REFERENCE_SIBLINGS - {"$ref"} if kind != "Schema" else ():
            self._malformed((*place, name), f"has `{name}` beside a `$ref`, which ignores it: remove one of them.")

    def _check_fields(self, value: Mapping[str, Any], kind: str, place: Place) -> None:
        fields, unsupported = _FIELDS[kind], self._unsupported_fields.get(kind, {})
        for name, each in value.items():
            if name in unsupported:
                self._unsupported((*place, name), f"uses `{name}`, which is not supported. {unsupported[name]}")
            elif name in fields or "*" in fields:
                self._check(each, fields.get(name) or fields["*"], (*place, name))
            elif not name.startswith("x-") and not (name == "$ref" and kind == "Schema"):
                hint = _suggestion(name, fields)
                self._malformed((*place, name), f"has `{name}`, which is not a field of {_named(kind)}. {hint}")
        for name in _REQUIRED[kind]:
            if name not in value:
                self._malformed(place, f"has no `{name}`, which {_named(kind)} requires: add it.")
        if place == ("components",):
            groups = ((group, names) for group, names in value.items() if isinstance(names, dict))
            for group, name in ((group, name) for group, names in groups for name in names):
                if not _COMPONENT_NAME.fullmatch(name):
                    self._malformed((*place, group, name), "has a name with other characters than A-Z a-z 0-9 . _ -")

    def _check_reference(self, place: Place, ref: str) -> None:
        kind, target = self.kinds[place], place_of(ref)
        found = self.kinds.get(target)
        if place in self._broken:
            self._malformed((*place, "$ref"), f"refers to {ref}, {self._broken[place]}")
        elif found == kind:
            self._graph.setdefault(place, []).append(target)
        elif found is not None:
            self._malformed((*place, "$ref"), f"refers to {ref}, which is {_named(found)} and not {_named(kind)}.")
        else:
            names = [
                f"#{pointer_to(each)}"
                for each, other in self.kinds.items()
                if other == kind and each[0] == "components"
            ]
            text = f"refers to {ref}, which is not {_named(kind)} of the contract. {_suggestion(ref, names)}"
            self._malformed((*place, "$ref"), text)

    def _find_circles(self) -> None:
        while True:
            try:
                TopologicalSorter(self._graph).prepare()
            except CycleError as error:
                # graphlib lists a circle so that each object is part of the next one; the first and the last are equal.
                circle: list[Place] = error.args[1]
                part, whole = next((part, whole) for part, whole in pairwise(circle) if whole != part[:-2])
                self._graph[whole].remove(part)
                self._malformed(
                    (*whole, "$ref"), f"refers to #{pointer_to(part)}, which refers back to it without an end."
                )
            else:
                return


def _named(kind: str) -> str:
    return f"{'an' if kind[0] in 'AEIOU' else 'a'} {kind} object"


def _suggestion(name: str, names: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, names, n=1)
    return f"Did you mean {close[0]}?" if close else "Correct or remove it."


def _is_number(value: Any, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _is_types(values: list[Any]) -> bool:
    return (
        bool(values)
        and all(isinstance(each, str) and each in JSON_TYPES for each in values)
        and len({*values}) == len(values)
    )


_FIELDS = {kind: {name.rstrip("!"): each for name, each in fields.items()} for kind, fields in OBJECTS.items()}
_REQUIRED = {kind: [name[:-1] for name in fields if name.endswith("!")] for kind, fields in OBJECTS.items()}

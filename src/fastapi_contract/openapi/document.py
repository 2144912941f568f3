"""Reads an OpenAPI document as YAML 1.2 (core schema), with the line of each value, and follows its references.

The generators and the OpenAPI Specification read YAML 1.2. PyYAML's own constructors read YAML 1.1, in which `no` is
false, `2026-12-31` is a date and `10:30` is 630; so values are made here, from the events of its parser. That takes
4 ms for openapi.yaml, and PyYAML's own loader takes 7 ms.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import quote, unquote

import yaml

Place: TypeAlias = tuple[str, ...]
"""The keys and indexes that lead to a value, as in a JSON Pointer: ("paths", "/tasks", "get", "parameters", "0")."""

MAX_DEPTH = 100
"""Levels of nesting. openapi.yaml has 12."""
MAX_VALUES = 100_000
"""Values after aliases are expanded. openapi.yaml has 1,130."""

# YAML 1.2.2, section 10.3.2. A plain scalar that does not match is text.
_PLAIN = re.compile(
    r"(?P<null>null|Null|NULL|~|)|(?P<bool>true|True|TRUE|false|False|FALSE)|(?P<int>[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)"
    r"|(?P<float>[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))"
)
_FRAGMENT = "!$&'()*+,;=:@/?~"
"""What a fragment contains besides letters, digits and `-._` (RFC 3986, section 3.5)."""
_CORE = "tag:yaml.org,2002:"


class Line(NamedTuple):
    """A line of a file of the contract. As text, it is how a message begins: `openapi.yaml:214`."""

    file: str
    """Relative to the folder of the contract."""
    number: int
    """Counted from 1."""

    def __str__(self) -> str:
        return f"{self.file}:{self.number}"


class UnreadableError(Exception):
    """The text is not YAML, or it expands to more than MAX_DEPTH and MAX_VALUES allow."""

    def __init__(self, line: Line, text: str) -> None:
        super().__init__(text)
        self.line = line


class Document(NamedTuple):
    """The value of a YAML document."""

    root: Any
    """Of JSON's types only."""
    lines: Mapping[Place, Line]
    """The line of each value: that of its key, if it has one."""
    faults: Sequence[tuple[Line, str]]
    """What must be changed although the document can be read, such as duplicate keys: its line, and a sentence."""
    broken: Mapping[Place, str] = MappingProxyType({})
    """The objects whose `$ref` should lead into another file and does not, each with a clause that says why."""


def read(source: bytes, file: str = "openapi.yaml") -> Document:
    """Reads a YAML document, whose name is `file`. Raises UnreadableError.

    read(b"no: 2026-12-31").root  # {"no": "2026-12-31"}
    """
    reader = _Reader(source, file)
    return Document(reader.root, reader.lines, reader.faults)


def line_of(lines: Mapping[Place, Line], place: Place) -> Line:
    """The line of a value; if it is missing or comes from an alias, that of the nearest value around it."""
    while place and place not in lines:
        place = place[:-1]
    return lines[place]


def place_of(pointer: str) -> Place:
    """The place that a JSON Pointer (RFC 6901) leads to, as text or as the fragment of a URI: `#/paths/~1tasks/get`."""
    if pointer.startswith("#"):
        pointer = unquote(pointer[1:])
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])


def pointer_to(place: Place) -> str:
    """The JSON Pointer to a place, percent-encoded as in the fragment of a URI: `/paths/~1tasks/get`."""
    return "".join(f"/{quote(part.replace('~', '~0').replace('/', '~1'), safe=_FRAGMENT)}" for part in place)


def value_at(document: Any, place: Place) -> Any:
    """Returns the value at a place. Raises LookupError if there is none."""
    for part in place:
        if isinstance(document, list) and part in map(str, range(len(document))):
            document = document[int(part)]
        elif isinstance(document, dict):
            document = document[part]
        else:
            raise LookupError(f"There is no {part} in this value.")
    return document


def resolve(document: Mapping[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """Returns what `node` refers to (`$ref` within the document), or `node` itself if it has no `$ref`.

    References may lead to further references. The fields beside a `$ref` are added, and replace those of its target.
    Raises LookupError for a reference that leads nowhere or in a circle; a parsed contract has none.
    """
    passed: set[str] = set()
    while "$ref" in node:
        ref = node["$ref"]
        if ref in passed:
            raise LookupError(f"{ref} leads in a circle.")
        passed.add(ref)
        target = value_at(document, place_of(ref))
        siblings = {name: value for name, value in node.items() if name != "$ref"}
        node = {**target, **siblings} if siblings else target
    return node


class _Reader:
    def __init__(self, source: bytes, file: str) -> None:
        self.faults: list[tuple[Line, str]] = []
        self.lines: dict[Place, Line] = {}
        self._file = file
        self._anchors: dict[str, Any] = {}
        self._open: set[str] = set()
        """The anchors of values that are not complete yet."""
        self._has_aliases = False
        self._line = Line(file, 1)
        self._events: Iterator[yaml.Event] = yaml.parse(source, Loader=yaml.CSafeLoader)
        try:
            self.root = self._document()
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = Line(file, mark.line + 1 if mark else 1)
            problem = " ".join(filter(None, (error.context, error.problem)))
            raise UnreadableError(line, f"This is not YAML: {problem}.") from None
        except yaml.reader.ReaderError as error:
            line = Line(file, source.count(b"\n", 0, error.position) + 1)
            raise UnreadableError(line, f"This is not YAML: {error.reason}.") from None
        if self._has_aliases:
            self._check_size()

    def _document(self) -> Any:
        next(self._events)  # The start of the stream.
        if isinstance(next(self._events), yaml.StreamEndEvent):
            self.lines[()] = self._line
            return None
        root = self._value(next(self._events), ())
        next(self._events)  # The end of the document.
        second = next(self._events)
        if not isinstance(second, yaml.StreamEndEvent):
            raise UnreadableError(self._line_of(second), "A second document starts here: remove it.")
        return root

    def _value(self, event: yaml.Event, place: Place) -> Any:
        self._line = self._line_of(event)
        self.lines.setdefault(place, self._line)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        assert isinstance(event, yaml.NodeEvent)
        anchor = event.anchor
        if anchor is not None:
            self._open.add(anchor)
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event)
        elif len(place) >= MAX_DEPTH:
            raise UnreadableError(self._line, f"Values are nested more than {MAX_DEPTH} levels deep.")
        elif isinstance(event, yaml.MappingStartEvent):
            self._check_tag(event.tag, "map")
            value = self._mapping(place)
        else:
            assert isinstance(event, yaml.SequenceStartEvent)
            self._check_tag(event.tag, "seq")
            value = []
            while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
                value.append(self._value(event, (*place, str(len(value)))))
        if anchor is not None:
            self._open.discard(anchor)
            self._anchors[anchor] = value
        return value

    def _mapping(self, place: Place) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key, line = self._key(event, place), self._line_of(event)
            inner = (*place, key)
            if key in mapping:
                first = self.lines[inner]
                self.faults.append(
                    (line, f"The key {key} appears twice, first in line {first.number}: remove one of them.")
                )
                self._value(next(self._events), (*inner, "second"))
                continue
            self.lines[inner] = line
            mapping[key] = self._value(next(self._events), inner)
        return mapping

    def _key(self, event: yaml.Event, place: Place) -> str:
        """A key is text as it is written: `200:` is "200"."""
        line = self._line_of(event)
        if not isinstance(event, yaml.ScalarEvent):
            key = self._value(event, (*place, "key"))
            if isinstance(key, str):
                return key
            self.faults.append((line, "A key must be text, and not a list or an object."))
            return ""
        if event.anchor is not None:
            self._anchors[event.anchor] = event.value
        text: str = event.value
        if text == "<<" and event.implicit[0]:
            self.faults.append((line, "The merge key << is not part of YAML 1.2: write the members here."))
        return text

    def _alias(self, event: yaml.AliasEvent) -> Any:
        name = event.anchor
        if name in self._open:
            raise UnreadableError(self._line, f"The alias *{name} is part of the value that it stands for.")
        if name not in self._anchors:
            raise UnreadableError(self._line, f"The alias *{name} has no anchor &{name} before it.")
        self._has_aliases = True
        return self._anchors[name]

    def _check_size(self) -> None:
        values, depth, level = 0, 0, [self.root]
        while level:
            values, depth = values + len(level), depth + 1
            if values > MAX_VALUES or depth > MAX_DEPTH + 1:
                raise UnreadableError(
                    self.lines[()], f"Aliases expand to more than {MAX_VALUES} values or {MAX_DEPTH} levels."
                )
            nested = [each for each in level if isinstance(each, dict | list)]
            level = [value for each in nested for value in (each.values() if isinstance(each, dict) else each)]

    def _scalar(self, event: yaml.ScalarEvent) -> Any:
        text: str = event.value
        tag = event.tag
        # The first of the two is set for a plain scalar without a tag.
        kind = _PLAIN.fullmatch(text) if event.implicit[0] or tag not in (None, "!", f"{_CORE}str") else None
        if tag not in (None, "!", f"{_CORE}str", f"{_CORE}{kind and kind.lastgroup}"):
            self._reject_tag(tag)
            return text
        value = _CONVERT[str(kind.lastgroup)](text) if kind else text
        if isinstance(value, float) and not math.isfinite(value):
            self.faults.append((self._line, f"{text[:20]} cannot be written in JSON: write another number."))
            return 0
        return value

    def _check_tag(self, tag: str | None, expected: str) -> None:
        if tag is not None and tag not in {"!", f"{_CORE}{expected}"}:
            self._reject_tag(tag)

    def _reject_tag(self, tag: str) -> None:
        name = tag.replace(_CORE, "!!")
        self.faults.append(
            (self._line, f"The tag {name} does not fit this value, or is not part of YAML 1.2: remove it.")
        )

    def _line_of(self, event: yaml.Event) -> Line:
        assert event.start_mark is not None
        return Line(self._file, event.start_mark.line + 1)


def _to_int(text: str) -> int | float:
    if text.startswith(("0o", "0x")):
        return int(text, 0)
    # Python refuses to convert more than 4,300 digits; as a float they are infinite.
    return int(text) if len(text) <= 400 else math.inf


def _to_float(text: str) -> float:
    return float(text.replace(".", "", 1) if text.lower().endswith(("inf", "nan")) else text)


_CONVERT: dict[str, Callable[[str], Any]] = {
    "null": lambda _: None,
    "bool": lambda text: text.lower() == "true",
    "int": _to_int,
    "float": _to_float,
}

"""Path templates of the contract: which one matches a path, and the URL that one makes.

A concrete path is matched before a templated one (OpenAPI 3.1.1, section 4.8.8.2), whatever their order in the contract
or in the code. The template is chosen first and the method then, so `POST /tasks/stats` is 405 if only GET is defined
there, although `POST /tasks/{task_id}` exists.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from operator import itemgetter
from typing import Any, TypeAlias
from urllib.parse import quote
from uuid import UUID

# Clients remove these segments from a URL (RFC 3986, section 5.2.4), at least if they are not percent-encoded.
_DOT_SEGMENTS = {".": "%2E", "..": "%2E%2E"}
_PARAMETER = re.compile(r"\{([^{}]*)\}")


class PathTemplate:
    """A path of the contract, such as `/tasks/{task_id}:archive`. The names of its parameters may have any characters.

    template = PathTemplate("/tasks/{task_id}:archive")
    template.match("/tasks/5:archive".split("/"))  # {"task_id": "5"}
    template.url({"task_id": "5"})  # "/tasks/5:archive"
    """

    def __init__(self, template: str) -> None:
        self.template = template
        self.names: Sequence[str] = _PARAMETER.findall(template)
        segments = template.split("/")
        self.length = len(segments)
        parts = [_PARAMETER.split(segment) for segment in segments]
        # A parameter is a whole segment, or one of several parts of a segment: ["", name, ""], or ["a-", name, ".ics"].
        self._whole = [(index, each[1]) for index, each in enumerate(parts) if len(each) == 3 and not _is_mixed(each)]
        self._mixed = [(index, _segment(each), each[1::2]) for index, each in enumerate(parts) if _is_mixed(each)]
        literals = [index for index, each in enumerate(parts) if len(each) == 1]
        # The first segment is the empty one before the first slash, so there is at least one.
        self._literals = itemgetter(*literals)
        self._expected = self._literals(segments)

        self.precedence = tuple(_rank(each) for each in parts)
        """Sorts templates: of those that match a path, the first is the most specific."""

    def match(self, segments: Sequence[str]) -> dict[str, Any] | None:
        """Returns the text of each parameter; None if the path does not match or a value is empty.

        `segments` is the decoded path, split at each slash. Their number must be `length`.
        """
        if self._literals(segments) != self._expected:
            return None
        values = {name: segments[index] for index, name in self._whole}
        for index, pattern, names in self._mixed:
            match = pattern.fullmatch(segments[index])
            if match is None:
                return None
            values.update(zip(names, match.groups(), strict=True))
        return values if all(values.values()) else None

    def url(self, values: Mapping[str, Any]) -> str:
        """Returns the path with `values`, each of them percent-encoded as a whole. Raises KeyError if one is missing or
        empty."""
        encoded = {}
        for name in self.names:
            encoded[name] = percent_encoded(values.get(name, ""))
            if not encoded[name]:
                raise KeyError(name)
        return _PARAMETER.sub(lambda match: encoded[match[1]], self.template)


class Paths:
    """The templates of a contract, in the order in which they are tried."""

    def __init__(self, templates: Iterable[str]) -> None:
        self.by_length: dict[int, list[PathTemplate]] = {}
        """By their number of segments."""
        for template in sorted(map(PathTemplate, templates), key=lambda each: each.precedence):
            self.by_length.setdefault(template.length, []).append(template)

    def below(self, prefix: str) -> "Paths":
        """The same templates, each preceded by a path."""
        return Paths(prefix + each.template for group in self.by_length.values() for each in group)

    def find(self, path: str) -> tuple[PathTemplate, dict[str, Any]] | None:
        """Returns the template that a path belongs to, and the text of its parameters."""
        segments = path.split("/")
        for template in self.by_length.get(len(segments), ()):
            if (values := template.match(segments)) is not None:
                return template, values
        return None


Value: TypeAlias = str | int | float | date | UUID
"""Of a parameter in a URL; a `datetime` is a `date`."""


def percent_encoded(value: Value) -> str:
    """The text of a value in a URL, as one segment of a path or one value of a query."""
    text = value.isoformat().replace("+00:00", "Z") if isinstance(value, date) else str(value)
    if value is True or value is False:
        return text.lower()
    # Skip quote() if it changes nothing: most values are ids, numbers and cursors.
    return text if text.isalnum() and text.isascii() else _DOT_SEGMENTS.get(text) or quote(text, safe="")


def _is_mixed(parts: Sequence[str]) -> bool:
    return len(parts) > 3 or (len(parts) == 3 and bool(parts[0] or parts[2]))


def _segment(parts: Sequence[str]) -> re.Pattern[str]:
    """Matches as Starlette does: each parameter takes as much as it can."""
    return re.compile("".join("(.+)" if index % 2 else re.escape(part) for index, part in enumerate(parts)), re.DOTALL)


def _rank(parts: Sequence[str]) -> tuple[int, int]:
    """A literal comes before a part of a segment, and that before a whole segment; more literal text comes first."""
    if len(parts) == 1:
        return 0, 0
    return (1, -sum(map(len, parts[::2]))) if _is_mixed(parts) else (2, 0)

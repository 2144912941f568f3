"""Finds which values of a schema in one document a schema in another document does not allow.

Both are read in normal form, so a `$ref` instead of a copy, or `const` instead of `enum`, is no difference.
"""

import json
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from fastapi_contract.comparison.normal_form import Branch, NormalForm
from fastapi_contract.openapi.directions import Direction
from fastapi_contract.validation import formats

_OPEN = re.compile(r"\bis\s+a\s+minor\s+version\b")
_OPAQUE = re.compile(r"opaque\b", re.IGNORECASE)


def says_open(text: str) -> bool:
    """Whether a description announces further values: "A new type is a minor version." """
    return _OPEN.search(text) is not None


def says_opaque(text: str) -> bool:
    """Whether a description begins with "Opaque": a client must not read the text, and so not rely on its length."""
    return _OPAQUE.match(text) is not None


class Loss(NamedTuple):
    """Values of the inner schema that the outer one does not allow."""

    path: tuple[str, ...]
    keyword: str
    inner: Any
    outer: Any
    sources: tuple[Branch, Branch] | None = None
    is_open: bool = False
    """Whether the outer schema announces further values: a list that grows, or an opaque text of another length."""

    @property
    def key(self) -> tuple[Any, ...]:
        return self.path, self.keyword

    def joined(self, other: "Loss") -> "Loss":
        """The loss of two branches by the same keyword."""
        inner = [*other.inner, *self.inner] if self.keyword == "enum" and self.inner and other.inner else self.inner
        return self._replace(inner=inner, is_open=self.is_open and other.is_open)

    def is_other_tag(self) -> bool:
        """Whether a member has none of the values that it has in the other branch, so that this is another one."""
        both = isinstance(self.inner, list) and isinstance(self.outer, list)
        return both and len(self.path) == 1 and self.keyword == "enum" and not _common(self.inner, self.outer)


class Inclusion:
    """Finds which values of one document's schemas (inner) those of another document (outer) do not allow."""

    def __init__(
        self, inner: NormalForm, outer: NormalForm, direction: Direction, open_members: Collection[str]
    ) -> None:
        self._inner, self._outer = inner, outer
        self._direction = direction
        self._open_members = open_members
        self._found: dict[tuple[int, int], list[Loss]] = {}

    def of(self, inner: Any, outer: Any) -> list[Loss]:
        """Returns the losses, one for each keyword at a place."""
        inner, outer = self._inner.target(inner), self._outer.target(outer)
        key = id(inner), id(outer)
        if key not in self._found:
            # A pair inside itself adds no loss.
            self._found[key] = []
            branches = self._inner.branches(inner), self._outer.branches(outer)
            found: dict[tuple[Any, ...], Loss] = {}
            for branch in branches[0]:
                values = branch.keywords.get("enum")
                if values is None or any(self._is_lost(inner, outer, value) for value in values):
                    for loss in self._closest(branch, *branches):
                        found[loss.key] = loss.joined(found[loss.key]) if loss.key in found else loss
            if any(map(_is_too_large, (*branches[0], *branches[1]))) and _canonical(inner) != _canonical(outer):
                both = (branches[0][0], branches[1][0]) if branches[0] and branches[1] else None
                loss = Loss((), "anyOf", "one", "another", both)
                found[loss.key] = loss
            self._found[key] = [*found.values()]
        return self._found[key]

    def _is_lost(self, inner: Any, outer: Any, value: Any) -> bool:
        return self._inner.allows(inner, value) and not self._outer.allows(outer, value)

    def _closest(self, branch: Branch, inner: Sequence[Branch], outer: Sequence[Branch]) -> list[Loss]:
        """The losses of a branch in the outer one that is closest to it: of the same tag, with the fewest losses."""
        fitting = [other for other in outer if _fits(branch.type, other.type)]
        if not fitting:
            source = (branch, outer[0]) if outer else None
            return [Loss((), "type", _types(inner), _types(outer), source)]
        found = [list(self._branch(branch, other)) for other in fitting]
        best = min(found, key=lambda losses: (any(loss.is_other_tag() for loss in losses), len(losses)))
        tags = [loss for loss in best if loss.is_other_tag()]
        if tags and max(len(inner), len(outer)) > 1:
            # The whole branch is another one: its tag says so, and the rest does not matter.
            return [next((tag for tag in tags if tag.is_open), tags[0])._replace(outer=[])]
        return best

    def _branch(self, inner: Branch, outer: Branch) -> Iterator[Loss]:
        mine, yours = inner.keywords, outer.keywords
        if "enum" in mine or "enum" in yours:
            is_open = any(says_open(str(each.get("description", ""))) for each in outer.sources)
            yield Loss((), "enum", mine.get("enum"), yours.get("enum", "limited"), (inner, outer), is_open)
            return
        checks: Mapping[str, Callable[[Branch, Branch], Iterator[Loss]]] = {
            "string": _text_losses,
            "number": _number_losses,
            "array": self._array,
            "object": self._object,
        }
        kind = "number" if inner.type == "integer" else inner.type
        for name, check in checks.items():
            if kind in {None, name}:
                for loss in check(inner, outer):
                    yield loss if loss.sources else loss._replace(sources=(inner, outer))

    def _array(self, inner: Branch, outer: Branch) -> Iterator[Loss]:
        yield from _counts(inner, outer, "Items")
        if _any(outer, "uniqueItems") and not _any(inner, "uniqueItems"):
            yield Loss((), "uniqueItems", inner=False, outer=True)
        yield from self._under("items", inner.keywords.get("items", True), outer.keywords.get("items", True))

    def _object(self, inner: Branch, outer: Branch) -> Iterator[Loss]:
        mine, yours = self._members(self._inner, inner), self._members(self._outer, outer)
        needed = [{*branch.keywords.get("required", ())} for branch in (inner, outer)]
        rest, others = (each.keywords.get("additionalProperties", True) for each in (inner, outer))
        for name, member in mine.items():
            if name in yours:
                yield from self._under(name, member, yours[name])
                # The default of a required member has no effect.
                if self._direction is Direction.REQUEST and name not in needed[0] | needed[1]:
                    loss = default_loss(self._inner, member, self._outer, yours[name])
                    yield from [] if loss is None else [loss._replace(path=(name,), sources=(inner, outer))]
            else:
                presence = {"required": name in needed[0]}, {"closed": others is False}
                yield Loss((name,), "member", *presence)
                if isinstance(others, dict):
                    yield from self._under(name, member, others)
        absent = self._outer.absent_members(outer, self._direction) - mine.keys()
        for name in sorted(needed[1] - needed[0] - absent):
            # Otherwise the member is new.
            if name in mine or name not in yours:
                yield Loss((name,), "required", inner=False, outer=True)
        yield from _counts(inner, outer, "Properties")
        yield from _sets(inner, outer, "discriminator")
        if others is False and rest is not False:
            yield Loss((), "additionalProperties", "open", "closed")
        elif rest is not False:
            yield from self._under("other members", rest, others)
        names = [next((each[_NAMES] for each in by.sources if _NAMES in each), _ANY_NAME) for by in (inner, outer)]
        yield from self._under("names", *names)

    def _under(self, name: str, inner: Any, outer: Any) -> Iterator[Loss]:
        for loss in self.of(inner, outer):
            is_open = loss.is_open or (name in self._open_members and loss.keyword == "enum" and not loss.path)
            yield loss._replace(path=(name, *loss.path), is_open=is_open)

    def _members(self, form: NormalForm, branch: Branch) -> Mapping[str, Any]:
        absent = form.absent_members(branch, self._direction)
        return {name: each for name, each in branch.keywords.get("properties", {}).items() if name not in absent}


_NAMES = "propertyNames"
_ANY_NAME = {"type": "string"}


def _text_losses(inner: Branch, outer: Branch) -> Iterator[Loss]:
    is_opaque = any(says_opaque(str(each.get("description", ""))) for each in outer.sources)
    yield from (loss._replace(is_open=is_opaque) for loss in _counts(inner, outer, "Length"))
    yield from _sets(inner, outer, "pattern")
    yield from _sets(inner, outer, "format")


def _number_losses(inner: Branch, outer: Branch) -> Iterator[Loss]:
    for name, sign in (("minimum", 1), ("maximum", -1)):
        mine, yours = _limit(inner, name, sign), _limit(outer, name, sign)
        if mine < yours:
            yield Loss((), name, _shown_limit(mine, sign), _shown_limit(yours, sign))
    mine, yours = (each.keywords.get("multipleOf", 1 if each.type == "integer" else None) for each in (inner, outer))
    if yours is not None and (mine is None or Fraction(str(mine)) % Fraction(str(yours)) != 0):
        yield Loss((), "multipleOf", mine, yours)


def _limit(branch: Branch, name: str, sign: int) -> tuple[float, bool]:
    """A bound so that a greater one is narrower, and whether it is exclusive. `sign` is -1 for upper bounds."""
    keywords = branch.keywords
    # The normal form has the formats of text only. Integers without a format have the bounds of int64.
    names = [*(each.get("format") for each in branch.sources), "int64" if branch.type == "integer" else None]
    bounds = [formats.BOUNDS.get(str(each), (-math.inf, math.inf)) for each in names]
    found = [(sign * (least if sign == 1 else greatest), False) for least, greatest in bounds]
    exclusive = f"exclusive{name.capitalize()}"
    found += [(sign * keywords[each], each == exclusive) for each in (name, exclusive) if each in keywords]
    return max(found)


def _shown_limit(limit: tuple[float, bool], sign: int) -> Any:
    number, is_exclusive = sign * limit[0], limit[1]
    return None if math.isinf(number) else f"{number} (exclusive)" if is_exclusive else number


def _counts(inner: Branch, outer: Branch, what: str) -> Iterator[Loss]:
    """The losses by `minLength` and `maxLength`, or those of items or properties."""
    name = f"min{what}"
    # An object with required members has as many.
    required = len(inner.keywords.get("required", ())) if what == "Properties" else 0
    if max(required, mine := _count(inner, name)) < (yours := _count(outer, name)):
        yield Loss((), name, mine or None, yours)
    name = f"max{what}"
    if (mine := _count(inner, name)) > (yours := _count(outer, name)):
        yield Loss((), name, None if mine == math.inf else mine, yours)


def _count(branch: Branch, keyword: str) -> float:
    # The normal form does not have those of properties.
    found: list[float] = [each[keyword] for each in branch.sources if keyword in each]
    return max(found, default=0) if keyword.startswith("min") else min(found, default=math.inf)


def _sets(inner: Branch, outer: Branch, keyword: str) -> Iterator[Loss]:
    """The losses by a keyword that adds a condition each time that `allOf` repeats it."""
    mine, yours = _values(inner, keyword), _values(outer, keyword)
    if yours.keys() - mine.keys():
        yield Loss((), keyword, " and ".join(mine.values()) or None, " and ".join(yours.values()))


def _values(branch: Branch, keyword: str) -> dict[str, str]:
    return {_canonical(each[keyword]): str(each[keyword]) for each in branch.sources if keyword in each}


def _any(branch: Branch, keyword: str) -> bool:
    return any(each.get(keyword) for each in branch.sources)


def _is_too_large(branch: Branch) -> bool:
    """Whether the normal form has given up a schema with more branches than MAX_BRANCHES."""
    unions = any(source.keys() & {"anyOf", "oneOf", "allOf"} for source in branch.sources)
    return branch.type is None and not branch.keywords and unions


def _fits(inner: str | None, outer: str | None) -> bool:
    return outer in {None, inner} or (inner == "integer" and outer == "number")


def default_loss(inner_form: NormalForm, inner: Any, outer_form: NormalForm, outer: Any) -> Loss | None:
    values = inner_form.default(inner), outer_form.default(outer)
    return None if _canonical(values[0]) == _canonical(values[1]) else Loss((), "default", *values)


def _types(branches: Sequence[Branch]) -> str:
    return " or ".join(sorted({branch.type or "any value" for branch in branches})) or "no value"


def _common(one: list[Any], other: list[Any]) -> bool:
    return any(value in other for value in one)


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True)

"""Judges how the values of a schema change from one contract to the next.

A schema of a request may allow more values, but no fewer; one of a response may allow fewer values, but no more. Both
are read in normal form, so a `$ref` instead of a copy, or `const` instead of `enum`, is no change.
"""

from collections.abc import Collection, Iterator
from enum import Enum
from typing import Any, NamedTuple

from fastapi_contract.changes.inclusion import Inclusion, Loss, default_loss
from fastapi_contract.comparison.messages import shown
from fastapi_contract.comparison.normal_form import NormalForm, source_of
from fastapi_contract.contract import Schema
from fastapi_contract.openapi.directions import Direction


class Verdict(Enum):
    """What a change means for a client, and so for the version of the contract."""

    FORBIDDEN = "forbidden"
    BREAKING = "breaking"
    ADDITIVE = "additive"
    NEUTRAL = "neutral"


class SchemaChange(NamedTuple):
    """One keyword or member that allows other values than before."""

    path: tuple[str, ...]
    verdict: Verdict
    text: str
    source: tuple[Schema, str] | None
    """A schema of the new contract and its keyword: where the change is in openapi.yaml."""


class SchemaChanges:
    """Judges schemas of `new` by those of `old`, in one direction. Lists of `open_members` may grow in responses."""

    def __init__(
        self, old: NormalForm, new: NormalForm, direction: Direction, open_members: Collection[str] = frozenset()
    ) -> None:
        self._direction = direction
        self._old, self._new = old, new
        self._narrowed = Inclusion(old, new, direction, open_members)
        self._widened = Inclusion(new, old, direction, open_members)

    def between(self, old: Any, new: Any) -> Iterator[SchemaChange]:
        """Yields the changes from a schema of the old contract to one of the new contract."""
        narrowed = {loss.key: loss for loss in self._narrowed.of(old, new)}
        widened = {loss.key: loss for loss in self._widened.of(new, old)}
        for key in narrowed | widened:
            yield self._change(narrowed.get(key), widened.get(key))

    def default(self, old: Any, new: Any) -> Iterator[SchemaChange]:
        """The change of what a request means if it leaves the value out."""
        if (loss := default_loss(self._old, old, self._new, new)) is not None:
            yield self._change(loss, None)._replace(source=(new, "default"))

    def _change(self, narrowed: Loss | None, widened: Loss | None) -> SchemaChange:
        loss = narrowed or widened
        assert loss is not None
        old = narrowed.inner if narrowed else loss.outer
        new = widened.inner if widened else loss.outer
        source = None
        if loss.sources is not None:
            branch = loss.sources[1 if narrowed else 0]
            source = source_of(branch, "properties" if loss.keyword == "member" else loss.keyword)
        if loss.keyword == "member":
            verdict, text = self._member(loss.path[-1], loss, is_removed=narrowed is not None)
        else:
            is_open = self._direction is Direction.RESPONSE and widened is not None and widened.is_open
            breaks = narrowed if self._direction is Direction.REQUEST else widened
            verdict = Verdict.BREAKING if breaks and not is_open else Verdict.ADDITIVE
            meaning = _announced(loss.keyword) if is_open else self._meaning(loss, verdict)
            text = f"{_described(loss.keyword, old, new)} {meaning}"
        return SchemaChange(loss.path[:-1] if loss.keyword == "member" else loss.path, verdict, text, source)

    def _member(self, name: str, loss: Loss, *, is_removed: bool) -> tuple[Verdict, str]:
        is_request = self._direction is Direction.REQUEST
        if is_removed:
            end = "sends it is rejected or ignored" if is_request else "reads it finds nothing"
            return Verdict.BREAKING, f"the member `{name}` is removed. A client that {end}."
        is_required, is_closed = loss.inner["required"], loss.outer["closed"]
        text = f"the {'required' if is_required else 'optional'} member `{name}` is new."
        if is_request:
            if is_required:
                return Verdict.BREAKING, f"{text} A request without it is rejected."
            return Verdict.ADDITIVE, f"{text} A client may send it."
        if is_closed:
            return Verdict.BREAKING, f"{text} The object was closed, so a client may reject it."
        return Verdict.ADDITIVE, f"{text} A client may read it."

    def _meaning(self, loss: Loss, verdict: Verdict) -> str:
        if loss.keyword == "default":
            return "A request that leaves it out means something else."
        if self._direction is Direction.REQUEST:
            fewer = "A request that was valid can be rejected."
            return fewer if verdict is Verdict.BREAKING else "Every request that was valid stays valid."
        more = "A client can receive what it could not before."
        return more if verdict is Verdict.BREAKING else "Everything that a client can receive it could before."


def _announced(keyword: str) -> str:
    if keyword == "enum":
        return "The contract announces that this list grows."
    return "The text is opaque, so no client relies on its length."


def _described(keyword: str, old: Any, new: Any) -> str:
    if keyword == "required":
        return "is no longer required." if old else "is now required."
    if keyword == "additionalProperties":
        return f"the object was {old} and is {new}."
    if keyword == "enum" and isinstance(old, list) and isinstance(new, list):
        changed = [f"{shown(value)} is new" for value in new if value not in old]
        changed += [f"{shown(value)} is removed" for value in old if value not in new]
        others = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        return f"the value {', '.join(changed[:3])}{others}."
    if keyword == "enum":
        return f"the value was {_values(old)} and is {_values(new)}."
    return f"`{keyword}` was {_value(old)} and is {_value(new)}."


def _values(values: Any) -> str:
    if isinstance(values, list):
        return f"one of {', '.join(map(shown, values))}"
    return "free" if values is None else str(values)


def _value(value: Any) -> str:
    return value if isinstance(value, str) else shown(value)

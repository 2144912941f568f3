"""The lines that describe differences between the contract and the code."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from fastapi_contract.contract import Contract
from fastapi_contract.openapi.document import Line, Place, line_of

MAX_SHOWN = 120
"""Characters of a value in a message."""


class Message(NamedTuple):
    """One difference, in words."""

    line: Line
    place: tuple[str, ...]
    text: str


def listed(messages: list[Message]) -> Iterator[str]:
    """Joins the messages of one difference that has several places, because schemas are shared."""
    same: dict[tuple[Line, str, str], list[Message]] = {}
    for message in messages:
        same.setdefault((message.line, message.place[-1], message.text), []).append(message)
    for (line, _, text), each in same.items():
        places = list(dict.fromkeys(" / ".join(message.place) for message in each))
        others = f" and {len(places) - 1} more" if len(places) > 1 else ""
        yield f"{line}: {places[0]}{others}: {text}"


class Lines:
    """Finds the line of a value of the contract, also if it was reached through references."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._places: dict[int, Place] = {}
        """By the identity of the value."""

    def of(self, value: Any, keyword: str = "") -> Line:
        if not self._places:
            self._note(self._contract.document, ())
        place = self._places.get(id(value), ())
        return line_of(self._contract.lines, (*place, keyword) if keyword else place)

    def _note(self, value: Any, place: Place) -> None:
        if isinstance(value, dict | list) and id(value) not in self._places:
            self._places[id(value)] = place
            for key, each in value.items() if isinstance(value, dict) else enumerate(value):
                self._note(each, (*place, str(key)))


def shown(value: Any) -> str:
    """A value in a message, without the descriptions of a schema."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        value = {name: each for name, each in value.items() if name not in {"description", "title", "examples"}}
    text = json.dumps(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"

"""Compares a schema of the contract with the schema of a type that a handler declares.

The contract's schemas validate each request themselves, so a type may be wider than the contract says. It must not be
narrower: then the service would reject a valid request. A keyword that both have must have the same value.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from enum import Enum
from typing import Any, NamedTuple

from fastapi_contract.comparison.normal_form import Branch, NormalForm, source_of
from fastapi_contract.contract import Schema
from fastapi_contract.openapi.directions import Direction
from fastapi_contract.openapi.schema_types import is_binary


class Side(Enum):
    """Which values of a schema must be values of the other one."""

    REQUEST = "the type must allow each value that the contract allows"
    RESPONSE = "the contract must allow each value that the type allows"
    BOTH = "type and contract must allow the same values"


class Difference(NamedTuple):
    """One keyword or member whose values differ."""

    path: tuple[str, ...]
    """Members, and last the keyword."""
    contract: Any
    """The contract's value; None if it has none."""
    code: Any
    source: tuple[Schema, str] | None = None
    """A schema of the contract and its keyword: where the difference is in openapi.yaml."""

    def under(self, name: str) -> "Difference":
        return self._replace(path=(name, *self.path))


_TYPED = {"date", "date-time", "time", "uuid"}
"""The formats whose values are no text in Python: their types have neither pattern nor length."""
_TEXT_BOUNDS = {"pattern", "minLength", "maxLength"}
_SUBSCHEMAS = {"properties", "required", "items", "additionalProperties"}


class Comparison:
    """Compares schemas of `contract`, a document, with schemas of `code`, another one."""

    def __init__(self, contract: NormalForm, code: NormalForm, side: Side, direction: Direction) -> None:
        self._contract, self._code = contract, code
        self._direction = direction
        self._side = side
        self._needs_wide_code = side is not Side.RESPONSE
        self._needs_wide_contract = side is not Side.REQUEST
        self._found: dict[tuple[int, int], list[Difference]] = {}

    def differences(self, contract: Any, code: Any) -> list[Difference]:
        """Returns the differences of two schemas, with paths relative to them."""
        key = id(contract), id(code)
        if key not in self._found:
            # A pair inside itself adds no difference.
            self._found[key] = []
            self._found[key] = list({each.path: each for each in self._schema(contract, code)}.values())
        return self._found[key]

    def _schema(self, contract: Any, code: Any) -> Iterator[Difference]:
        expected, actual = self._contract.branches(contract), self._code.branches(code)
        if self._needs_wide_code:
            for branch in expected:
                yield from self._closest([(branch, each) for each in actual], expected, actual)
        if self._needs_wide_contract:
            for branch in actual:
                yield from self._closest([(each, branch) for each in expected], expected, actual)

    def _closest(
        self, pairs: list[tuple[Branch, Branch]], expected: list[Branch], actual: list[Branch]
    ) -> list[Difference]:
        """The differences of the pair that has the fewest."""
        found = [list(self._branch(*pair)) for pair in pairs if self._fits(*pair)]
        if found:
            return min(found, key=len)
        source = source_of(expected[0], "type") if expected else None
        both = {each.type for each in expected} & {each.type for each in actual} & {"null"}
        return [Difference(("type",), _types(expected, both), _types(actual, both), source)]

    def _fits(self, contract: Branch, code: Branch) -> bool:
        if contract.type == code.type:
            return True
        # A branch without a type allows values of each type.
        return (code.type is None and self._side is Side.REQUEST) or (
            contract.type is None and self._side is Side.RESPONSE
        )

    def _branch(self, contract: Branch, code: Branch) -> Iterator[Difference]:
        expected, actual = contract.keywords, code.keywords
        skipped = _SUBSCHEMAS | {name for name in ("multipleOf",) if not is_binary(expected.get(name, 1))}
        skipped |= {"format"} if "format" not in actual or self._side is Side.RESPONSE else set()
        if "format" in expected and (actual.get("format") in {None, *_TYPED}):
            skipped |= _TEXT_BOUNDS if actual.get("format") in _TYPED else _TEXT_BOUNDS - expected.keys()
        for name in sorted((expected.keys() | actual.keys()) - skipped):
            mine, yours = expected.get(name), actual.get(name)
            if _canonical(mine) != _canonical(yours) and not self._may_lack(mine, yours):
                yield Difference((name,), mine, yours, source_of(contract, name))
        yield from self._required(contract, expected.get("required", ()), actual)
        yield from self._members(contract, expected.get("properties", {}), actual.get("properties", {}))
        yield from self._values(contract, actual)
        for each in self.differences(expected.get("items", True), actual.get("items", True)):
            yield each.under("items")

    def _may_lack(self, contract: Any, code: Any) -> bool:
        """Whether one of the two may lack a keyword that the other has: whichever may be wider."""
        if self._side is Side.REQUEST:
            return code is None
        return self._side is Side.RESPONSE and contract is None

    def _required(self, contract: Branch, expected: Any, actual: Mapping[str, Any]) -> Iterator[Difference]:
        expected = {*expected} - self._contract.absent_members(contract, self._direction)
        names = {*expected} ^ {*actual.get("required", ())}
        # A member with a default is always present in a response.
        defaults = {name for name, each in actual.get("properties", {}).items() if "default" in each}
        for name in sorted(names):
            is_expected = name in expected
            if self._needs_wide_contract if is_expected else self._needs_wide_code and name not in defaults:
                yield Difference((f"required {name}",), is_expected, not is_expected, source_of(contract, "required"))

    def _members(
        self, contract: Branch, expected: Mapping[str, Any], actual: Mapping[str, Any]
    ) -> Iterator[Difference]:
        for name in sorted(expected.keys() | actual.keys()):
            if name not in actual and name in self._contract.absent_members(contract, self._direction):
                continue
            if name not in expected or name not in actual:
                source = source_of(contract, "properties")
                yield Difference((name,), _shown(expected.get(name)), _shown(actual.get(name)), source)
                continue
            for each in self.differences(expected[name], actual[name]):
                yield each.under(name)
            # The default of a required member has no effect.
            if self._side is not Side.RESPONSE and name not in contract.keywords.get("required", ()):
                yield from default_difference(self._contract, expected[name], self._code, actual[name], under=name)

    def _values(self, contract: Branch, actual: Mapping[str, Any]) -> Iterator[Difference]:
        """Compares `additionalProperties`."""
        mine, yours = (each.get("additionalProperties", True) for each in (contract.keywords, actual))
        if mine is False or yours is False:
            narrower = self._needs_wide_code if yours is False else self._side is Side.BOTH
            if mine != yours and narrower:
                source = source_of(contract, "additionalProperties")
                yield Difference(("additionalProperties",), _shown(mine), _shown(yours), source)
            return
        # Values of a model's members are compared as such; a model keeps no others.
        if not actual.get("properties"):
            for each in self.differences(mine, yours):
                yield each.under("additionalProperties")


def default_difference(
    contract: NormalForm, expected: Any, code: NormalForm, actual: Any, *, under: str = ""
) -> Iterator[Difference]:
    """Compares the defaults of two schemas. A default of null is the same as none."""
    mine, yours = contract.default(expected), code.default(actual)
    if _canonical(mine) != _canonical(yours):
        path = (under, "default") if under else ("default",)
        yield Difference(path, mine, yours, (expected, "default"))


def _types(branches: list[Branch], without: Collection[str | None]) -> str:
    names = {branch.type or "any value" for branch in branches if branch.type not in without}
    return " or ".join(sorted(names)) or "no value"


def _shown(schema: Any) -> Any:
    """A schema in a message: without what is nested in it."""
    if not isinstance(schema, dict):
        return schema
    return {name: value for name, value in schema.items() if not isinstance(value, dict | list)} or schema


def _canonical(value: Any) -> str:
    return json.dumps(sorted(value, key=json.dumps) if isinstance(value, list) else value, sort_keys=True)

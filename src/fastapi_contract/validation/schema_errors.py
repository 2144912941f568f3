"""Converts the errors of jsonschema-rs to those of a problem: code, sentence, limit, and the place in the value."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

from jsonschema_rs import ValidationError
from jsonschema_rs import ValidationErrorKind as Kind

from fastapi_contract.contract import Schema
from fastapi_contract.validation.formats import SENTENCES as FORMATS
from fastapi_contract.validation.input_errors import MAX_DETAIL, MAX_ERRORS, Code, InputError, pointer_of

WHOLE = "x-whole"
"""Keyword that rejects 1.0 as an integer."""
READ_ONLY = "x-read-only"
"""Keyword that rejects a member that is readOnly."""
TAGS = "x-tags"
"""Keyword with the tags of a union: `property`, and the index of each tag's branch in `branches`."""

_Path: TypeAlias = tuple[str | int, ...]


class _Fault(NamedTuple):
    path: _Path
    code: Code
    detail: str
    limit: float | None = None
    rank: int = 1
    """Of several errors at one place the one with the least rank is reported: the type or the format, rather than
    that the value is too long, rather than that it does not match the pattern."""


_SENTENCES: dict[type[Kind], tuple[Code, str]] = {
    Kind.MinLength: ("too_short", "Must have at least {} character{}."),
    Kind.MaxLength: ("too_long", "Must have at most {} character{}."),
    Kind.Minimum: ("too_small", "Must be at least {}."),
    Kind.ExclusiveMinimum: ("too_small", "Must be greater than {}."),
    Kind.Maximum: ("too_large", "Must be at most {}."),
    Kind.ExclusiveMaximum: ("too_large", "Must be less than {}."),
    Kind.MultipleOf: ("multiple_of", "Must be a multiple of {}."),
    Kind.MinItems: ("too_few", "Must have at least {} item{}."),
    Kind.MaxItems: ("too_many", "Must have at most {} item{}."),
    Kind.MinProperties: ("too_few", "Must have at least {} member{}."),
    Kind.MaxProperties: ("too_many", "Must have at most {} member{}."),
    Kind.UniqueItems: ("duplicate_items", "Must not have the same item twice."),
    Kind.OneOfMultipleValid: ("several_matches", "Must fit exactly one of the allowed forms, but fits several."),
    Kind.FalseSchema: ("unknown_member", "Must not be sent."),
}
"""With the limit and the plural of its noun, if there is a limit."""
_TYPES = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
_PATTERNS: dict[str, str] = {"blank": "Must not be blank.", "pattern": "Is not in the required form."}


class SchemaErrors:
    """The errors of one value."""

    def __init__(self, schema: Schema, value: Any, parameter: str | None, within: Sequence[str | int]) -> None:
        """`schema` is the one of the validator; `parameter` locates all errors, if the value is that of a parameter;
        `within` is the place of the value in the body."""
        self._schema = schema
        self._value = value
        self._parameter = parameter
        self._within = within

    def of(self, errors: Iterable[ValidationError]) -> list[InputError]:
        """Returns one error for each place, and at most MAX_ERRORS + 1."""
        faults: dict[_Path, _Fault] = {}
        # Unknown members last: there may be thousands, and they must not displace the errors of known ones.
        for fault in self._faults(sorted(errors, key=lambda error: isinstance(error.kind, Kind.AdditionalProperties))):
            place = fault.path if self._parameter is None else ()
            if place not in faults or fault.rank < faults[place].rank:
                faults[place] = fault
            if len(faults) > MAX_ERRORS:
                break
        return [self._located(fault) for fault in faults.values()]

    def _located(self, fault: _Fault) -> InputError:
        if self._parameter is not None:
            return InputError(fault.code, fault.detail, limit=fault.limit, parameter=self._parameter)
        return InputError(fault.code, fault.detail, limit=fault.limit, pointer=pointer_of((*self._within, *fault.path)))

    def _faults(self, errors: Iterable[ValidationError]) -> Iterator[_Fault]:
        for error in errors:
            kind, path = error.kind, tuple(error.instance_path)
            if isinstance(kind, Kind.AnyOf | Kind.OneOfNotValid):
                yield from self._union(error, kind.context)
            elif isinstance(kind, Kind.PropertyNames):
                place = (*path, str(kind.error.instance))
                for fault in self._faults([kind.error]):
                    yield fault._replace(path=place, detail=f"The name of this member: {fault.detail}")
            else:
                yield from _convert(path, kind, _at(self._schema, error.schema_path[:-1]))

    def _union(self, error: ValidationError, branches: list[list[ValidationError]]) -> Iterator[_Fault]:
        """The errors of the branch of an anyOf or oneOf that the value was meant for."""
        path = tuple(error.instance_path)
        value = _at(self._value, path)
        if isinstance(value, dict) and (tags := _at(self._schema, error.schema_path[:-1]).get(TAGS)):
            tag = value.get(tags["property"])
            place = (*path, tags["property"])
            if tags["property"] not in value:
                yield _Fault(place, "required", "Is required.")
            elif isinstance(tag, str) and tag in tags["branches"]:
                yield from self._faults(branches[tags["branches"][tag]])
            else:
                yield _one_of(place, list(tags["branches"]))
            return
        own: list[list[ValidationError]] = [
            branch for branch in branches if not any(_types(each, path) for each in branch)
        ]
        if not own:
            yield _of_another_type(path, branches)
            return
        choices = [_choices(branch, path) for branch in own]
        common = set(choices[0]).intersection(*choices)
        if len(own) > 1 and common:
            # All branches are told apart by the value at this place, and it fits none of them.
            place = min(common, key=len)
            yield _one_of(place, [value for each in choices for value in each[place]])
            return
        best: list[ValidationError] = min(own, key=lambda branch: (len(_choices(branch, path)), len(branch)))
        yield from self._faults(best)


def _of_another_type(path: _Path, branches: list[list[ValidationError]]) -> _Fault:
    """The error of a value that has the type of no branch."""
    kinds = [kind for branch in branches for error in branch for kind in _types(error, path)]
    valued = [choices for branch in branches if (choices := _choices(branch, path).get(path))]
    if len(valued) == 1 and len(branches) == 1 + kinds.count("null"):
        return _one_of(path, [*valued[0], None])
    return _type(path, kinds)


def _types(error: ValidationError, path: _Path) -> list[str]:
    """The types of which a value is not, if that is the error; empty for another error."""
    if tuple(error.instance_path) != path:
        return []
    kind = error.kind
    if isinstance(kind, Kind.Type):
        return kind.types
    if isinstance(kind, Kind.Custom) and kind.keyword == WHOLE:
        return ["integer"]
    if isinstance(kind, Kind.AnyOf | Kind.OneOfNotValid):
        found = [[kind for each in branch for kind in _types(each, path)] for branch in kind.context]
        return [kind for kinds in found for kind in kinds] if all(found) else []
    return []


def _choices(branch: Sequence[ValidationError], path: _Path) -> dict[_Path, list[Any]]:
    """The values that a branch allows, by the place at which the value is another: the value itself, or a member."""
    return {
        tuple(error.instance_path): _options(error.kind)
        for error in branch
        if isinstance(error.kind, Kind.Constant | Kind.Enum) and len(error.instance_path) <= len(path) + 1
    }


def _options(kind: Kind.Constant | Kind.Enum) -> list[Any]:
    return [kind.expected_value] if isinstance(kind, Kind.Constant) else list(kind.options)


def _one_of(path: _Path, options: Sequence[Any]) -> _Fault:
    texts = list(dict.fromkeys(each if isinstance(each, str) else json.dumps(each) for each in options))
    if len(texts) == 1:
        return _Fault(path, "not_one_of", f"Must be {texts[0]}.")
    return _Fault(path, "not_one_of", f"Must be one of: {', '.join(texts)}"[: MAX_DETAIL - 1] + ".")


def _type(path: _Path, kinds: Sequence[str]) -> _Fault:
    words = [word for kind, word in _TYPES.items() if kind in kinds]
    phrase = " or ".join([", ".join(words[:-1]), words[-1]] if words[1:] else words)
    return _Fault(path, "type", f"Must be {phrase}.", rank=0)


def _convert(path: _Path, kind: Kind, schema: Schema) -> Iterator[_Fault]:
    """Converts an error of a keyword; `schema` is the one that has the keyword."""
    match kind:
        case Kind.Required(name):
            yield _Fault((*path, name), "required", "Is required.")
        case Kind.AdditionalProperties(names) | Kind.UnevaluatedProperties(names):
            members = schema.get("properties", {}).items()
            known = ", ".join(name for name, member in members if member != {READ_ONLY: True}) or "none"
            for name in names:
                yield _Fault((*path, name), "unknown_member", f"Unknown member. Known members: {known}.")
        case Kind.Type(types):
            # The values are the better help, and say the type.
            yield _type(path, types)._replace(rank=2 if "enum" in schema or "const" in schema else 0)
        case Kind.Enum() | Kind.Constant():
            yield _one_of(path, _options(kind))
        case Kind.Format(name):
            yield _Fault(path, "format", FORMATS.get(name, _PATTERNS["pattern"]), rank=0)
        case Kind.Pattern():
            error = schema.get("x-pattern-error", {})
            code = error.get("code", "pattern")
            detail = error.get("detail", _PATTERNS.get(code, _PATTERNS["pattern"]))
            yield _Fault(path, code, detail, rank=2)
        case Kind.Custom(keyword):
            yield _convert_own(path, keyword, schema)
        case _:
            code, detail = _SENTENCES.get(type(kind), ("invalid", "Is not valid."))
            limit = _limit(kind)
            yield _Fault(path, code, detail.format(limit, "" if limit == 1 else "s"), limit)


def _convert_own(path: _Path, keyword: str, schema: Schema) -> _Fault:
    if keyword == READ_ONLY:
        return _Fault(path, "read_only", "Must not be sent, because the service sets it.")
    if "enum" in schema or "const" in schema:
        return _one_of(path, schema.get("enum", [schema.get("const")]))
    return _type(path, [schema["type"]] if isinstance(schema["type"], str) else schema["type"])


def _limit(kind: Kind) -> int | float | None:
    limit = getattr(kind, "multiple_of", getattr(kind, "limit", None))
    if limit is None:
        return None
    # jsonschema-rs returns 5 as 5.0; a limit such as 3.4e38 stays short.
    return int(limit) if limit == int(limit) and abs(limit) < 2**64 else float(limit)


def _at(node: Any, path: Iterable[str | int]) -> Any:
    for token in path:
        # jsonschema-rs returns a name of digits as a number.
        node = node[str(token)] if isinstance(node, dict) else node[token]
    return node

"""Judges the changes of operations from one contract to the next by what each means for a client.

Operations are paired by method and path, and compared by meaning: what their references lead to, and in the direction
in which a value is sent (docs/decisions/0024).
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from fastapi_contract.changes.inclusion import says_open
from fastapi_contract.changes.schema_changes import SchemaChange, SchemaChanges, Verdict
from fastapi_contract.comparison.messages import Lines
from fastapi_contract.comparison.normal_form import NormalForm
from fastapi_contract.contract import Alternatives, Contract, Operation, Schema
from fastapi_contract.openapi.directions import Direction
from fastapi_contract.openapi.document import Line, resolve
from fastapi_contract.openapi.openapi_objects import parameter_key
from fastapi_contract.openapi.supported import PROBLEM_MEDIA_TYPES, STYLES
from fastapi_contract.validation.bodies import MAX_BODY, MAX_LINES

_FORBIDDEN, _BREAKING, _ADDITIVE, _NEUTRAL = Verdict


_NEW_ERROR = _ADDITIVE, "A client treats an unknown error by its class (RFC 9110, section 15)."
_NEW_SUCCESS = _BREAKING, "A client does not know this success."
_NEW_STATUS = {
    "304": (_ADDITIVE, "Only a request with If-None-Match gets it, which a client of the old contract does not send.")
}


class _Limit(NamedTuple):
    """An extension of a media type, or of the request body around it, that limits bodies."""

    name: str
    default: int
    lower: str
    """What a lower limit means for a client."""
    higher: str


_LIMITS = (
    _Limit("x-max-bytes", MAX_BODY, "A larger body gets 413.", "A client may send larger bodies."),
    _Limit("x-max-items", MAX_LINES, "A body of more lines gets 422.", "A client may send more lines."),
)


class Change(NamedTuple):
    """One change, in words."""

    verdict: Verdict
    line: Line
    place: tuple[str, ...]
    """The operation and the place in it, or the place in the document."""
    text: str


class OperationChanges:
    """Judges the operations of `new`, a contract, by those of the one that clients have, `old`."""

    def __init__(self, old: Contract, new: Contract) -> None:
        self._old, self._new = old, new
        self._lines = Lines(new)
        forms = NormalForm(old.document), NormalForm(new.document)
        self._request = SchemaChanges(*forms, Direction.REQUEST)
        self._response = SchemaChanges(*forms, Direction.RESPONSE)
        is_open = says_open(old.document["info"].get("description", ""))
        self._problem = SchemaChanges(*forms, Direction.RESPONSE, {"type"} if is_open else ())

    def found(self) -> Iterator[Change]:
        """Yields each change of meaning, once for each operation that it concerns."""
        old, new = ({_route(each): each for each in by.operations.values()} for by in (self._old, self._new))
        names = {each.id: each for route, each in new.items() if route not in old}
        for route, operation in old.items():
            if route in new:
                yield from self._operation(operation, new[route])
                continue
            now = names.pop(operation.id, None)
            if now is None:
                verdict, end = _removal(operation)
                text = f"{_written(operation)} is removed {end}"
                yield self._change(verdict, self._new.document["paths"], (operation.id,), text)
                continue
            text = f"was {_written(operation)} and is {_written(now)}. A client that calls the former gets 404 or 405."
            yield self._change(_BREAKING, now.spec, (operation.id,), text)
        for operation in names.values():
            text = f"{_written(operation)} is new. A client may call it."
            yield self._change(_ADDITIVE, operation.spec, (operation.id,), text)

    def _change(self, verdict: Verdict, at: Any, place: Sequence[str], text: str, keyword: str = "") -> Change:
        return Change(verdict, self._lines.of(at, keyword), tuple(place), text)

    def _from_schema(self, changes: Iterable[SchemaChange], at: Any, place: Sequence[str]) -> Iterator[Change]:
        for each in changes:
            source, keyword = each.source or (at, "")
            yield self._change(each.verdict, source, (*place, *each.path), each.text, keyword)

    def _operation(self, old: Operation, new: Operation) -> Iterator[Change]:
        place = (new.id,)
        if old.id != new.id:
            text = f"the operationId was {old.id}. Generated clients name a function after it."
            yield self._change(_BREAKING, new.spec, place, text, "operationId")
        was, now = (each.spec.get("tags", []) for each in (old, new))
        if was != now:
            loses = was[:1] != now[:1] or not {*was} <= {*now}
            verdict = _BREAKING if loses else _ADDITIVE if {*was} < {*now} else _NEUTRAL
            text = f"the tags were {_list(was)} and are {_list(now)}. Generated clients name modules after them."
            yield self._change(verdict, new.spec, place, text, "tags")
        yield from self._security(old, new)
        yield from self._parameters(old, new)
        yield from self._body(old, new)
        yield from self._responses(old, new)

    def _security(self, old: Operation, new: Operation) -> Iterator[Change]:
        was, now = _credentials(self._old, old.security), _credentials(self._new, new.security)
        lost, gained = (
            [each for each in was if not _accepted(each, now)],
            [each for each in now if not _accepted(each, was)],
        )
        place, shown = (new.id, "security"), [" or ".join(_names(each)) for each in (old.security, new.security)]
        if lost:
            text = f"was {shown[0]} and is {shown[1]}. Credentials that were accepted are rejected."
            yield self._change(_BREAKING, new.spec, place, text, "security")
        elif gained:
            text = f"was {shown[0]} and is {shown[1]}. A client may use other credentials."
            yield self._change(_ADDITIVE, new.spec, place, text, "security")

    def _parameters(self, old: Operation, new: Operation) -> Iterator[Change]:
        was, now = ({parameter_key(each): each for each in by.parameters} for by in (old, new))
        for where, name in was | now:
            before, after = was.get((where, name)), now.get((where, name))
            place = (new.id, f"{where} {name}")
            if after is None:
                text = "the parameter is removed. A client that sends it is rejected, or it has no effect any more."
                yield self._change(_BREAKING, new.spec, place, text, "parameters")
            elif before is None:
                required = after.get("required", False)
                verdict, text = (_BREAKING, "the required parameter is new. A request without it is rejected.")
                if not required:
                    verdict, text = (_ADDITIVE, "the optional parameter is new. A client may send it.")
                yield self._change(verdict, after, place, text)
            else:
                yield from self._required(before, after, place)
                if _style(before) != _style(after):
                    styles = f"was written as {_list(_style(before))} and is written as {_list(_style(after))}"
                    text = f"the value {styles}. Requests that were valid are read differently."
                    yield self._change(_BREAKING, after, place, text)
                schemas = before.get("schema", {}), after.get("schema", {})
                yield from self._from_schema(self._request.between(*schemas), after, place)
                if not after.get("required"):
                    yield from self._from_schema(self._request.default(*schemas), after, place)

    def _required(self, before: Schema, after: Schema, place: Sequence[str]) -> Iterator[Change]:
        was, now = (each.get("required", False) for each in (before, after))
        if now and not was:
            yield self._change(
                _BREAKING, after, place, "is now required. A request without it is rejected.", "required"
            )
        elif was and not now:
            yield self._change(_ADDITIVE, after, place, "is no longer required. A client may leave it out.", "required")

    def _body(self, old: Operation, new: Operation) -> Iterator[Change]:
        before, after = (
            resolve(by.document, each.spec.get("requestBody", {})) for by, each in ((self._old, old), (self._new, new))
        )
        place = (new.id, "body")
        if not before or not after:
            if before:
                text = "the request body is removed. A client that sends one is rejected, or it has no effect any more."
                yield self._change(_BREAKING, new.spec, place, text)
            elif after:
                verdict = _BREAKING if after.get("required") else _ADDITIVE
                text = f"the {'required' if after.get('required') else 'optional'} request body is new."
                yield self._change(verdict, after, place, text)
            return
        yield from self._required(before, after, place)
        was, now = _by_name(before["content"]), _by_name(after["content"])
        for name in was | now:
            if name not in now:
                text = f"the media type {name} is removed. A client that sends it gets 415."
                yield self._change(_BREAKING, after, place, text, "content")
            elif name not in was:
                yield self._change(_ADDITIVE, now[name], place, f"the media type {name} is new. A client may send it.")
            else:
                for limit in _LIMITS:
                    yield from self._limit(limit, {**before, **was[name]}, {**after, **now[name]}, now[name], place)
                schemas = was[name]["schema"], now[name]["schema"]
                yield from self._from_schema(self._request.between(*schemas), now[name], place)

    def _limit(
        self, limit: "_Limit", before: Schema, after: Schema, at: Schema, place: Sequence[str]
    ) -> Iterator[Change]:
        old, new = (each.get(limit.name, limit.default) for each in (before, after))
        if old != new:
            verdict, end = (_BREAKING, limit.lower) if new < old else (_ADDITIVE, limit.higher)
            yield self._change(verdict, at, place, f"`{limit.name}` was {old} and is {new}. {end}")

    def _responses(self, old: Operation, new: Operation) -> Iterator[Change]:
        for status in old.responses | new.responses:
            before, after = old.responses.get(status), new.responses.get(status)
            place, is_error = (new.id, status), status >= "4"
            if after is None:
                end = "The service no longer answers it." if is_error else "A client waits for it in vain."
                verdict = _ADDITIVE if is_error else _BREAKING
                yield self._change(verdict, new.spec, place, f"the status is removed. {end}", "responses")
            elif before is None:
                verdict, end = _NEW_STATUS.get(status, _NEW_ERROR if is_error else _NEW_SUCCESS)
                yield self._change(verdict, after, place, f"the status is new. {end}")
            else:
                yield from self._headers(before, after, place)
                yield from self._content(before, after, place)

    def _headers(self, before: Schema, after: Schema, place: Sequence[str]) -> Iterator[Change]:
        was, now = (
            {name.lower(): (name, resolve(by.document, header)) for name, header in each.get("headers", {}).items()}
            for by, each in ((self._old, before), (self._new, after))
        )
        for key in was | now:
            name = (now if key in now else was)[key][0]
            at = (*place, f"header {name}")
            if key not in now:
                yield self._change(
                    _BREAKING, after, at, "the header is removed. A client that reads it finds nothing.", "headers"
                )
            elif key not in was:
                yield self._change(_ADDITIVE, after, at, "the header is new. A client may read it.", "headers")
            else:
                (_, before_header), (_, after_header) = was[key], now[key]
                required = [each.get("required", False) for each in (before_header, after_header)]
                if required == [True, False]:
                    text = "is no longer required. A client that relies on it can find nothing."
                    yield self._change(_BREAKING, after_header, at, text, "required")
                elif required == [False, True]:
                    yield self._change(
                        _ADDITIVE, after_header, at, "is now required. A client may rely on it.", "required"
                    )
                schemas = before_header.get("schema", {}), after_header.get("schema", {})
                yield from self._from_schema(self._response.between(*schemas), after_header, at)

    def _content(self, before: Schema, after: Schema, place: Sequence[str]) -> Iterator[Change]:
        was, now = (_by_name(each.get("content", {})) for each in (before, after))
        for name in was | now:
            if name not in now:
                text = f"the media type {name} is removed. A client that reads it finds another, or nothing."
                yield self._change(_BREAKING, after, place, text, "content")
            elif name not in was:
                text = f"the media type {name} is new. A client may ask for it."
                yield self._change(_ADDITIVE, now[name], place, text)
            else:
                side = self._problem if name in PROBLEM_MEDIA_TYPES else self._response
                changes = side.between(was[name]["schema"], now[name]["schema"])
                yield from self._from_schema(changes, now[name], place)
        if was.keys() <= now.keys() and [*was][:1] != [*now][:1] and was:
            first = f"the first media type was {next(iter(was))} and is {next(iter(now))}."
            text = f"{first} A client without an Accept header gets another."
            yield self._change(_BREAKING, after, place, text, "content")


def _route(operation: Operation) -> tuple[str, str]:
    return operation.method, re.sub(r"\{[^}]*\}", "{}", operation.path)


def _removal(operation: Operation) -> tuple[Verdict, str]:
    """An operation may end on the day that its clients were told, in the header Sunset (RFC 8594)."""
    sunset = operation.spec.get("x-sunset")
    if sunset is None:
        return _FORBIDDEN, "without a sunset. Deprecate it first, and release that."
    if datetime.now(UTC).date().isoformat() < sunset:
        return _FORBIDDEN, f"before its sunset, {sunset}. Keep it until then."
    return _ADDITIVE, f"after its sunset, {sunset}. Clients were told."


def _written(operation: Operation) -> str:
    return f"{operation.method} {operation.path}"


def _list(values: Iterable[Any]) -> str:
    return ", ".join(map(str, values)) or "nothing"


def _style(parameter: Schema) -> tuple[Any, ...]:
    style = parameter.get("style", STYLES[parameter["in"]])
    flags = {"explode": style == "form", "allowReserved": False, "allowEmptyValue": False}
    return style, *(f"{name} {str(parameter.get(name, default)).lower()}" for name, default in flags.items())


def _by_name(content: Mapping[str, Schema]) -> dict[str, Schema]:
    """Media types have no case (RFC 9110, section 8.3.1)."""
    return {name.lower(): media for name, media in content.items()}


def _credentials(contract: Contract, alternatives: Alternatives) -> list[frozenset[str]]:
    """What each alternative requires: for each scheme what it is, whatever its name, and its scopes."""
    schemes = contract.document.get("components", {}).get("securitySchemes", {})
    return [
        frozenset(
            part
            for name, scopes in alternative.items()
            for part in (_scheme(resolve(contract.document, schemes[name])), *(f"{name} {scope}" for scope in scopes))
        )
        for alternative in alternatives or [{}]
    ]


def _scheme(scheme: Schema) -> str:
    fields = {name: value for name, value in scheme.items() if name not in {"description", "bearerFormat"}}
    return json.dumps(fields, sort_keys=True).lower()


def _accepted(credentials: frozenset[str], alternatives: Iterable[frozenset[str]]) -> bool:
    return any(each <= credentials for each in alternatives)


def _names(alternatives: Alternatives) -> Iterator[str]:
    for alternative in alternatives or [{}]:
        yield " and ".join(f"{name} {' '.join(scopes)}".strip() for name, scopes in alternative.items()) or "public"

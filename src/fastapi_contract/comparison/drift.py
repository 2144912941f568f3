"""Finds the differences between the contract and the code, and describes each in a line.

Path, status, tags and documentation of an operation come from the contract, so they cannot differ. A generated type
cannot differ either, if it was generated from this contract. Everything else is compared: what a developer wrote, and
generated types that are stale.
"""

import inspect
from collections.abc import Collection, Iterator, Sequence
from types import UnionType
from typing import Any, Union, get_args, get_origin

from fastapi.security.base import SecurityBase
from starlette.routing import BaseRoute

from fastapi_contract.comparison import declared
from fastapi_contract.comparison.comparison import Comparison, Difference, Side, default_difference
from fastapi_contract.comparison.declared import Declared, UndescribedError
from fastapi_contract.comparison.messages import Lines, Message, listed, shown
from fastapi_contract.comparison.normal_form import NormalForm
from fastapi_contract.comparison.unread import unread
from fastapi_contract.contract import Contract, Schema
from fastapi_contract.generation.generated import digest, expression
from fastapi_contract.openapi.directions import Direction, Uses
from fastapi_contract.openapi.document import resolve
from fastapi_contract.openapi.openapi_objects import parameter_key
from fastapi_contract.openapi.schema_types import is_nullable
from fastapi_contract.requests import ContractRoute
from fastapi_contract.responses.answers import Success, argument_of, is_json, is_typed, pascal_case, successes_of
from fastapi_contract.validation.bodies import schema_of_body
from fastapi_contract.validation.media_types import BINARY, NDJSON, TEXT

_CODEGEN = "Run ./codegen.sh."
_UNVALIDATED = (str, bytes)
"""Types of bodies that the engine has checked."""


def differences(contract: Contract, routes: Sequence[BaseRoute], handled: Collection[str]) -> list[str]:
    """Returns a line for each difference. `handled` are the operations that have a handler, although it may be wrong.

    openapi.yaml:366: listTasks / query limit / maximum: openapi.yaml says 200, the code 100. Run ./codegen.sh.
    """
    lines, current = Lines(contract), digest(contract.document)
    form, uses = NormalForm(contract.document), Uses(contract.document)
    found = [
        f"{lines.of(operation.spec)}: not implemented: {operation.id} ({operation.method} "
        f'{operation.path}). Write a handler with @router.operation("{operation.id}") and pass its router to '
        "contract_app()."
        for operation in contract.operations.values()
        if operation.id not in handled
    ]
    stale: set[str] = set()
    messages: list[Message] = []
    for route in routes:
        if not isinstance(route, ContractRoute) or route.binding is None:
            methods = ",".join(sorted(getattr(route, "methods", None) or ["any"]))
            found.append(
                f"not in openapi.yaml: {methods} {getattr(route, 'path', route)}. Add it there first, and bind its "
                "handler with @router.operation; or remove it."
            )
            continue
        freshness = route.binding.generated.is_fresh(current)
        if freshness is False:
            stale.add(route.binding.generated.models.__name__)
        messages += _BoundOperation(contract, route, lines, form, uses, is_fresh=freshness).differences()
    found += listed(messages)
    if stale and not any(_CODEGEN in each for each in found):
        found += [f"{name} is stale: it was generated from another openapi.yaml. {_CODEGEN}" for name in sorted(stale)]
    return found


class _BoundOperation:
    """Compares one operation with its route."""

    def __init__(
        self,
        contract: Contract,
        route: ContractRoute,
        lines: Lines,
        form: NormalForm,
        uses: Uses,
        *,
        is_fresh: bool | None,
    ) -> None:
        """`form` and `uses` are those of the contract, which remember what they have read."""
        assert route.binding is not None
        self._contract, self._document = contract, contract.document
        self._route, self._lines, self._is_fresh = route, lines, is_fresh
        self._form, self._twins = form, uses.twins
        self._operation = route.binding.operation
        self._generated, self._schemes = route.binding.generated, route.binding.schemes
        self._query_model = self._generated.query_model(self._operation.id)
        self._handler = f"{getattr(route.endpoint, '__name__', route.endpoint)}()"

    def differences(self) -> Iterator[Message]:
        for part in (self._parameters, self._body, self._unread, self._responses, self._security):
            try:
                yield from part()
            except UndescribedError as error:
                line = self._lines.of(self._operation.spec)
                yield Message(line, (self._operation.id,), f"{self._handler} cannot be compared with it: {error}")

    # --- parameters

    def _parameters(self) -> Iterator[Message]:
        expected = {parameter_key(each): each for each in self._operation.parameters}
        actual = declared.parameters_of(self._route)
        reads_model = any(self._is_member(each) for each in actual.values())
        for where, name in expected | actual:
            parameter, code = expected.get((where, name)), actual.get((where, name))
            if parameter is None:
                assert code is not None
                step = f"Add it there, or remove it from {self._handler}."
                step = _CODEGEN if self._is_fresh is False and self._is_member(code) else step
                difference = Difference(
                    (f"{where} {name}",), None, code.described()[1], (self._operation.spec, "parameters")
                )
                yield self._message(difference, step)
            elif code is None:
                step = f"Add it to {self._handler}."
                step = _CODEGEN if self._is_fresh is False and where == "query" and reads_model else step
                yield self._message(Difference((f"{where} {name}",), parameter["schema"], None, (parameter, "")), step)
            else:
                yield from self._parameter(where, name, parameter, code)

    def _is_member(self, code: Declared) -> bool:
        """Whether a parameter is a member of the generated query model."""
        return self._query_model is not None and code.written is self._query_model

    def _parameter(self, where: str, name: str, parameter: Schema, code: Declared) -> Iterator[Message]:
        place, schema, is_member = f"{where} {name}", parameter["schema"], self._is_member(code)
        is_generated = is_member or self._generated.is_type_of(code.written, schema)
        if is_member and self._is_fresh:
            return
        step = self._step(self._query_model if where == "query" else self._generated.type_of(schema), is_generated)
        required = parameter.get("required", False)
        if required and code.is_required and is_nullable(self._document, schema):
            # FastAPI takes None for a parameter that is not sent. The engine checks whether it was.
            difference = Difference((place,), "null", "required", (parameter, "schema"))
            yield self._message(difference, step if is_member else f"Give it the default None in {self._handler}.")
        elif required != code.is_required and not is_nullable(self._document, schema):
            difference = Difference((place, "required"), required, code.is_required, (parameter, "required"))
            yield self._message(difference, step if is_member else f"Change the default in {self._handler}.")
        document, described = code.described()
        for each in default_difference(self._form, schema, NormalForm(document), described):
            yield self._message(each.under(place), step if is_member else f"Change the default in {self._handler}.")
        if not (is_generated and self._is_fresh):
            # null is the same as a parameter that is not sent.
            pair = _nullable(schema), _nullable(described)
            comparison = self._request(document, is_generated=is_generated)
            yield from self._compare((place,), *pair, comparison, step)

    # --- body

    def _body(self) -> Iterator[Message]:
        body = resolve(self._document, self._operation.spec.get("requestBody", {}))
        media_types = body.get("content", {})
        code = declared.body_of(self._route)
        if code is None:
            if media_types:
                difference = Difference(("body",), [*media_types], None, (body, ""))
                yield self._message(difference, f"Add it to {self._handler}.")
            return
        declaration, media_type = code
        if not media_types:
            difference = Difference(("body",), None, media_type, (self._operation.spec, ""))
            yield self._message(difference, f"Add `requestBody` there, or remove it from {self._handler}.")
            return
        required = body.get("required", False)
        if required != declaration.is_required:
            difference = Difference(("body", "required"), required, declaration.is_required, (body, "required"))
            yield self._message(difference, f"Change the default in {self._handler}.")
        # The contract alone decides which media types are read; the type of the parameter has a branch for each.
        branches = _branches(declaration.written)
        for each, media in media_types.items():
            generated = self._type_of_body(each, media["schema"])
            is_generated = generated is not None and generated in branches
            if is_generated and (self._is_fresh or generated in _UNVALIDATED):
                continue
            if len(media_types) > 1 and not is_generated:
                names = [expression(kind, self._generated.models) for kind in (generated, *branches)]
                difference = Difference(("body", each), names[0], " or ".join(names[1:]), (media, ""))
                yield self._message(difference, f"Add it to the type of the parameter in {self._handler}.")
                continue
            if is_generated:
                # A generated list of lines has no bounds: only the lines can be stale.
                line = get_args(generated)[0] if each == NDJSON else generated
                schema, described = media["schema"], declared.schema_of(line, "validation")
            else:
                schema, described = schema_of_body(each, media), declaration.described()[0]
            comparison, step = self._request(described, is_generated=is_generated), self._step(generated, is_generated)
            for found in comparison.differences(schema, described):
                # The schema of all lines is not written in the contract.
                is_unwritten = each == NDJSON and found.source is not None and found.source[0] is schema
                source = (media, "schema") if is_unwritten else found.source
                yield self._message(found._replace(path=("body", each, *found.path), source=source), step)

    def _type_of_body(self, media_type: str, schema: Schema) -> Any:
        if media_type in {TEXT, BINARY}:
            return str if media_type == TEXT else bytes
        found = self._generated.type_of(schema, f"{pascal_case(self._operation.id)}Request", self._twins)
        return list[found] if media_type == NDJSON and found is not None else found  # type: ignore[valid-type]

    def _unread(self) -> Iterator[Message]:
        for parameter, model in declared.models_of(self._route):
            for name in unread(self._route.endpoint, parameter, model):
                text = f"no code reads {name} from {parameter} of {self._handler}. Read it, or remove it there."
                yield Message(self._lines.of(self._operation.spec), (self._operation.id,), text)

    # --- responses

    def _responses(self) -> Iterator[Message]:
        """Compares generated models and answers, if they may be stale. The router has checked that the handler returns
        them."""
        if self._is_fresh:
            return
        successes = successes_of(self._contract, self._operation)
        for success in successes:
            place = ("response", str(success.status), *([success.media_type] if success.media_type else []))
            if is_typed(successes):
                answer = getattr(self._generated.answers, success.class_name, None)
                model = getattr(answer, "model", None)
                if answer is not None:
                    yield from self._answer(place, success, answer)
            else:
                name = f"{pascal_case(self._operation.id)}Response"
                model = self._generated.type_of(success.schema or {}, name)
            if success.schema is not None and model is not None and is_json(str(success.media_type)):
                described = declared.schema_of(model, "serialization")
                side = Side.BOTH if self._is_fresh is False else Side.RESPONSE
                comparison = Comparison(self._form, NormalForm(described), side, Direction.RESPONSE)
                yield from self._compare(place, success.schema, described, comparison, _CODEGEN)

    def _answer(self, place: tuple[str, ...], success: Success, answer: Any) -> Iterator[Message]:
        """Compares media type and headers of a generated answer."""
        response = self._operation.responses[str(success.status)]
        if answer.media != success.media_type:
            difference = Difference((*place, "content"), success.media_type, answer.media, (response, "content"))
            yield self._message(difference, _CODEGEN)
        arguments = inspect.signature(answer).parameters
        actual = {
            name: each.default is each.empty for name, each in arguments.items() if each.kind is each.KEYWORD_ONLY
        }
        expected = {argument_of(name): required for name, required in success.headers.items()}
        words = {True: "required", False: "optional", None: None}
        for name in expected | actual:
            if expected.get(name) != actual.get(name):
                values = words[expected.get(name)], words[actual.get(name)]
                yield self._message(Difference((*place, f"header {name}"), *values, (response, "headers")), _CODEGEN)

    # --- security

    def _security(self) -> Iterator[Message]:
        alternatives = self._operation.security
        expected = {name for alternative in alternatives for name in alternative}
        actual = declared.security_of(self._route)
        if actual - expected or (actual and len(alternatives) > 1):
            required = " or ".join(" and ".join(sorted(each)) or "nothing" for each in alternatives) or None
            source = (self._operation.spec if "security" in self._operation.spec else self._document, "security")
            step = f"Change it there, or remove the dependency on it from {self._handler}."
            if len(alternatives) > 1:
                step = f"Read credentials() in {self._handler}, instead of a dependency that requires them."
            yield self._message(Difference(("security",), required, " and ".join(sorted(actual)), source), step)
        for name in sorted(expected):
            scheme = resolve(self._document, self._document["components"]["securitySchemes"][name])
            documented = _scheme(scheme)
            models = [each.model for each in self._guards(name)]
            read = [_scheme(model.model_dump(by_alias=True, mode="json")) for model in models]
            # The line is searched in the whole document, so only for a message.
            if read and documented not in read:
                text = f"openapi.yaml says {documented}, its guard reads {read[0]}. Change one of them."
                yield Message(self._lines.of(scheme), (name,), text)
            elif not read and name in self._schemes:
                text = f"openapi.yaml says {documented}, and none of its guards is a SecurityBase: "
                yield Message(self._lines.of(scheme), (name,), text + "derive one from a class of fastapi.security.")

    def _guards(self, scheme: str) -> list[SecurityBase]:
        guards: Sequence[object] = self._schemes.get(scheme, ())
        return [guard for guard in guards if isinstance(guard, SecurityBase)]

    # --- messages

    def _step(self, generated: Any, is_generated: bool) -> str:
        if is_generated:
            return _CODEGEN
        if generated is None:
            return f"Change the type in {self._handler}."
        return f"Use {expression(generated, self._generated.models)} in {self._handler}."

    def _request(self, code: Schema, *, is_generated: bool) -> Comparison:
        """`code` is the document of the code's type."""
        side = Side.BOTH if is_generated and self._is_fresh is False else Side.REQUEST
        return Comparison(self._form, NormalForm(code), side, Direction.REQUEST)

    def _compare(
        self, place: tuple[str, ...], schema: Schema, described: Schema, comparison: Comparison, step: str
    ) -> Iterator[Message]:
        """`described` is the schema of the code's type."""
        for each in comparison.differences(schema, described):
            yield self._message(each._replace(path=(*place, *each.path)), step)

    def _message(self, difference: Difference, step: str) -> Message:
        source, keyword = difference.source or (self._operation.spec, "")
        values = f"openapi.yaml says {shown(difference.contract)}, the code {shown(difference.code)}"
        return Message(self._lines.of(source, keyword), (self._operation.id, *difference.path), f"{values}. {step}")


def _branches(written: Any) -> list[Any]:
    return [*get_args(written)] if get_origin(written) in {Union, UnionType} else [written]


def _nullable(schema: Any) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _scheme(scheme: Any) -> str:
    """What a security scheme requires: `http bearer`, or `apiKey in header x-key`."""
    if scheme["type"] == "http":
        return f"http {scheme['scheme'].lower()}"
    name = scheme.get("name", "").lower() if scheme.get("in") == "header" else scheme.get("name", "")
    return f"{scheme['type']} in {scheme.get('in')} {name}"

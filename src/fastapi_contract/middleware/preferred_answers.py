"""The header Prefer (RFC 7240) with `status` or `example` chooses one of the responses that the contract promises, so
that a client can be tried with each of them. For development only."""

import re
from collections.abc import Iterable, Mapping

from starlette._utils import get_route_path
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from fastapi_contract.comparison.messages import Lines
from fastapi_contract.contract import Contract
from fastapi_contract.problems import InvalidRequest, Problem, Respond
from fastapi_contract.responses.examples import Examples, NoExampleError
from fastapi_contract.responses.negotiation import accept_of

MAX_PREFER = 1024
"""Bytes of the header that are read: the time of the expression below is quadratic."""

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETERS = rb'(?:;[^,"]*(?:"(?:[^"\\]|\\.)*"[^,"]*)*)?'
_PREFERENCE = re.compile(
    rb'(?:\A|,)[ \t]*(%s)(?:[ \t]*=[ \t]*(?:(%s)|"([^"\\]*)")?)?[ \t]*%s(?=,|\Z)' % (_TOKEN, _TOKEN, _PARAMETERS)
)
"""One preference. `status` and `example` have no parameters, so those are skipped."""


class PreferredAnswers:
    """ASGI middleware: answers a request that prefers a status or an example, and passes all others on.

    The response is made of the examples of the contract. Neither a guard nor a handler is called, and nothing is
    changed.
    """

    def __init__(self, app: ASGIApp, contract: Contract, routes: Iterable[BaseRoute], respond: Respond) -> None:
        """`routes` are those of the operations."""
        self.app = app
        self._paths = contract.paths
        self._lines = Lines(contract)
        self._operations = {(each.method, each.path): each for each in contract.operations.values()}
        self._examples = {each.id: Examples(contract, each) for each in contract.operations.values()}
        self._routes = {getattr(route, "operation_id", None): route for route in routes}
        self._respond = respond

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        responder = self.app
        if scope["type"] == "http" and (preferences := preferred(scope)):
            responder = self._choose(scope, preferences)
        await responder(scope, receive, send)

    def _choose(self, scope: Scope, preferences: Mapping[str, str]) -> ASGIApp:
        found = self._paths.find(get_route_path(scope))
        operation = self._operations.get((scope["method"], found[0].template)) if found else None
        if operation is None:
            return self.app
        # For the log line, and the headers of a deprecated operation.
        scope["route"] = self._routes[operation.id]
        examples, status = self._examples[operation.id], preferences.get("status")
        try:
            number = int(status) if status and status.isdecimal() and status.isascii() else None
            is_number = status is None or number is not None
            example = examples.choose(number, preferences.get("example"), accept_of(scope)) if is_number else None
        except NoExampleError as error:
            line = self._lines.of(operation.responses[str(number)] if number else operation.spec)
            return self._respond(InvalidRequest(f"The contract has no example of its {error}. Add one at {line}."))
        if example is None:
            statuses = ", ".join(map(str, examples.statuses))
            return self._respond(
                InvalidRequest(
                    f"Prefer names no answer of {operation.id}. Its statuses are {statuses}; its examples are "
                    f"{', '.join(examples.names)}."
                )
            )
        response = example.response()
        # RFC 7240, section 3: a person sees that the response was preferred.
        response.headers["Preference-Applied"] = ", ".join(f"{name}={value}" for name, value in preferences.items())
        return response


def preferred(scope: Scope) -> Mapping[str, str]:
    """Returns the values of the preferences `status` and `example`. The first one of a name counts; others are ignored,
    as RFC 7240 says (section 2)."""
    header = b",".join([value for name, value in scope["headers"] if name == b"prefer"])[:MAX_PREFER]
    found: dict[str, str] = {}
    for match in _PREFERENCE.finditer(header):
        name, value = match[1].decode().lower(), (match[2] or match[3] or b"").decode("latin-1")
        if name in {"status", "example"}:
            found.setdefault(name, value)
    return found


def reject_preference(scope: Scope) -> Problem | None:
    """Returns a problem for a request that prefers a status or an example, if the service does not answer such
    requests: otherwise it would be carried out, although its client expects an example."""
    if not (names := preferred(scope)):
        return None
    return InvalidRequest(
        f"Prefer with {' and '.join(names)} is for development only, and this service does not support it. Remove "
        "it, or send the request to a service that answers with examples."
    )

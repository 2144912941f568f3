"""Checks each request before FastAPI reads it: calls the guards, then reads the parameters and the body strictly.

FastAPI 0.165 parses the body before authentication, and accepts unknown and repeated query parameters, `5.0`, `+1` and
`1_0` as integers, `yes` as a boolean, duplicate names, NaN and UTF-16 in JSON, and any media type that ends in `+json`.
"""

import copy
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, ClassVar

from fastapi import FastAPI, Request, Response
from fastapi._compat import ModelField
from fastapi.routing import APIRoute, request_response
from starlette._utils import get_route_path
from starlette.routing import Match
from starlette.types import Message, Scope

from fastapi_contract.contract import Operation
from fastapi_contract.generation.generated import Generated
from fastapi_contract.paths import Paths
from fastapi_contract.problems import ValidationFailed
from fastapi_contract.responses.negotiation import negotiate
from fastapi_contract.security import Guard
from fastapi_contract.validation.bodies import RequestBody
from fastapi_contract.validation.input_errors import InputError
from fastapi_contract.validation.parameters import HeaderValues, Parameters


@dataclass(frozen=True)
class Binding:
    """What a route was made from."""

    operation: Operation
    generated: Generated
    schemes: Mapping[str, Sequence[Guard]]
    """The guards of each security scheme."""


class ContractRoute(APIRoute):
    """A FastAPI route that calls the guards, and then checks parameters and body, before FastAPI's own handling."""

    guards: ClassVar[Sequence[Guard]]
    """Called in this order, before query and body are read: an unauthenticated caller learns nothing about them."""
    parameters: ClassVar[Parameters]
    paths: Paths | None = None
    """The contract's, which decide whether this route matches. None until it belongs to an app: see `of`."""
    body: ClassVar[RequestBody | None]
    """None if the operation has no body."""
    offered: ClassVar[Sequence[str]]
    """The media types of the operation's successes, if it has several; otherwise empty."""
    rejects_accept: ClassVar[bool]
    """Whether the operation documents 406, for a request that accepts none of them."""
    binding: ClassVar[Binding | None] = None

    def of(self, app: FastAPI, paths: Paths) -> "ContractRoute":
        """Returns a copy that belongs to an app, whose `dependency_overrides` it obeys, and is matched by `paths`."""
        route = copy.copy(self)
        route.paths = paths
        route.dependency_overrides_provider = app
        route.app = request_response(route.get_route_handler())
        return route

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if self.paths is None:
            return super().matches(scope)
        found = self.paths.find(get_route_path(scope)) if scope["type"] == "http" else None
        if found is None or found[0].template != self.path:
            return Match.NONE, {}
        match = Match.FULL if scope["method"] in (self.methods or ()) else Match.PARTIAL
        return match, {"endpoint": self.endpoint, "path_params": found[1], "route": self}

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        if self.body_field is not None:
            accept_aliases_only(self.body_field)

        async def handle_strictly(received: Request) -> Response:
            request = ContractRequest(received.scope, received.receive)
            await request.prepare(self)
            return await handle(request)

        return handle_strictly


def contract_route(
    guards: Sequence[Guard],
    parameters: Parameters,
    body: RequestBody | None = None,
    offered: Sequence[str] = (),
    binding: Binding | None = None,
    *,
    rejects_accept: bool = True,
) -> type[ContractRoute]:
    """Returns a subclass of ContractRoute for one operation; a class, because FastAPI makes the route itself."""
    members = {
        "guards": guards,
        "parameters": parameters,
        "body": body,
        "offered": offered,
        "binding": binding,
        "rejects_accept": rejects_accept,
    }
    return type("ContractRoute", (ContractRoute,), members)


def accept_aliases_only(field: ModelField) -> None:
    """Makes FastAPI's validation of a body ignore the names of Python: `from_` must not pass for `from`.

    The generated models allow both (`validate_by_name`), so that handlers can write `Answer(from_=…)`.
    """
    adapter = field._type_adapter  # noqa: SLF001
    adapter.validate_python = partial(adapter.validate_python, by_alias=True, by_name=False)  # type: ignore[method-assign]


class ContractRequest(Request):
    """A request whose parameters and body have been validated, and have the contract's types.

    The results are stored in Starlette's own caches (`_query_params`, `_body`, `_json`), where FastAPI finds them.
    """

    parsed: Any = None
    """The parsed body; None if there is none."""
    header_values: Mapping[str, Any] = MappingProxyType({})
    """The header parameters that were sent, by their names in small letters."""

    async def prepare(self, route: ContractRoute) -> list[object]:
        """Calls the guards, converts the parameters, and reads and parses the body. Returns what the guards return.

        Raises the guards' exceptions, and the problems of a query or body that cannot be passed to the models.
        """
        results = [await guard(self) for guard in route.guards]
        if route.offered:
            negotiate(self.scope, route.offered, is_strict=route.rejects_accept)
        errors: list[InputError] = []
        self.scope["path_params"] = route.parameters.read_path(self.scope["path_params"], errors)
        self._query_params = route.parameters.read_query(self.scope["query_string"], errors)  # type: ignore[assignment]
        if route.parameters.has_headers:
            self.header_values = route.parameters.read_headers(self.scope["headers"], errors)
            if self.header_values:
                self._headers = HeaderValues(self.headers, self.header_values)
        if route.parameters.has_cookies:
            self._cookies = route.parameters.read_cookies(self.cookies, errors)
        if errors:
            raise ValidationFailed(errors)
        if route.body is not None:
            headers = dict(self.scope["headers"])
            self._body, self.parsed = await route.body.read(headers, self.scope["headers"], self.receive)
            self._json = self.parsed
        return results

    async def replay(self) -> Message:
        """An ASGI `receive` for the next layer: returns the body again if it has been read here, already parsed."""
        if not hasattr(self, "_body"):
            return await self.receive()
        body = self._body
        del self._body
        return {"type": "http.request", "body": body, "parsed": self.parsed}

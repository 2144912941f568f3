"""A FastAPI application that serves a contract: operations, pages, problems, CORS and the layers around them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.types import ASGIApp, Lifespan, Scope

from fastapi_contract import pages, problems
from fastapi_contract.contract import Contract
from fastapi_contract.cors import CrossOrigin
from fastapi_contract.drift import publish
from fastapi_contract.middleware import RequestContext
from fastapi_contract.shortcut import Shortcut


def _no_fields(_: Scope) -> Mapping[str, Any]:
    return {}


def contract_app(
    contract: Contract,
    routers: Iterable[APIRouter],
    *,
    lifespan: Lifespan[FastAPI] | None = None,
    translations: problems.Translations | None = None,
    origins: Sequence[str] = (),
    request_headers: Sequence[str] = ("Content-Type",),
    log_fields: Callable[[Scope], Mapping[str, Any]] = _no_fields,
    cancelled: Callable[[], problems.Problem] = problems.InternalError,
    shortcut: bool = True,
) -> FastAPI:
    """An application with the handlers of `routers`, checked against the contract.

    `translations` has the problem for each exception of a layer that knows no HTTP. Pages of the normalized `origins`
    may call it, and send `request_headers`. `log_fields` returns what the service adds to the log line of a request.
    `cancelled` makes the problem for a request that is cancelled because the service shuts down. Without the `shortcut`
    FastAPI answers every request: the answers are the same.

    Raises ContractError with every difference between the contract and the handlers.

        contract = Contract.parse(Path("openapi.yaml").read_bytes())
        router = ContractRouter(contract, models)
        app = contract_app(contract, [router])
    """
    app = FastAPI(
        title=contract.document["info"]["title"],
        version=contract.document["info"]["version"],
        lifespan=lifespan,
        # The contract is served instead, and the pages from the package.
        openapi_url=None,
        # On a router it would be lost: a path with a slash too many is 404, not 307.
        redirect_slashes=False,
        # 38 µs a request with it, 32 without.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    for router in routers:
        app.include_router(router)
    pages.install(app, contract)
    problems.install(app, contract.allowed_methods, translations or {})
    publish(app, contract)
    stack = app.build_middleware_stack()
    # Starlette's outermost layer answers a fault with text/plain, before RequestContext can answer with a problem.
    assert isinstance(stack, ServerErrorMiddleware)
    inner: ASGIApp = stack.app
    if shortcut:
        # Around FastAPI's own layers, so that a good request passes none of these.
        inner = Shortcut(inner, app)
    cross_origin = CrossOrigin(origins, contract.methods, request_headers, contract.response_headers)
    app.middleware_stack = RequestContext(inner, app, cross_origin, log_fields=log_fields, cancelled=cancelled)
    return app

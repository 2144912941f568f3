"""Builds the FastAPI application of a contract: operations, pages, problems, CORS and the ASGI layers around them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.types import ASGIApp, Lifespan, Scope

from fastapi_contract import problems
from fastapi_contract.comparison.drift import differences
from fastapi_contract.contract import Contract, ContractError
from fastapi_contract.middleware.cors import COMMON_HEADERS, CrossOrigin
from fastapi_contract.middleware.deprecation import Deprecations
from fastapi_contract.middleware.mount import Mount
from fastapi_contract.middleware.preferred_answers import PreferredAnswers, reject_preference
from fastapi_contract.middleware.rate_limit import AddressLimit, AddressLimiter
from fastapi_contract.middleware.request_context import RequestContext
from fastapi_contract.mock import MockRouter
from fastapi_contract.pages import routes as pages
from fastapi_contract.requests import ContractRoute
from fastapi_contract.router import ContractRouter
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
    request_headers: Sequence[str] = (),
    log_fields: Callable[[Scope], Mapping[str, Any]] = _no_fields,
    cancelled: Callable[[Scope], problems.Problem] = lambda _: problems.InternalError(),
    address_limit: AddressLimit | None = None,
    shortcut: bool = True,
    root_path: str = "",
    files: Mapping[str, tuple[Path, str]] = MappingProxyType({}),
    preferred_answers: bool = False,
) -> FastAPI:
    """Returns an application with the handlers of `routers`, after comparing them with the contract.

    `lifespan` is FastAPI's. `translations` maps each exception of a layer that knows no HTTP to the problem that
    answers it. `origins` are normalized CORS origins (`origins.normalize`), whose pages may send
    `request_headers` besides those of the contract and of tracing.
    `log_fields` returns the fields that the service adds to the log line of a request. `cancelled` makes the problem
    for a request that is cancelled because the service shuts down. `address_limit` limits the requests of each client
    address. With `shortcut=False`, FastAPI's own code answers every request, with the same responses. `root_path` is a
    prefix such as `/todo` that a reverse proxy removes from each path: URLs that the service makes begin with it.
    `files` are served beside the contract: each path has a file and its media type. With `preferred_answers`, for
    development, a client chooses any promised response with the header Prefer (middleware/preferred_answers.py).

    Raises ContractError with every difference between the contract and the handlers.

        contract = Contract.read(Path("openapi.yaml"))
        router = ContractRouter(contract, models)

        @router.operation("getHealth")
        async def get_health() -> models.Health:
            return models.Health(status="ok")

        app = contract_app(contract, [router])
    """
    app = FastAPI(
        title=contract.document["info"]["title"],
        version=contract.document["info"]["version"],
        lifespan=lifespan,
        # The pages have the contract itself, and the documentation.
        openapi_url=None,
        # A path with an extra slash is 404, not 307. Set here, because include_router() ignores a router's own value.
        redirect_slashes=False,
        # A request takes 38 µs with telemetry, 32 without.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    # Set here, because FastAPI warns about the argument of this name.
    app.root_path = contract.mount(root_path)
    require_no_differences(contract, routers := list(routers))
    for route in (route for router in routers for route in router.routes):
        # Not by include_router(), which matches by FastAPI's rules instead of the route's own.
        app.router.routes.append(route.of(app, contract.paths) if isinstance(route, ContractRoute) else route)
    own_pages = pages.install(app, contract, files)
    respond = partial(problems.problem_response, base_path=contract.base_path)
    problems.install(app, respond, contract.allowed_methods, translations or {})
    app.openapi = lambda: contract.document  # type: ignore[method-assign]
    stack = app.build_middleware_stack()
    # Leave out Starlette's outermost layer: it answers an unhandled exception with text/plain, before RequestContext
    # can answer with a problem.
    assert isinstance(stack, ServerErrorMiddleware)
    inner: ASGIApp = stack.app
    if shortcut:
        # Outside FastAPI's own layers, so that a valid request passes through none of them.
        inner = Shortcut(inner, app)
    if preferred_answers:
        inner = PreferredAnswers(inner, contract, app.router.routes, respond)
    if any(operation.is_deprecated for operation in contract.operations.values()):
        inner = Deprecations(inner, contract.operations.values(), f"{app.root_path}/docs")
    if app.root_path:
        templates = [*own_pages, *(operation.path for operation in contract.operations.values())]
        inner = Mount(inner, app.root_path, app.root_path.removeprefix(root_path), templates, respond)
    limiter = None
    if address_limit is not None:
        # A proxy may have removed its prefix.
        roots = {"", contract.base_path, app.root_path}
        paths = [root + contract.operations[each].path for each in address_limit.unlimited for root in roots]
        limiter = AddressLimiter(inner, address_limit, paths, respond)
    names = [*contract.request_headers, *COMMON_HEADERS, *request_headers, *(["Prefer"] if preferred_answers else [])]
    cross_origin = CrossOrigin(origins, contract.methods, names, contract.response_headers, respond)
    app.middleware_stack = RequestContext(
        inner,
        app,
        cross_origin,
        respond,
        log_fields=log_fields,
        cancelled=cancelled,
        limiter=limiter,
        reject=None if preferred_answers else reject_preference,
    )
    return app


def require_no_differences(contract: Contract, routers: Sequence[APIRouter]) -> None:
    """Compares the handlers of `routers` with the contract, without building an application.

    Raises ContractError with all differences: those found while handlers were bound, and those of the routes.
    """
    contract_routers = [router for router in routers if isinstance(router, ContractRouter)]
    found = [difference for router in contract_routers for difference in router.differences]
    handled = {operation_id for router in contract_routers for operation_id in router.handled}
    handled.update(*(router.mocked for router in routers if isinstance(router, MockRouter)))
    routes = [route for router in routers if not isinstance(router, MockRouter) for route in router.routes]
    found += differences(contract, routes, handled)
    if found:
        raise ContractError(list(dict.fromkeys(found)))

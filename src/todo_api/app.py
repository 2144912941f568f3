"""The application: settings, lifespan, routers, errors. Wiring only; the one module that knows all the others."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.types import ASGIApp

from fastapi_contract import pages, problems
from fastapi_contract.cors import CrossOrigin
from fastapi_contract.drift import publish
from fastapi_contract.middleware import RequestContext
from fastapi_contract.shortcut import Shortcut
from todo_api import service
from todo_api.auth.jwks import IssuerUnavailableError, PublishedKeys
from todo_api.auth.keys import shared_key
from todo_api.auth.problems import IssuerUnavailable
from todo_api.auth.tokens import Policy, TokenVerifier
from todo_api.contract import load_contract
from todo_api.database.dependency import log_fields
from todo_api.database.failures import DatabaseUnavailableError
from todo_api.database.problems import DatabaseUnavailable
from todo_api.database.session import Database
from todo_api.services import Services
from todo_api.settings import Settings
from todo_api.tasks import handlers as tasks

_TRANSLATIONS: problems.Translations = {
    DatabaseUnavailableError: DatabaseUnavailable,
    IssuerUnavailableError: IssuerUnavailable,
}

# What the API reads, what browsers ask for although it is safe, and what OpenTelemetry and Sentry add to each call.
ALLOWED_HEADERS = (
    *("Authorization", "Content-Type", "X-Request-ID"),
    *("Accept", "Accept-Language", "Content-Language"),
    *("traceparent", "tracestate", "baggage", "sentry-trace"),
)


def create_app(settings: Settings, *, shortcut: bool = True) -> FastAPI:
    """The service, checked against the contract.

    `settings` must have a database: `todo-api serve` sees to it. Without the `shortcut` FastAPI answers every request:
    the answers are the same. Raises ContractError.
    """
    assert settings.database_url is not None
    contract = load_contract()
    database = Database(settings.database_url.get_secret_value(), settings.limits, settings.database_application_name)
    jwks_url = settings.better_auth_jwks_url
    published = PublishedKeys(jwks_url, settings.better_auth_algorithms) if jwks_url else None
    secrets = [settings.better_auth_secret, settings.better_auth_secret_previous]
    policy = Policy(
        settings.better_auth_issuer,
        settings.better_auth_audience,
        settings.token_leeway,
        settings.token_max_lifetime,
        settings.token_max_bytes,
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with database:
            if published is not None:
                await published.start()
            yield
            if published is not None:
                await published.close()

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
    keys = [shared_key(secret.get_secret_value()) for secret in secrets if secret]
    app.state.services = Services(database, TokenVerifier(policy, keys, published))
    app.include_router(tasks.router)
    app.include_router(service.router)
    pages.install(app, contract)
    problems.install(app, contract.allowed_methods, _TRANSLATIONS)
    publish(app, contract)
    stack = app.build_middleware_stack()
    # Starlette's outermost layer answers a fault with text/plain, before RequestContext can answer with a problem.
    assert isinstance(stack, ServerErrorMiddleware)
    inner: ASGIApp = stack.app
    if shortcut:
        # Around FastAPI's own layers, so that a good request passes none of these.
        inner = Shortcut(inner, app)
    cross_origin = CrossOrigin(
        settings.allowed_origins,
        methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
        headers=[*ALLOWED_HEADERS, *settings.allowed_headers],
        exposed_headers=["Link", "Location", "Retry-After", "WWW-Authenticate", "X-Request-ID"],
    )
    app.middleware_stack = RequestContext(
        inner, app, cross_origin, log_fields=log_fields, cancelled=DatabaseUnavailable
    )
    return app

"""The application: settings, lifespan, routers, errors. Wiring only; the one module that knows all the others."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.middleware import Middleware

from todo_api import docs, health, problems
from todo_api.auth.tokens import TokenVerifier
from todo_api.contract import load_contract, publish
from todo_api.database.session import Database, DatabaseUnavailable
from todo_api.middleware import ProblemCORSMiddleware, RequestContext
from todo_api.settings import Settings
from todo_api.tasks import handlers as tasks


def create_app(settings: Settings) -> FastAPI:
    """The service, checked against the contract.

    `settings` must have a database and a secret: `todo-api serve` sees to both. Raises ContractError.
    """
    assert settings.database_url is not None
    assert settings.better_auth_secret is not None
    contract = load_contract()
    database = Database(settings.database_url.get_secret_value())

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await database.connect()
        yield
        await database.close()

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
        middleware=[
            Middleware(RequestContext),
            Middleware(
                ProblemCORSMiddleware,
                allow_origins=settings.allowed_origins,
                allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
                allow_headers=["Authorization", "Content-Type", "X-Request-ID"],
                expose_headers=["Link", "Location", "Retry-After", "WWW-Authenticate", "X-Request-ID"],
            ),
            Middleware(problems.CatchFaults),
        ],
    )
    app.state.database = database
    app.state.tokens = TokenVerifier(settings.better_auth_secret.get_secret_value())
    app.include_router(tasks.router)
    app.include_router(health.router)
    docs.install(app, contract)
    problems.install(app, contract.allowed_methods, {DatabaseUnavailable: problems.DatabaseUnavailable})
    publish(app, contract)
    return app

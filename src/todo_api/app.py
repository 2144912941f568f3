"""Wires the application: settings, lifespan, routers, errors. The only module that imports all others."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Literal, TypeAlias

from fastapi import FastAPI
from starlette.types import Scope

from fastapi_contract import problems
from fastapi_contract.application import contract_app
from fastapi_contract.contract import Contract
from fastapi_contract.middleware.rate_limit import AddressLimit
from fastapi_contract.mock import MockRouter
from fastapi_contract.router import ContractRouter
from todo_api import service
from todo_api.auth.jwks import IssuerUnavailableError, PublishedKeys
from todo_api.auth.keys import shared_key
from todo_api.auth.problems import IssuerUnavailable
from todo_api.auth.tokens import Policy, TokenVerifier
from todo_api.contract import client_package, load_contract
from todo_api.database.database import Database
from todo_api.database.dependency import log_fields
from todo_api.database.failures import DatabaseUnavailableError
from todo_api.database.problems import DatabaseUnavailable
from todo_api.labels import handlers as labels
from todo_api.rate_limits import RateLimits
from todo_api.services import Services
from todo_api.settings import Settings
from todo_api.tasks import handlers as tasks

ROUTERS = (tasks.router, labels.router, service.router)
"""One for each tag of the contract."""

_HEALTH_CHECKS = ("getHealth", "getReadiness")
"""Never limited, because a platform restarts a service whose probes fail."""


def _database_unavailable(error: DatabaseUnavailableError) -> problems.Problem:
    return DatabaseUnavailable(error.retry_after, may_have_changed=error.may_have_changed)


def _cancelled(scope: Scope) -> problems.Problem:
    return DatabaseUnavailable(may_have_changed=scope["method"] != "GET")


_TRANSLATIONS: problems.Translations = {
    DatabaseUnavailableError: _database_unavailable,
    IssuerUnavailableError: lambda _: IssuerUnavailable(),
}


Mode: TypeAlias = Literal["production", "development", "mock"]
"""In development, clients can choose any promised response with the header Prefer. A mock also answers operations that
have no handler."""


def routers_of(contract: Contract, mode: Mode) -> Sequence[ContractRouter | MockRouter]:
    """Returns the routers of the operations. Raises ContractError if an operation cannot be mocked."""
    return (*ROUTERS, MockRouter(contract, ROUTERS)) if mode == "mock" else ROUTERS


def create_app(settings: Settings, *, shortcut: bool = True, mode: Mode = "production") -> FastAPI:
    """Returns the service, after comparing it with the contract.

    `settings.database_url` must be set. Without `shortcut`, FastAPI serves every request, with the same responses.
    Raises ContractError, which lists every difference from the contract.
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

    rate_limits = RateLimits(settings.rate_limit_url)
    by_address = rate_limits.limit("address", settings.rate_limit_address)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with database:
            if published is not None:
                await published.start()
            yield
            if published is not None:
                await published.close()
            await rate_limits.close()

    app = contract_app(
        contract,
        routers_of(contract, mode),
        lifespan=lifespan,
        translations=_TRANSLATIONS,
        origins=settings.allowed_origins,
        request_headers=settings.allowed_headers,
        log_fields=log_fields,
        cancelled=_cancelled,
        address_limit=AddressLimit(by_address, settings.trusted_proxies, _HEALTH_CHECKS) if by_address else None,
        shortcut=shortcut,
        root_path=settings.root_path,
        files={"/client.tgz": (client_package(), "application/gzip")},
        preferred_answers=mode != "production",
    )
    keys = [shared_key(secret.get_secret_value()) for secret in secrets if secret]
    app.state.services = Services(
        database,
        TokenVerifier(policy, keys, published),
        rate_limits.limit("user", settings.rate_limit_user),
        settings.max_tasks,
        settings.require_if_match,
    )
    return app

"""Security requirements of the contract: alternatives, combined schemes, optional credentials and scopes."""

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request, Response
from fastapi.requests import HTTPConnection
from fastapi.security import APIKeyCookie, APIKeyHeader, APIKeyQuery, HTTPBearer, SecurityScopes

from fastapi_contract.application import contract_app
from fastapi_contract.contract import Contract, ContractError
from fastapi_contract.problems import InvalidRequest, MissingCredentials
from fastapi_contract.router import ContractRouter
from fastapi_contract.security import credentials
from support.service import running

CONTRACT = """
openapi: 3.1.0
info: {title: Security, version: 1.0.0}
security: [{bearer: []}]
paths:
  /default: {get: {operationId: default, responses: {"204": {description: Done}}}}
  /public: {get: {operationId: public, security: [], responses: {"204": {description: Done}}}}
  /optional: {get: {operationId: optional, security: [{}, {bearer: []}], responses: {"204": {description: Done}}}}
  /one-of: {get: {operationId: oneOf, security: [{bearer: []}, {header: []}], responses: {"204": {description: Done}}}}
  /all-of: {get: {operationId: allOf, security: [{bearer: [], header: []}], responses: {"204": {description: Done}}}}
  /mixed:
    get:
      operationId: mixed
      security: [{bearer: [], header: []}, {cookie: []}, {query: []}]
      responses: {"204": {description: Done}}
  /scoped: {get: {operationId: scoped, security: [{bearer: [write, admin]}], responses: {"204": {description: Done}}}}
components:
  securitySchemes:
    bearer: {type: http, scheme: bearer}
    header: {type: apiKey, in: header, name: X-Key}
    cookie: {type: apiKey, in: cookie, name: key}
    query: {type: apiKey, in: query, name: api-key}
"""


# Indirect subclasses of Problem: direct ones would become problem types of the other apps in this process.
class NoCredentials(InvalidRequest, MissingCredentials):
    """No credentials were sent."""

    type, title, status = "/problems/no-credentials", "No credentials", 401


class BadCredentials(InvalidRequest):
    """The credentials are not valid."""

    type, title, status = "/problems/bad-credentials", "Bad credentials", 403


def check(sent: str | None) -> str:
    if sent is None:
        raise NoCredentials("No credentials. Send some.")
    if sent != "good":
        raise BadCredentials("Invalid credentials. Send others.")
    return sent


class Bearer(HTTPBearer):
    def __init__(self) -> None:
        super().__init__(scheme_name="bearer", auto_error=False)

    async def __call__(self, request: Request, scopes: SecurityScopes) -> str:  # type: ignore[override]
        request.scope["scopes"] = scopes.scopes
        sent = await super().__call__(request)
        return f"bearer {check(sent.credentials if sent else None)}"


class Header(APIKeyHeader):
    async def __call__(self, request: HTTPConnection) -> str:
        return f"header {check(await super().__call__(request))}"


class Cookie(APIKeyCookie):
    async def __call__(self, request: HTTPConnection) -> str:
        return f"cookie {check(await super().__call__(request))}"


class Query(APIKeyQuery):
    async def __call__(self, request: HTTPConnection) -> str:
        return f"query {check(await super().__call__(request))}"


SCHEMES: dict[str, Any] = {
    "bearer": [Bearer()],
    "header": [Header(name="X-Key", scheme_name="header", auto_error=False)],
    "cookie": [Cookie(name="key", scheme_name="cookie", auto_error=False)],
    "query": [Query(name="api-key", scheme_name="query", auto_error=False)],
}


def app_of(*, shortcut: bool, schemes: dict[str, Any] = SCHEMES) -> FastAPI:
    contract = Contract.parse(CONTRACT.encode())
    router = ContractRouter(contract, ModuleType("models"), schemes)

    async def handler(request: Request, response: Response) -> None:
        response.headers["X-Callers"] = ",".join(str(each) for [each] in credentials(request).values())
        response.headers["X-Scopes"] = " ".join(request.scope.get("scopes", ()))

    for operation_id in contract.operations:
        router.operation(operation_id)(handler)
    return contract_app(contract, [router], shortcut=shortcut)


@pytest.fixture(scope="module", params=[True, False], ids=["shortcut", "no-shortcut"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with running(app_of(shortcut=request.param)) as service:
        yield service.url


def status(url: str, path: str, credentials: str) -> int:
    """Return the status of a request with `credentials`: words such as "bearer=good"."""
    sent = dict(word.split("=") for word in credentials.split())
    headers = {}
    if "bearer" in sent:
        headers["Authorization"] = f"Bearer {sent['bearer']}"
    if "header" in sent:
        headers["X-Key"] = sent["header"]
    if "cookie" in sent:
        headers["Cookie"] = f"key={sent['cookie']}"
    params = {"api-key": sent["query"]} if "query" in sent else {}
    return httpx.get(url + path, headers=headers, params=params).status_code


@pytest.mark.parametrize(
    ("path", "statuses"),
    [
        ("/default", {"": 401, "bearer=good": 204, "bearer=bad": 403, "header=good": 401}),
        ("/public", {"": 204, "bearer=bad": 204}),
        ("/optional", {"": 204, "bearer=good": 204, "bearer=bad": 403}),
        (
            "/one-of",
            {"": 401, "bearer=good": 204, "header=good": 204, "bearer=bad": 403, "header=bad": 403, "cookie=good": 401},
        ),
        ("/all-of", {"": 401, "bearer=good": 401, "header=good": 401, "bearer=good header=good": 204}),
        ("/all-of", {"bearer=good header=bad": 403, "bearer=bad header=good": 403}),
        (
            "/mixed",
            {"": 401, "bearer=good header=good": 204, "bearer=good": 401, "cookie=good": 204, "query=good": 204},
        ),
        ("/mixed", {"cookie=bad": 403, "query=bad": 403, "bearer=good cookie=good": 204}),
    ],
    ids=["default", "public", "optional", "one of", "all of", "all of, one bad", "mixed", "mixed, one bad"],
)
def test_security_alternatives_decide_the_status(url: str, path: str, statuses: dict[str, int]) -> None:
    assert {credentials: status(url, path, credentials) for credentials in statuses} == statuses


@pytest.mark.parametrize(
    ("path", "headers", "callers"),
    [
        ("/optional", {}, ""),
        ("/optional", {"Authorization": "Bearer good"}, "bearer good"),
        ("/one-of", {"X-Key": "good"}, "header good"),
        ("/mixed", {"X-Key": "good", "Authorization": "Bearer good"}, "bearer good,header good"),
        ("/mixed", {"Cookie": "key=good"}, "cookie good"),
    ],
    ids=["optional, anonymous", "optional, bearer", "one of", "mixed, bearer and header", "mixed, cookie"],
)
def test_handler_reads_the_credentials_of_the_caller(
    url: str, path: str, headers: dict[str, str], callers: str
) -> None:
    assert httpx.get(url + path, headers=headers).headers["X-Callers"] == callers


def test_guard_receives_the_scopes_of_the_contract(url: str) -> None:
    scopes = [
        httpx.get(url + path, headers={"Authorization": "Bearer good"}).headers["X-Scopes"]
        for path in ("/scoped", "/default", "/one-of")
    ]
    assert scopes == ["write admin", "", ""]


def test_query_key_of_an_unsecured_operation_is_422(url: str) -> None:
    assert httpx.get(url + "/public?api-key=good").status_code == 422


@pytest.mark.parametrize("name", ["header", "cookie"])
def test_scheme_without_guards_stops_the_start(name: str) -> None:
    schemes = {scheme: guards for scheme, guards in SCHEMES.items() if scheme != name}
    with pytest.raises(ContractError, match=f"pass the guards of {name}"):
        app_of(shortcut=True, schemes=schemes)

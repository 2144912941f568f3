"""The guards of the security schemes in tests/contract/constructs: each accepts one credential, `good`."""

from collections.abc import Mapping, Sequence

from fastapi import Request
from fastapi.requests import HTTPConnection
from fastapi.security import APIKeyCookie, APIKeyHeader, APIKeyQuery, HTTPBearer, SecurityScopes

from fastapi_contract.problems import InvalidRequest, MissingCredentials
from fastapi_contract.security import Guard, credentials


# Indirect subclasses of Problem: direct ones would become problem types of the other apps in this process.
class NoCredentials(InvalidRequest, MissingCredentials):
    """No credentials were sent."""

    type, title, status = "/problems/no-credentials", "No credentials", 401


class BadCredentials(InvalidRequest):
    """The credentials are not valid."""

    type, title, status = "/problems/bad-credentials", "Bad credentials", 403


class _Bearer(HTTPBearer):
    def __init__(self) -> None:
        super().__init__(scheme_name="bearer", auto_error=False)

    async def __call__(self, request: Request, scopes: SecurityScopes) -> str:  # type: ignore[override]
        sent = await super().__call__(request)
        return _check("bearer", sent.credentials if sent else None, scopes.scopes)


class _HeaderKey(APIKeyHeader):
    async def __call__(self, request: HTTPConnection) -> str:
        return _check("header", await super().__call__(request))


class _QueryKey(APIKeyQuery):
    async def __call__(self, request: HTTPConnection) -> str:
        return _check("query", await super().__call__(request))


class _CookieKey(APIKeyCookie):
    async def __call__(self, request: HTTPConnection) -> str:
        return _check("cookie", await super().__call__(request))


GUARDS: Mapping[str, Sequence[Guard]] = {
    "bearer": [_Bearer()],
    "header": [_HeaderKey(name="X-Key", scheme_name="header", auto_error=False)],
    "query": [_QueryKey(name="api-key", scheme_name="query", auto_error=False)],
    "cookie": [_CookieKey(name="key", scheme_name="cookie", auto_error=False)],
}


def called_by(request: Request) -> str:
    """The schemes whose credentials were used, if an operation has alternatives."""
    return ", ".join(credentials(request)) or "a stranger"


def _check(scheme: str, sent: str | None, scopes: Sequence[str] = ()) -> str:
    if sent is None:
        raise NoCredentials("No credentials. Send some.")
    if sent not in {"good", *scopes}:
        raise BadCredentials("Invalid credentials. Send others.")
    return scheme

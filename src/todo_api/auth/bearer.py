"""The contract's security scheme `bearerAuth` (RFC 6750): who calls, and whether the URL is theirs."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Depends, Path, Request, Security
from fastapi.openapi.models import HTTPBearer as HTTPBearerModel
from fastapi.security.base import SecurityBase
from todo_contract import models

from fastapi_contract.problems import InvalidRequest
from todo_api.auth.events import SecurityLog
from todo_api.auth.problems import CHALLENGE, AuthenticationRequired, Forbidden, InvalidToken
from todo_api.services import services

_events = SecurityLog()


class BearerAuth(SecurityBase):
    """The guard that authenticates: once a request, for the route ahead of the body or for a handler by `Owner`."""

    def __init__(self) -> None:
        self.model = HTTPBearerModel(bearerFormat="JWT")
        self.scheme_name = "bearerAuth"

    async def __call__(self, request: Request) -> str:
        """The user who calls.

        Raises InvalidRequest, AuthenticationRequired, InvalidToken, IssuerUnavailableError.
        """
        user: str | None = request.scope.get("user")
        if user is None:
            try:
                user = await services(request.scope).tokens.verify(_token(request.scope["headers"]))
            except InvalidToken as refused:
                _events.token_refused(request, refused.reason)
                raise
            request.scope["user"] = user
        return user


class UrlOwnership:
    """The guard that compares the authenticated user with the `user_id` of the URL. It is called after BearerAuth."""

    async def __call__(self, request: Request) -> None:
        """Raises Forbidden."""
        user: str = request.scope["user"]
        if request.path_params.get("user_id", user) != user:
            _events.cross_user(request, user)
            raise Forbidden


def _token(headers: Sequence[tuple[bytes, bytes]]) -> str:
    sent = [value for name, value in headers if name == b"authorization"]
    if not sent:
        raise AuthenticationRequired
    if len(sent) > 1:
        raise _malformed("There is more than one Authorization header.")
    if not sent[0].isascii():
        raise _malformed("The Authorization header is not ASCII.")
    scheme, _, token = sent[0].decode("ascii").partition(" ")
    token = token.strip(" ")
    if scheme.lower() != "bearer" or not token:
        raise AuthenticationRequired
    if " " in token or "," in token:
        raise _malformed("The Authorization header has more than one token.")
    return token


def _malformed(fault: str) -> InvalidRequest:
    challenge = f'{CHALLENGE}, error="invalid_request", error_description="{fault}"'
    return InvalidRequest(f'{fault} Send one, as "Authorization: Bearer <token>".', {"WWW-Authenticate": challenge})


bearer = BearerAuth()
owns_url = UrlOwnership()


async def owner(user: Annotated[str, Security(bearer)], user_id: Annotated[models.UserId, Path()]) -> str:
    """The user whose tasks the URL names: UrlOwnership has compared it with the one who calls."""
    return user


Owner = Annotated[str, Depends(owner)]

"""The guards of the contract's security scheme `bearerAuth` (RFC 6750): authentication and ownership of the URL."""

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
    """The guard that authenticates a request, and limits the requests of each user.

    It runs before the body is read, and again as the dependency `Owner` of a handler; the token is verified, and the
    request counted, only once.
    """

    def __init__(self) -> None:
        self.model = HTTPBearerModel(bearerFormat="JWT")
        self.scheme_name = "bearerAuth"

    async def __call__(self, request: Request) -> str:
        """Returns the user of the token, its `sub`.

        Raises InvalidRequest, AuthenticationRequired, InvalidToken, IssuerUnavailableError, TooManyRequests.
        """
        user: str | None = request.scope.get("user")
        if user is None:
            shared = services(request.scope)
            try:
                user = await shared.tokens.verify(_token(request.scope["headers"]))
            except InvalidToken as error:
                _events.token_refused(request, error.reason)
                raise
            request.scope["user"] = user
            if shared.user_limit is not None and (wait := shared.user_limit.hit(user)):
                await shared.user_limit.require_none(wait)
        return user


class UrlOwnership:
    """The guard that compares the authenticated user with the `user_id` of the URL. It is called after BearerAuth."""

    async def __call__(self, request: Request) -> None:
        """Raises Forbidden if the user in the URL is another one."""
        user: str = request.scope["user"]
        if request.path_params.get("user_id", user) != user:
            _events.cross_user(request, user)
            raise Forbidden


def _token(headers: Sequence[tuple[bytes, bytes]]) -> str:
    """Returns the token of the Authorization header (RFC 6750, section 2.1)."""
    values = [value for name, value in headers if name == b"authorization"]
    if not values:
        raise AuthenticationRequired
    if len(values) > 1:
        raise _malformed("There is more than one Authorization header.")
    if not values[0].isascii():
        raise _malformed("The Authorization header is not ASCII.")
    scheme, _, token = values[0].decode("ascii").partition(" ")
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
    """The user of the token, who is also the user in the URL: UrlOwnership has compared them."""
    return user


Owner = Annotated[str, Depends(owner)]

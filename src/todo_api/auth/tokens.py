"""Signs and verifies JSON Web Tokens (RFC 7519): the only module that knows python-jose.

python-jose by itself takes tokens without exp or sub, exp as text, `alg` by substring, and raises more than JWTError.
Here it gets one Key object and one algorithm, every claim is required, and whatever it raises is InvalidToken.
"""

import time
from typing import Any

from jose import jwk, jwt

from todo_api.problems import InvalidToken

MAX_TOKEN = 8 * 1024
"""Bytes. A nested header of 3 KB is enough to make python-jose raise RecursionError."""
MAX_SUBJECT = 255

_ALGORITHM = "HS256"
_OPTIONS = {
    "require_exp": True,
    "require_sub": True,
    # No audience is configured: without this a token that has one would be refused.
    "verify_aud": False,
}


class TokenVerifier:
    """Verifies HS256 tokens against one secret."""

    def __init__(self, secret: str) -> None:
        # Bytes: python-jose reads a str as JSON first.
        self._key = jwk.construct(secret.encode(), _ALGORITHM)

    def verify(self, token: str) -> str:
        """The subject of the token. Raises InvalidToken, whatever is wrong with it."""
        try:
            return self._subject(token)
        except InvalidToken:
            raise
        except Exception:  # noqa: BLE001
            # Seen: JWTError, JWKError, KeyError, TypeError, ValueError, OverflowError, RecursionError.
            raise InvalidToken from None

    def _subject(self, token: str) -> str:
        if len(token) > MAX_TOKEN or token.count(".") != 2:
            raise InvalidToken
        if jwt.get_unverified_header(token).get("alg") != _ALGORITHM:
            raise InvalidToken
        claims = jwt.decode(token, self._key, algorithms=[_ALGORITHM], options=_OPTIONS)
        expires, subject = claims["exp"], claims["sub"]
        # python-jose takes "exp" as text, and a token in the second in which it expires (RFC 7519, 4.1.4: on or after).
        if isinstance(expires, bool) or not isinstance(expires, int | float) or expires <= time.time():
            raise InvalidToken
        if not isinstance(subject, str) or not 1 <= len(subject) <= MAX_SUBJECT or not subject.isprintable():
            raise InvalidToken
        return subject


def sign(secret: str, subject: str, lifetime: int) -> str:
    """A token for trying things out. `lifetime` in seconds."""
    now = int(time.time())
    claims: dict[str, Any] = {"sub": subject, "iat": now, "exp": now + lifetime}
    return str(jwt.encode(claims, secret, algorithm=_ALGORITHM))

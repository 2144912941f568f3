"""Verifies and signs JSON Web Tokens (RFC 7519).

python-jose checks one signature with one key for one algorithm, and nothing else: by itself it takes tokens without exp
or sub, exp as text, duplicate members, sloppy base64, ignores kid and crit, and raises more than JWTError. See
docs/decisions/0005-python-jose.md.
"""

import base64
import hashlib
import re
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jose import jws, jwt

from fastapi_contract import strict_json
from todo_api.auth.jwks import PublishedKeys
from todo_api.auth.keys import SYNONYMS, VerificationKey
from todo_api.auth.problems import InvalidToken

MAX_SUBJECT = 255

REMEMBERED = 4096
"""Tokens. With 600 bytes each 2.5 MB."""
REMEMBERED_FOR = 60
"""Seconds at most: after that a key that the issuer has withdrawn ends its tokens."""

_SEGMENT = re.compile(r"[A-Za-z0-9_-]+")
_TYPES = {"jwt", "at+jwt"}


@dataclass(frozen=True)
class Policy:
    """What a token must be besides well signed. Durations in seconds."""

    issuer: str | None = None
    audience: str | None = None
    leeway: int = 30
    max_lifetime: int = 24 * 60 * 60
    max_bytes: int = 8 * 1024


class TokenVerifier:
    """Verifies tokens against shared secrets (HS256) and published keys (everything else), never crosswise."""

    def __init__(
        self,
        policy: Policy,
        secrets: Sequence[VerificationKey] = (),
        published: PublishedKeys | None = None,
    ) -> None:
        self._policy = policy
        self._secrets = secrets
        self._published = published
        self._accepted = [*(["HS256"] if secrets else []), *(published.algorithms if published else [])]
        self._remembered: OrderedDict[bytes, tuple[str, float]] = OrderedDict()

    async def verify(self, token: str) -> str:
        """The subject of the token.

        Raises InvalidToken whatever is wrong with it, and IssuerUnavailableError where a key for it can't be had now.
        """
        if not token.isascii():
            raise InvalidToken("base64")
        if len(token) > self._policy.max_bytes:
            raise InvalidToken("size")
        # Not the token itself: a copy of the memory should show none.
        digest = hashlib.blake2b(token.encode(), digest_size=16).digest()
        subject, until = self._remembered.get(digest, ("", 0.0))
        if time.time() < until:
            return subject
        subject, expires = await self._verify(token)
        self._remembered[digest] = subject, min(expires, time.time() + REMEMBERED_FOR)
        if len(self._remembered) > REMEMBERED:
            self._remembered.popitem(last=False)
        return subject

    async def _verify(self, token: str) -> tuple[str, float]:
        """The subject, and when the token ends."""
        segments = token.split(".")
        if len(segments) != 3:
            raise InvalidToken("shape")
        header, payload, _ = (_decode(segment) for segment in segments)
        keys = await self._keys(_check_header(_parse(header)))
        if not any(_is_signed(token, key) for key in keys):
            raise InvalidToken("signature")
        return _check_claims(_parse(payload), self._policy)

    async def _keys(self, header: dict[str, Any]) -> Sequence[VerificationKey]:
        algorithm, kid = header.get("alg"), header.get("kid")
        if not isinstance(algorithm, str) or SYNONYMS.get(algorithm, algorithm) not in self._accepted:
            raise InvalidToken("algorithm", self._explain(algorithm))
        if algorithm == "HS256":
            return self._secrets
        assert self._published is not None
        if not isinstance(kid, str) or (key := await self._published.find(kid)) is None:
            raise InvalidToken("kid")
        if algorithm not in key.names:
            raise InvalidToken("kid")
        return [key]

    def _explain(self, algorithm: object) -> str:
        """The most frequent fault of an integration. Only a name that an algorithm could have is repeated."""
        came = algorithm if isinstance(algorithm, str) and re.fullmatch(r"[A-Za-z0-9-]{1,16}", algorithm) else "unknown"
        return (
            f"The token's algorithm is {came}, and this service accepts {', '.join(self._accepted)}. "
            "Have it signed with one of these, or configure the service for it."
        )


def sign(secret: str, subject: str, lifetime: int, issuer: str | None = None, audience: str | None = None) -> str:
    """A token for trying things out, HS256. `lifetime` in seconds."""
    now = int(time.time())
    claims: dict[str, Any] = {"sub": subject, "iat": now, "exp": now + lifetime}
    claims |= {name: value for name, value in (("iss", issuer), ("aud", audience)) if value is not None}
    return str(jwt.encode(claims, secret, algorithm="HS256"))


def _decode(segment: str) -> bytes:
    """Base64url without padding (RFC 7515, section 2), in the one spelling that its bytes have."""
    if not _SEGMENT.fullmatch(segment):
        raise InvalidToken("base64")
    try:
        decoded = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    except ValueError:
        raise InvalidToken("base64") from None
    if base64.urlsafe_b64encode(decoded).rstrip(b"=") != segment.encode():
        raise InvalidToken("base64")
    return decoded


def _parse(part: bytes) -> dict[str, Any]:
    """A JSON object, without a name that stands twice (RFC 7515, section 4)."""
    try:
        parsed = strict_json.loads(part)
    except strict_json.StrictJSONError:
        raise InvalidToken("json") from None
    if not isinstance(parsed, dict):
        raise InvalidToken("json")
    return parsed


def _check_header(header: dict[str, Any]) -> dict[str, Any]:
    # crit and b64 (RFC 7515, section 4.1.11; RFC 7797) change what is signed: nothing here understands them.
    if "crit" in header or "b64" in header:
        raise InvalidToken("crit")
    typ = header.get("typ", "JWT")
    if not isinstance(typ, str) or typ.lower().removeprefix("application/") not in _TYPES:
        raise InvalidToken("typ")
    return header


def _is_signed(token: str, key: VerificationKey) -> bool:
    try:
        jws.verify(token, key.key, key.names)
    except Exception:  # noqa: BLE001
        # Seen: JWSError, JWTError, JWKError, KeyError, TypeError, ValueError, OverflowError, RecursionError.
        return False
    return True


def _check_claims(claims: dict[str, Any], policy: Policy) -> tuple[str, float]:
    """The subject, and when the token ends. RFC 7519, section 4.1."""
    now = time.time()
    expires, issued, begins = _time(claims, "exp"), _time(claims, "iat"), _time(claims, "nbf")
    if expires is None or expires <= now:
        raise InvalidToken("expired" if expires is not None else "exp")
    if issued is not None and issued > now + policy.leeway:
        raise InvalidToken("iat")
    if begins is not None and begins > now + policy.leeway:
        raise InvalidToken("nbf")
    if expires - (now if issued is None else issued) > policy.max_lifetime:
        raise InvalidToken("lifetime")
    if policy.issuer is not None and claims.get("iss") != policy.issuer:
        raise InvalidToken("iss")
    audience = claims.get("aud")
    if policy.audience is not None and policy.audience not in (audience if isinstance(audience, list) else [audience]):
        raise InvalidToken("aud")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 1 <= len(subject) <= MAX_SUBJECT or not subject.isprintable():
        raise InvalidToken("sub")
    return subject, expires


def _time(claims: dict[str, Any], name: str) -> float | None:
    """A NumericDate (RFC 7519, section 2); None where the claim is absent."""
    if name not in claims:
        return None
    value = claims[name]
    # A bool is an int to Python, and an int may be larger than any float.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**53:
        raise InvalidToken(name)
    return float(value)

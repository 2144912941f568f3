"""Verifies and signs JSON Web Tokens (RFC 7519).

python-jose only checks a signature with one key and one algorithm. On its own it accepts tokens without exp or sub, exp
as a string, duplicate members and non-canonical base64, ignores kid and crit, and raises more than JWTError. See
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

from fastapi_contract.validation import strict_json
from todo_api.auth.jwks import PublishedKeys
from todo_api.auth.keys import ALIASES, VerificationKey
from todo_api.auth.problems import InvalidToken

MAX_SUBJECT = 255
"""Characters."""

MAX_CACHED_TOKENS = 4096
"""At 600 bytes each, 2.5 MB."""
CACHE_LIFETIME = 60
"""Maximum seconds that a verified token stays accepted after its key has left the fetched JWK Set."""

_SEGMENT = re.compile(r"[A-Za-z0-9_-]+")
_TYPES = {"jwt", "at+jwt"}


@dataclass(frozen=True)
class Policy:
    """Requirements on the claims and size of a token. None: not checked. Durations in seconds, size in bytes."""

    issuer: str | None = None
    audience: str | None = None
    leeway: int = 30
    max_lifetime: int = 24 * 60 * 60
    max_bytes: int = 8 * 1024


class TokenVerifier:
    """Verifies tokens: HS256 only with shared secrets, every other algorithm only with published keys.

    Verified tokens are cached for CACHE_LIFETIME.
    """

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
        self._cache: OrderedDict[bytes, tuple[str, float]] = OrderedDict()

    async def verify(self, token: str) -> str:
        """Returns the subject of the token.

        Raises InvalidToken if the token is not accepted, IssuerUnavailableError if its key cannot be fetched.
        """
        if not token.isascii():
            raise InvalidToken("base64")
        if len(token) > self._policy.max_bytes:
            raise InvalidToken("size")
        # The cache has hashes, so that a memory dump contains no token.
        digest = hashlib.blake2b(token.encode(), digest_size=16).digest()
        subject, until = self._cache.get(digest, ("", 0.0))
        if time.time() < until:
            return subject
        subject, expires = await self._verify(token)
        self._cache[digest] = subject, min(expires, time.time() + CACHE_LIFETIME)
        if len(self._cache) > MAX_CACHED_TOKENS:
            self._cache.popitem(last=False)
        return subject

    async def _verify(self, token: str) -> tuple[str, float]:
        """Returns the subject, and the time at which the token expires."""
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
        if not isinstance(algorithm, str) or ALIASES.get(algorithm, algorithm) not in self._accepted:
            raise InvalidToken("algorithm", self._algorithm_detail(algorithm))
        if algorithm == "HS256":
            return self._secrets
        assert self._published is not None
        if not isinstance(kid, str) or (key := await self._published.find(kid)) is None:
            raise InvalidToken("kid")
        if algorithm not in key.names:
            raise InvalidToken("kid")
        return [key]

    def _algorithm_detail(self, algorithm: object) -> str:
        """Returns the detail for the most frequent fault of an integration: an algorithm that is not accepted.

        The detail quotes the token's algorithm only if it looks like the name of one.
        """
        received = (
            algorithm if isinstance(algorithm, str) and re.fullmatch(r"[A-Za-z0-9-]{1,16}", algorithm) else "unknown"
        )
        return (
            f"The token's algorithm is {received}, and this service accepts {', '.join(self._accepted)}. "
            "Sign it with one of these, or configure the service to accept it."
        )


def sign(secret: str, subject: str, lifetime: int, issuer: str | None = None, audience: str | None = None) -> str:
    """Returns an HS256 token for tests and first requests, which expires after `lifetime` seconds."""
    now = int(time.time())
    claims: dict[str, Any] = {"sub": subject, "iat": now, "exp": now + lifetime}
    claims |= {name: value for name, value in (("iss", issuer), ("aud", audience)) if value is not None}
    return str(jwt.encode(claims, secret, algorithm="HS256"))


def _decode(segment: str) -> bytes:
    """Decodes base64url without padding (RFC 7515, section 2). Raises InvalidToken unless the encoding is canonical."""
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
    """Parses a JSON object. Raises InvalidToken, also for duplicate names (RFC 7515, section 4)."""
    try:
        parsed = strict_json.loads(part)
    except strict_json.StrictJSONError:
        raise InvalidToken("json") from None
    if not isinstance(parsed, dict):
        raise InvalidToken("json")
    return parsed


def _check_header(header: dict[str, Any]) -> dict[str, Any]:
    # crit requires extensions, and b64 changes the signed bytes (RFC 7515, section 4.1.11; RFC 7797): not supported.
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
        # Observed: JWSError, JWTError, JWKError, KeyError, TypeError, ValueError, OverflowError, RecursionError.
        return False
    return True


def _check_claims(claims: dict[str, Any], policy: Policy) -> tuple[str, float]:
    """Returns the subject, and the time at which the token expires. RFC 7519, section 4.1."""
    now = time.time()
    expires, issued, not_before = _time(claims, "exp"), _time(claims, "iat"), _time(claims, "nbf")
    if expires is None or expires <= now:
        raise InvalidToken("expired" if expires is not None else "exp")
    if issued is not None and issued > now + policy.leeway:
        raise InvalidToken("iat")
    if not_before is not None and not_before > now + policy.leeway:
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
    """Returns a NumericDate (RFC 7519, section 2), or None if the claim is absent."""
    if name not in claims:
        return None
    value = claims[name]
    # Python's bool is an int, and an int may be larger than any float.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**53:
        raise InvalidToken(name)
    return float(value)

"""A TokenVerifier with a shared secret and two published keys."""

import asyncio
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

from support.issuer import SigningKey, encode, make_key
from todo_api.auth.jwks import IssuerUnavailableError, PublishedKeys
from todo_api.auth.keys import ALGORITHMS, VerificationKey, published_key, shared_key
from todo_api.auth.problems import InvalidToken
from todo_api.auth.tokens import Policy, TokenVerifier

NOW = int(time.time())
SECRET = "a secret of the tests, 32 bytes or more"


def hs256(secret: bytes) -> Callable[[bytes], bytes]:
    return lambda message: hmac.digest(secret, message, "sha256")


SHARED = SigningKey({"alg": "HS256", "kid": "away"}, "", hs256(SECRET.encode()))
EDDSA, ES256 = (
    replace(key, jwk={**key.jwk, "kid": f"the {key.jwk['alg']} one"})
    for key in (make_key("EdDSA", ""), make_key("ES256", ""))
)


@dataclass
class Published:
    """The keys of an issuer. Looking up the key "away" raises IssuerUnavailableError."""

    keys: dict[str, VerificationKey]
    algorithms = tuple(ALGORITHMS)

    async def find(self, kid: str) -> VerificationKey | None:
        if kid == "away":
            raise IssuerUnavailableError
        return self.keys.get(kid)


def publish(*keys: SigningKey) -> Published:
    return Published(dict(published_key(key.jwk, list(ALGORITHMS)) for key in keys))


def verifier(*secrets: VerificationKey, published: Published | None = None, **policy: Any) -> TokenVerifier:
    return TokenVerifier(Policy(**policy), secrets, cast("PublishedKeys", published))


def standard_verifier() -> TokenVerifier:
    """Return a verifier that accepts HS256, EDDSA and ES256."""
    return verifier(shared_key(SECRET), published=publish(EDDSA, ES256))


def verify(by: TokenVerifier, *tokens: str) -> list[str]:
    """Return the subject of each token; "!" and the reason if it is rejected; "?" if the issuer is unavailable."""

    async def run() -> list[str]:
        subjects = []
        for token in tokens:
            try:
                subjects.append(await by.verify(token))
            except InvalidToken as rejected:
                subjects.append(f"!{rejected.reason}")
            except IssuerUnavailableError:
                subjects.append("?")
        return subjects

    return asyncio.run(run())


def sign(key: SigningKey, header: bytes, payload: bytes) -> str:
    signed = f"{encode(header)}.{encode(payload)}"
    return f"{signed}.{encode(key.sign(signed.encode()))}"


def token_of(key: SigningKey, header: dict[str, Any], claims: dict[str, Any]) -> str:
    return sign(key, json.dumps(header).encode(), json.dumps(claims).encode())

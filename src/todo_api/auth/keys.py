"""Keys that verify tokens, each bound to one algorithm.

A published key (JWK, RFC 7517) is accepted only if it is a public key for signatures, and of an accepted algorithm.
python-jose checks neither `use` and `key_ops` nor that the curve matches the algorithm, and does not support EdDSA.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from jose import JOSEError, jwk
from jose.backends.base import Key as JoseKey
from jose.utils import base64url_decode

MIN_RSA_BITS = 2048
"""RFC 7518, section 3.3."""
MAX_KID = 255

# Required members of a key (RFC 7518, section 6; RFC 8037). PS256 is missing, because python-jose does not support it.
ALGORITHMS: dict[str, dict[str, str]] = {
    "EdDSA": {"kty": "OKP", "crv": "Ed25519"},
    "ES256": {"kty": "EC", "crv": "P-256"},
    "ES384": {"kty": "EC", "crv": "P-384"},
    "ES512": {"kty": "EC", "crv": "P-521"},
    "RS256": {"kty": "RSA"},
    "RS384": {"kty": "RSA"},
    "RS512": {"kty": "RSA"},
}
ALIASES = {"Ed25519": "EdDSA"}
"""RFC 9864 renames EdDSA with Ed25519; key and signature are the same. The rest of the code uses the old name."""
# Members of private and symmetric keys: RFC 7518, sections 6.2.2, 6.3.2 and 6.4.
_SECRET_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_PUBLIC_MEMBERS = {"OKP": ("x",), "EC": ("x", "y"), "RSA": ("n", "e")}


@dataclass(frozen=True)
class VerificationKey:
    """A key, and the only algorithm that it may verify."""

    algorithm: str
    key: JoseKey

    @property
    def names(self) -> list[str]:
        """Names of the algorithm in a token's header."""
        return [self.algorithm, *(name for name, original in ALIASES.items() if original == self.algorithm)]


class Ed25519Key(JoseKey):
    """EdDSA with Ed25519 (RFC 8037), with the interface of python-jose's keys."""

    def __init__(self, public_key: bytes) -> None:
        """`public_key` has 32 bytes. Raises ValueError if not."""
        self._key = Ed25519PublicKey.from_public_bytes(public_key)

    def verify(self, msg: bytes, sig: bytes) -> bool:
        try:
            self._key.verify(sig, msg)
        except InvalidSignature:
            return False
        return True


def shared_key(secret: str) -> VerificationKey:
    """Returns an HS256 key.

    Raises ValueError if the secret looks like a public key or a certificate, because anyone could then sign HS256
    tokens with that public text. python-jose makes this check.
    """
    try:
        # Bytes, because python-jose first tries to parse a str as JSON.
        return VerificationKey("HS256", jwk.construct(secret.encode(), "HS256"))
    except JOSEError:
        raise ValueError(
            "is a key or a certificate for asymmetric signatures, but HS256 requires random text"
        ) from None


def published_key(document: Any, algorithms: Collection[str]) -> tuple[str, VerificationKey]:
    """Returns the kid and the key of a member of a JWK Set.

    Raises ValueError if the key cannot verify tokens of `algorithms`; the message is a reason for the log.
    """
    if not isinstance(document, dict):
        raise ValueError("not an object")
    kid = document.get("kid")
    if not isinstance(kid, str) or not 1 <= len(kid) <= MAX_KID:
        raise ValueError("no kid")
    if not _SECRET_MEMBERS.isdisjoint(document):
        raise ValueError("not public")
    operations = document.get("key_ops", ["verify"])
    if document.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
        raise ValueError("not for signatures")
    algorithm = document["alg"] if "alg" in document else _algorithm_of(document)
    if not isinstance(algorithm, str):
        raise ValueError("of another algorithm")
    algorithm = ALIASES.get(algorithm, algorithm)
    if algorithm not in algorithms or algorithm not in ALGORITHMS:
        raise ValueError("of another algorithm")
    required = ALGORITHMS[algorithm]
    if any(document.get(name) != value for name, value in required.items()):
        raise ValueError("does not fit its algorithm")
    # No other members, because python-jose also reads certificates and the private members of RSA.
    members = {name: document.get(name) for name in (*required, *_PUBLIC_MEMBERS[required["kty"]])}
    if not all(isinstance(value, str) for value in members.values()):
        raise ValueError("incomplete")
    return kid, VerificationKey(algorithm, _construct(algorithm, members))


def _algorithm_of(document: dict[str, Any]) -> str | None:
    """Returns the first algorithm that matches the key, because `alg` is optional (RFC 7517, section 4.4)."""
    return next(
        (
            algorithm
            for algorithm, required in ALGORITHMS.items()
            if all(document.get(name) == value for name, value in required.items())
        ),
        None,
    )


def _construct(algorithm: str, members: dict[str, Any]) -> JoseKey:
    try:
        if algorithm == "EdDSA":
            return Ed25519Key(base64url_decode(members["x"].encode()))
        key = jwk.construct(members, algorithm)
        if (
            members["kty"] == "RSA"
            and int.from_bytes(base64url_decode(members["n"].encode())).bit_length() < MIN_RSA_BITS
        ):
            raise ValueError("too short")
    except Exception as error:
        # cryptography and python-jose raise many types of exceptions if the key material is broken.
        raise ValueError("broken") from error
    return key

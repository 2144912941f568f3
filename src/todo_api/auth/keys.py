"""Keys that tokens are verified with, each bound to one algorithm.

A published key (JWK, RFC 7517) is admitted only when it can be nothing but a public key for signatures of an algorithm
that is wanted. python-jose ignores `use`, `key_ops` and whether the curve fits the algorithm, and has no EdDSA.
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

# What a key of each algorithm must be (RFC 7518, section 6; RFC 8037). PS256 is beyond python-jose.
ALGORITHMS: dict[str, dict[str, str]] = {
    "EdDSA": {"kty": "OKP", "crv": "Ed25519"},
    "ES256": {"kty": "EC", "crv": "P-256"},
    "ES384": {"kty": "EC", "crv": "P-384"},
    "ES512": {"kty": "EC", "crv": "P-521"},
    "RS256": {"kty": "RSA"},
    "RS384": {"kty": "RSA"},
    "RS512": {"kty": "RSA"},
}
SYNONYMS = {"Ed25519": "EdDSA"}
"""RFC 9864 renames EdDSA with Ed25519; key and signature are the same. The rest of the code uses one name."""
# RFC 7518, sections 6.2.2, 6.3.2 and 6.4.
_SECRET_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_MEMBERS = {"OKP": ("x",), "EC": ("x", "y"), "RSA": ("n", "e")}


@dataclass(frozen=True)
class VerificationKey:
    """A key, and the one algorithm that it is for."""

    algorithm: str
    key: JoseKey

    @property
    def names(self) -> list[str]:
        """What a token's header may call the algorithm."""
        return [self.algorithm, *(name for name, meant in SYNONYMS.items() if meant == self.algorithm)]


class Ed25519Key(JoseKey):
    """EdDSA over Ed25519 (RFC 8037) in the shape that python-jose wants."""

    def __init__(self, public_key: bytes) -> None:
        """Raises ValueError for anything but 32 bytes."""
        self._key = Ed25519PublicKey.from_public_bytes(public_key)

    def verify(self, msg: bytes, sig: bytes) -> bool:
        try:
            self._key.verify(sig, msg)
        except InvalidSignature:
            return False
        return True


def shared_key(secret: str) -> VerificationKey:
    """An HS256 key. Bytes, for python-jose reads a str as JSON first.

    Raises ValueError for a secret that looks like a public key: python-jose takes none, so that nobody verifies HS256
    tokens with a key that everybody knows.
    """
    try:
        return VerificationKey("HS256", jwk.construct(secret.encode(), "HS256"))
    except JOSEError:
        raise ValueError("is a key or a certificate for asymmetric signatures, and HS256 needs a random text") from None


def published_key(document: Any, algorithms: Collection[str]) -> tuple[str, VerificationKey]:
    """The kid and the key of a member of a JWK Set. Raises ValueError for one that is not to be used."""
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
    algorithm = SYNONYMS.get(algorithm, algorithm)
    if algorithm not in algorithms or algorithm not in ALGORITHMS:
        raise ValueError("of another algorithm")
    shape = ALGORITHMS[algorithm]
    if any(document.get(name) != value for name, value in shape.items()):
        raise ValueError("does not fit its algorithm")
    # Only what makes the key: python-jose also reads certificates and the private members of RSA.
    members = {name: document.get(name) for name in (*shape, *_MEMBERS[shape["kty"]])}
    if not all(isinstance(value, str) for value in members.values()):
        raise ValueError("incomplete")
    return kid, VerificationKey(algorithm, _construct(algorithm, members))


def _algorithm_of(document: dict[str, Any]) -> str | None:
    """RFC 7517, section 4.4: `alg` is optional. Then the first algorithm that the key fits."""
    return next(
        (
            algorithm
            for algorithm, shape in ALGORITHMS.items()
            if all(document.get(name) == value for name, value in shape.items())
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
        # cryptography and python-jose raise what they like for broken key material.
        raise ValueError("broken") from error
    return key

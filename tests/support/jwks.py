"""The keys that an issuer publishes, read as the service reads them."""

import asyncio
import gzip
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from http.server import BaseHTTPRequestHandler

from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa, x25519

from support.issuer import Answer, Issuer, encode, encode_int, make_key, reply
from support.service import Service
from todo_api.auth.jwks import MAX_SIZE, PublishedKeys

ALGORITHMS = ("EdDSA", "ES256", "RS256")
DEADLINE = 30


@asynccontextmanager
async def published(issuer: Issuer, algorithms: tuple[str, ...] = ALGORITHMS) -> AsyncIterator[PublishedKeys]:
    keys = PublishedKeys(issuer.jwks_url, algorithms)
    try:
        await keys.start()
        yield keys
    finally:
        await keys.close()


def run(issuer: Issuer, test: Callable[[PublishedKeys], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(DEADLINE), published(issuer) as keys:
            await test(keys)

    asyncio.run(main())


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


def snapshot_after(issuer: Issuer, event: threading.Event) -> Answer:
    """Answers with the keys of the moment when it was asked, but not before the event."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        document = issuer.document()
        event.wait(DEADLINE)
        reply(document)(request)

    return answer


def endless(request: BaseHTTPRequestHandler) -> None:
    """Ends when nobody reads any more."""
    request.send_response(200)
    request.end_headers()
    while True:
        request.wfile.write(b" " * 65536)


def trickling(request: BaseHTTPRequestHandler) -> None:
    """Each byte comes in time, the whole never does."""
    request.send_response(200)
    request.end_headers()
    while True:
        request.wfile.write(b" ")
        threading.Event().wait(0.02)


def silent(request: BaseHTTPRequestHandler) -> None:
    """Waits until the other side hangs up."""
    request.connection.recv(1)


def cut(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.send_header("Content-Length", "1000")
    request.end_headers()
    request.wfile.write(b'{"keys": []}')


def no_http(request: BaseHTTPRequestHandler) -> None:
    request.wfile.write(b"hello\r\n\r\n")


ENOUGH = b" " * (MAX_SIZE + 1)

FAILURES = {
    "HTML": reply(b"<!doctype html><title>Sign in</title>", headers={"Content-Type": "text/html"}),
    "nothing": reply(b""),
    "no JSON": reply(b'{"keys": ['),
    "no UTF-8": reply(b'{"keys": [], "x": "\xff"}'),
    "nested deeply": reply(b'{"keys": ' + b"[" * 50_000 + b"]" * 50_000 + b"}"),
    "a number of 5000 digits": reply(b'{"keys": [], "x": ' + b"9" * 5000 + b"}"),
    "null": reply(b"null"),
    "a list": reply(b"[]"),
    "an object without keys": reply(b'{"error": "keys"}'),
    "keys null": reply(b'{"keys": null}'),
    "keys an object": reply(b'{"keys": {}}'),
    "status 500": reply(b'{"keys": []}', 500),
    "status 404": reply(b'{"keys": []}', 404),
    "status 204": reply(b"", 204),
    "too large": reply(b'{"keys": []}' + ENOUGH),
    "too large when unpacked": reply(gzip.compress(b'{"keys": []}' + ENOUGH), headers={"Content-Encoding": "gzip"}),
    "packed wrongly": reply(b'{"keys": []}', headers={"Content-Encoding": "gzip"}),
    "endless": endless,
    "trickling": trickling,
    "silent": silent,
    "cut": cut,
    "no HTTP": no_http,
}


# --- which keys are admitted


def jwk(algorithm: str = "EdDSA", **others: object) -> dict[str, object]:
    """A good key, but for what is given. A member that is None is left out."""
    members = {**make_key(algorithm, "").jwk, "kid": "this", **others}
    return {name: value for name, value in members.items() if value is not None}


def rsa_jwk(bits: int) -> dict[str, object]:
    numbers = rsa.generate_private_key(65537, bits).public_key().public_numbers()
    return {"kty": "RSA", "alg": "RS256", "kid": "this", "n": encode_int(numbers.n), "e": "AQAB"}


def ec_jwk(curve: ec.EllipticCurve, crv: str, **others: object) -> dict[str, object]:
    point, size = ec.generate_private_key(curve).public_key().public_numbers(), (curve.key_size + 7) // 8
    x, y = encode_int(point.x, size), encode_int(point.y, size)
    return {"kty": "EC", "crv": crv, "kid": "this", "x": x, "y": y, **others}


OCT = {"kty": "oct", "k": encode(b"k" * 32), "kid": "this"}
EXAMPLE = make_key("ES256", "").jwk

GOOD_KEYS = {
    "EdDSA": jwk(),
    "ES256": jwk("ES256"),
    "RS256": jwk("RS256"),
    "EdDSA without alg": jwk(alg=None),
    "ES256 without alg": jwk("ES256", alg=None),
    "RS256 without alg": jwk("RS256", alg=None),
    "for signatures": jwk(use="sig", key_ops=["verify"]),
    "with members of its own": jwk(created_at=1, x5c=["!"], ext=True, _=None),
}

BAD_KEYS: dict[str, object] = {
    "null": None,
    "a number": 1,
    "a text": "this",
    "a list": ["kid", "this"],
    "an empty object": {},
    "oct": {**OCT, "alg": "HS256"},
    "oct without alg": OCT,
    "oct that says EdDSA": {**OCT, "alg": "EdDSA"},
    "oct with everything": {**jwk(), **OCT, "alg": "EdDSA"},
    "private OKP": jwk(d=encode(b"d" * 32)),
    "private EC": jwk("ES256", d=encode(b"d" * 32)),
    "private RSA": jwk("RS256", d=encode(b"d" * 256)),
    "private RSA by its primes": jwk("RS256", p=encode(b"p" * 128), q=encode(b"q" * 128)),
    "for encryption": jwk(use="enc"),
    "use a number": jwk(use=1),
    "use a list": jwk(use=["sig"]),
    "for encryption by key_ops": jwk(key_ops=["encrypt"]),
    "key_ops empty": jwk(key_ops=[]),
    "key_ops a number": jwk(key_ops=1),
    "key_ops a text": jwk(key_ops="verify"),
    "key_ops an object": jwk(key_ops={"verify": 1}),
    "alg of RSA": jwk(alg="RS256"),
    "alg of another curve": jwk("ES512", alg="ES256"),
    "alg not wanted": jwk("ES512"),
    "alg of HMAC": jwk(alg="HS256"),
    "alg none": jwk(alg="none"),
    "alg unknown": jwk(alg="XX"),
    "alg a number": jwk(alg=1),
    "alg zero": jwk(alg=0),
    "alg empty": jwk(alg=""),
    "alg a list": jwk(alg=["EdDSA"]),
    "alg an object": jwk(alg={"EdDSA": 1}),
    "kty missing": jwk(kty=None),
    "kty unknown": jwk(kty="XX"),
    "kty in capitals": jwk("RS256", kty="rsa"),
    "kty a number": jwk(kty=1),
    "kty a list": jwk(kty=["OKP"]),
    "kty of another": jwk(kty="RSA"),
    "kid missing": jwk(kid=None),
    "kid a number": jwk(kid=1),
    "kid a list": jwk(kid=["this"]),
    "kid an object": jwk(kid={}),
    "kid empty": jwk(kid=""),
    "crv missing": jwk(crv=None),
    "crv unknown": jwk(crv="XX"),
    "crv a list": jwk(crv=["Ed25519"]),
    "crv for key agreement": jwk(
        crv="X25519", x=encode(x25519.X25519PrivateKey.generate().public_key().public_bytes_raw())
    ),
    "crv Ed448": jwk(crv="Ed448", x=encode(ed448.Ed448PrivateKey.generate().public_key().public_bytes_raw())),
    "crv P-384": ec_jwk(ec.SECP384R1(), "P-384", alg="ES256"),
    "crv P-384 without alg": ec_jwk(ec.SECP384R1(), "P-384"),
    "crv secp256k1": ec_jwk(ec.SECP256K1(), "secp256k1", alg="ES256"),
    "crv of another point": ec_jwk(ec.SECP256K1(), "P-256", alg="ES256"),
    "x missing": jwk(x=None),
    "x empty": jwk(x=""),
    "x a number": jwk(x=1),
    "x a list": jwk(x=["x"]),
    "x not ASCII": jwk(x="é"),
    "x a lone surrogate": jwk(x="\ud800"),
    "x not base64": jwk(x="!"),
    "x too short": jwk(x=encode(b"x" * 31)),
    "x too long": jwk(x=encode(b"x" * 33)),
    "EC, x missing": jwk("ES256", x=None),
    "EC, y missing": jwk("ES256", y=None),
    "EC, y a number": jwk("ES256", y=1),
    "EC, no point": jwk("ES256", x=EXAMPLE["y"], y=EXAMPLE["x"]),
    "EC, zero": jwk("ES256", x=encode(bytes(32)), y=encode(bytes(32))),
    "RSA, n missing": jwk("RS256", n=None),
    "RSA, e missing": jwk("RS256", e=None),
    "RSA, n a number": jwk("RS256", n=1),
    "RSA, n empty": jwk("RS256", n=""),
    "RSA, n zero": jwk("RS256", n="AA"),
    "RSA, e one": jwk("RS256", e="AQ"),
    "RSA, e even": jwk("RS256", e="AQAC"),
    "RSA, 1024 bits": rsa_jwk(1024),
    "RSA, 1024 bits filled up": {**rsa_jwk(1024), "n": "A" * 300 + str(rsa_jwk(1024)["n"])},
}


Serve = Callable[..., AbstractContextManager[Service]]

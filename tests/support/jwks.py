"""PublishedKeys on an issuer of the tests, responses that it must reject, and valid and invalid keys."""

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
"""Timeout of a test in seconds."""


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
    """Return an Answer with the keys at the time of the request, which it sends after the event."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        document = issuer.document()
        event.wait(DEADLINE)
        reply(document)(request)

    return answer


def endless(request: BaseHTTPRequestHandler) -> None:
    """Send white space until the client closes the connection."""
    request.send_response(200)
    request.end_headers()
    while True:
        request.wfile.write(b" " * 65536)


def trickling(request: BaseHTTPRequestHandler) -> None:
    """Send one byte every 20 ms, without an end."""
    request.send_response(200)
    request.end_headers()
    while True:
        request.wfile.write(b" ")
        threading.Event().wait(0.02)


def silent(request: BaseHTTPRequestHandler) -> None:
    """Send nothing until the client closes the connection."""
    request.connection.recv(1)


def truncated(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.send_header("Content-Length", "1000")
    request.end_headers()
    request.wfile.write(b'{"keys": []}')


def not_http(request: BaseHTTPRequestHandler) -> None:
    request.wfile.write(b"hello\r\n\r\n")


PADDING = b" " * (MAX_SIZE + 1)

FAILURES = {
    "HTML": reply(b"<!doctype html><title>Sign in</title>", headers={"Content-Type": "text/html"}),
    "empty": reply(b""),
    "not JSON": reply(b'{"keys": ['),
    "not UTF-8": reply(b'{"keys": [], "x": "\xff"}'),
    "deeply nested": reply(b'{"keys": ' + b"[" * 50_000 + b"]" * 50_000 + b"}"),
    "number of 5000 digits": reply(b'{"keys": [], "x": ' + b"9" * 5000 + b"}"),
    "null": reply(b"null"),
    "list": reply(b"[]"),
    "object without keys": reply(b'{"error": "keys"}'),
    "keys: null": reply(b'{"keys": null}'),
    "keys: object": reply(b'{"keys": {}}'),
    "status 500": reply(b'{"keys": []}', 500),
    "status 404": reply(b'{"keys": []}', 404),
    "status 204": reply(b"", 204),
    "too large": reply(b'{"keys": []}' + PADDING),
    "too large when decompressed": reply(
        gzip.compress(b'{"keys": []}' + PADDING), headers={"Content-Encoding": "gzip"}
    ),
    "invalid gzip": reply(b'{"keys": []}', headers={"Content-Encoding": "gzip"}),
    "endless": endless,
    "trickling": trickling,
    "silent": silent,
    "truncated": truncated,
    "not HTTP": not_http,
}


# --- valid and invalid keys


def jwk(algorithm: str = "EdDSA", **others: object) -> dict[str, object]:
    """Return a valid key, changed by `others`. None omits a member."""
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
    "with unknown members": jwk(created_at=1, x5c=["!"], ext=True, _=None),
}

BAD_KEYS: dict[str, object] = {
    "null": None,
    "number": 1,
    "string": "this",
    "list": ["kid", "this"],
    "empty object": {},
    "oct": {**OCT, "alg": "HS256"},
    "oct without alg": OCT,
    "oct with alg EdDSA": {**OCT, "alg": "EdDSA"},
    "oct with the members of OKP": {**jwk(), **OCT, "alg": "EdDSA"},
    "private OKP": jwk(d=encode(b"d" * 32)),
    "private EC": jwk("ES256", d=encode(b"d" * 32)),
    "private RSA": jwk("RS256", d=encode(b"d" * 256)),
    "private RSA by its primes": jwk("RS256", p=encode(b"p" * 128), q=encode(b"q" * 128)),
    "for encryption": jwk(use="enc"),
    "use: number": jwk(use=1),
    "use: list": jwk(use=["sig"]),
    "for encryption by key_ops": jwk(key_ops=["encrypt"]),
    "key_ops: empty": jwk(key_ops=[]),
    "key_ops: number": jwk(key_ops=1),
    "key_ops: string": jwk(key_ops="verify"),
    "key_ops: object": jwk(key_ops={"verify": 1}),
    "alg of RSA": jwk(alg="RS256"),
    "alg of another curve": jwk("ES512", alg="ES256"),
    "alg not accepted": jwk("ES512"),
    "alg of HMAC": jwk(alg="HS256"),
    "alg none": jwk(alg="none"),
    "alg unknown": jwk(alg="XX"),
    "alg: number": jwk(alg=1),
    "alg: 0": jwk(alg=0),
    "alg: empty": jwk(alg=""),
    "alg: list": jwk(alg=["EdDSA"]),
    "alg: object": jwk(alg={"EdDSA": 1}),
    "kty missing": jwk(kty=None),
    "kty unknown": jwk(kty="XX"),
    "kty in capitals": jwk("RS256", kty="rsa"),
    "kty: number": jwk(kty=1),
    "kty: list": jwk(kty=["OKP"]),
    "kty of another alg": jwk(kty="RSA"),
    "kid missing": jwk(kid=None),
    "kid: number": jwk(kid=1),
    "kid: list": jwk(kid=["this"]),
    "kid: object": jwk(kid={}),
    "kid: empty": jwk(kid=""),
    "crv missing": jwk(crv=None),
    "crv unknown": jwk(crv="XX"),
    "crv: list": jwk(crv=["Ed25519"]),
    "crv for key agreement": jwk(
        crv="X25519", x=encode(x25519.X25519PrivateKey.generate().public_key().public_bytes_raw())
    ),
    "crv Ed448": jwk(crv="Ed448", x=encode(ed448.Ed448PrivateKey.generate().public_key().public_bytes_raw())),
    "crv P-384": ec_jwk(ec.SECP384R1(), "P-384", alg="ES256"),
    "crv P-384 without alg": ec_jwk(ec.SECP384R1(), "P-384"),
    "crv secp256k1": ec_jwk(ec.SECP256K1(), "secp256k1", alg="ES256"),
    "crv of another point": ec_jwk(ec.SECP256K1(), "P-256", alg="ES256"),
    "x missing": jwk(x=None),
    "x: empty": jwk(x=""),
    "x: number": jwk(x=1),
    "x: list": jwk(x=["x"]),
    "x not ASCII": jwk(x="é"),
    "x: lone surrogate": jwk(x="\ud800"),
    "x not base64": jwk(x="!"),
    "x too short": jwk(x=encode(b"x" * 31)),
    "x too long": jwk(x=encode(b"x" * 33)),
    "EC, x missing": jwk("ES256", x=None),
    "EC, y missing": jwk("ES256", y=None),
    "EC, y: number": jwk("ES256", y=1),
    "EC, not on the curve": jwk("ES256", x=EXAMPLE["y"], y=EXAMPLE["x"]),
    "EC, zero": jwk("ES256", x=encode(bytes(32)), y=encode(bytes(32))),
    "RSA, n missing": jwk("RS256", n=None),
    "RSA, e missing": jwk("RS256", e=None),
    "RSA, n: number": jwk("RS256", n=1),
    "RSA, n: empty": jwk("RS256", n=""),
    "RSA, n: 0": jwk("RS256", n="AA"),
    "RSA, e: 1": jwk("RS256", e="AQ"),
    "RSA, e even": jwk("RS256", e="AQAC"),
    "RSA, 1024 bits": rsa_jwk(1024),
    "RSA, 1024 bits zero-padded": {**rsa_jwk(1024), "n": "A" * 300 + str(rsa_jwk(1024)["n"])},
}


Serve = Callable[..., AbstractContextManager[Service]]

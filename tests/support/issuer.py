"""A token issuer on the loopback interface, which publishes keys as Better Auth does and simulates failures."""

import base64
import json
import ssl
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

Answer = Callable[[BaseHTTPRequestHandler], None]
"""Handles one request for the keys. It may write any bytes, and block."""

PATH = "/api/auth/jwks"

_EC: dict[str, tuple[ec.EllipticCurve, str, hashes.HashAlgorithm]] = {
    "ES256": (ec.SECP256R1(), "P-256", hashes.SHA256()),
    "ES512": (ec.SECP521R1(), "P-521", hashes.SHA512()),
}


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def encode_int(number: int, size: int | None = None) -> str:
    return encode(number.to_bytes(size or (number.bit_length() + 7) // 8, "big"))


def compact(header: object, claims: object, sign: Callable[[bytes], bytes]) -> str:
    """Return a JWS in compact serialization (RFC 7515, section 7.1). Libraries do not sign invalid tokens."""
    signed = ".".join(encode(json.dumps(part).encode()) for part in (header, claims))
    return f"{signed}.{encode(sign(signed.encode()))}"


@dataclass(frozen=True)
class SigningKey:
    """A key pair. `jwk` is its published half."""

    jwk: dict[str, Any]
    issuer: str
    sign: Callable[[bytes], bytes]

    @property
    def kid(self) -> str:
        return str(self.jwk["kid"])

    def token(self, sub: str, header: Mapping[str, object] | None = None, **claims: object) -> str:
        """Return a token with the claims of Better Auth, changed by `header` and `claims`. None omits a member."""
        now = int(time.time())
        return compact(
            _present({"alg": self.jwk["alg"], "kid": self.kid, **(header or {})}),
            _present({"sub": sub, "iat": now, "exp": now + 600, "iss": self.issuer, "aud": self.issuer, **claims}),
            self.sign,
        )


def _present(members: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in members.items() if value is not None}


def make_key(algorithm: str, issuer: str) -> SigningKey:
    """Return a key pair that is not published."""
    public: dict[str, str]
    sign: Callable[[bytes], bytes]
    if algorithm == "EdDSA":
        okp = ed25519.Ed25519PrivateKey.generate()
        public, sign = {"kty": "OKP", "crv": "Ed25519", "x": encode(okp.public_key().public_bytes_raw())}, okp.sign
    elif algorithm == "RS256":
        pair = rsa.generate_private_key(65537, 2048)
        numbers = pair.public_key().public_numbers()
        public = {"kty": "RSA", "n": encode_int(numbers.n), "e": encode_int(numbers.e)}

        def sign(message: bytes) -> bytes:
            return pair.sign(message, padding.PKCS1v15(), hashes.SHA256())
    else:
        curve, crv, digest = _EC[algorithm]
        size = (curve.key_size + 7) // 8
        secret = ec.generate_private_key(curve)
        point = secret.public_key().public_numbers()
        public = {"kty": "EC", "crv": crv, "x": encode_int(point.x, size), "y": encode_int(point.y, size)}

        def sign(message: bytes) -> bytes:
            # cryptography returns DER, but a token has r and s concatenated (RFC 7518, section 3.4).
            r, s = decode_dss_signature(secret.sign(message, ec.ECDSA(digest)))
            return r.to_bytes(size, "big") + s.to_bytes(size, "big")

    return SigningKey({"kid": uuid.uuid4().hex, "alg": algorithm, **public}, issuer, sign)


def reply(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """Return an Answer that sends a response."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in {
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            **(headers or {}),
        }.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)

    return answer


class _Server(ThreadingHTTPServer):
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Print no traceback: a client may close the connection early."""


@dataclass
class Issuer:
    """Serves `keys`, or `answer` if it is set. `fetches` counts the requests."""

    keys: list[Any] = field(default_factory=list)
    answer: Answer | None = None
    fetches: int = 0
    port: int = 0

    def __post_init__(self) -> None:
        self._counting = threading.Lock()
        self.start()

    @property
    def url(self) -> str:
        """`baseURL` of Better Auth: `iss` and `aud` of its tokens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def jwks_url(self) -> str:
        return self.url + PATH

    def new_key(self, algorithm: str = "EdDSA") -> SigningKey:
        """Publish a new key: EdDSA, ES256, ES512 or RS256."""
        key = make_key(algorithm, self.url)
        self.keys = [*self.keys, key.jwk]
        return key

    def retire(self, key: SigningKey) -> None:
        self.keys = [jwk for jwk in self.keys if jwk is not key.jwk]

    def document(self) -> bytes:
        return json.dumps({"keys": self.keys}).encode()

    def start(self, tls: ssl.SSLContext | None = None) -> None:
        """Listen, on the same port each time."""
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with issuer._counting:
                    issuer.fetches += 1
                answer = issuer.answer or reply(issuer.document())
                (answer if self.path == PATH else reply(b"", 404))(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = _Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_port
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop listening, so that new connections are rejected."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def issuer() -> Iterator[Issuer]:
    running = Issuer()
    try:
        yield running
    finally:
        running.stop()

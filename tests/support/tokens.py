"""Bearer tokens that libraries do not create: malformed, forged, expired."""

import base64
import hmac
import json
import time
from typing import NamedTuple

from support.service import SECRET

OTHER_SECRET = "another secret, also of 32 bytes or more"


def encode(part: object) -> str:
    text = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def make_token(claims: object, header: object = None, secret: str = SECRET, digest: str = "sha256") -> str:
    """Return a signed JWT with any claims and header: JSON values, or bytes."""
    return add_signature(f"{encode(header or {'alg': 'HS256', 'typ': 'JWT'})}.{encode(claims)}", secret, digest)


def add_signature(signed: str, secret: str = SECRET, digest: str = "sha256") -> str:
    return f"{signed}.{encode(hmac.digest(secret.encode(), signed.encode(), digest))}"


LATER = int(time.time()) + 3600
GOOD = {"sub": "SUBJECT", "exp": LATER}

BAD_TOKENS = {
    "not a JWT": "x",
    "opaque": "Zq8XvbnM2kPw0aQ7fLr5tYcE1dHs9uGi",
    "two parts": "a.b",
    "empty parts": "..",
    "four parts": make_token(GOOD) + ".x",
    "four parts, signed": add_signature(f"{encode({'alg': 'HS256'})}.{encode(GOOD)}.{encode(b'x')}"),
    "another secret": make_token(GOOD, secret=OTHER_SECRET),
    "no signature": make_token(GOOD).rpartition(".")[0] + ".",
    "changed signature": make_token(GOOD)[:-2] + "xx",
    "changed claims": ".".join(
        [make_token(GOOD).split(".")[0], encode({**GOOD, "admin": True}), make_token(GOOD).split(".")[2]]
    ),
    "alg: none": f"{encode({'alg': 'none'})}.{encode(GOOD)}.",
    "alg: None, signed": make_token(GOOD, {"alg": "None"}),
    "alg: HS512": make_token(GOOD, {"alg": "HS512"}, digest="sha512"),
    "alg: HS384, signed with HS256": make_token(GOOD, {"alg": "HS384"}),
    "alg: RS256": make_token(GOOD, {"alg": "RS256"}),
    "alg missing": make_token(GOOD, {"typ": "JWT"}),
    "alg: list": make_token(GOOD, {"alg": ["HS256"]}),
    "header: list": make_token(GOOD, ["HS256"]),
    "deeply nested header": make_token(GOOD, b'{"alg":"HS256","x":' + b"[" * 3000 + b"]" * 3000 + b"}"),
    "claims: list": make_token([GOOD]),
    "claims not JSON": make_token(b"{"),
    "claims not UTF-8": make_token(b'{"sub":"\xff"}'),
    "expired": make_token({**GOOD, "exp": 1_700_000_000}),
    "exp missing": make_token({"sub": "SUBJECT"}),
    "exp: null": make_token({**GOOD, "exp": None}),
    "exp: string": make_token({**GOOD, "exp": str(LATER)}),
    "exp: true": make_token({**GOOD, "exp": True}),
    "exp: list": make_token({**GOOD, "exp": [LATER]}),
    "exp: Infinity": make_token(b'{"sub":"SUBJECT","exp":Infinity}'),
    "exp: NaN": make_token(b'{"sub":"SUBJECT","exp":NaN}'),
    "unused claim: NaN": make_token(b'{"sub":"SUBJECT","exp":%d,"x":NaN}' % LATER),
    "not valid yet": make_token({**GOOD, "nbf": LATER - 1}),
    "issued in the future": make_token({**GOOD, "iat": LATER - 1}),
    "lifetime too long": make_token({**GOOD, "exp": LATER + 86400}),
    "duplicate name in the header": make_token(GOOD, b'{"alg":"none","alg":"HS256"}'),
    "duplicate name in the claims": make_token(b'{"sub":"SUBJECT","exp":1,"exp":%d}' % LATER),
    "crit": make_token(GOOD, {"alg": "HS256", "crit": ["b64"], "b64": True}),
    "crit with exp": make_token(GOOD, {"alg": "HS256", "crit": ["exp"]}),
    "crit: empty": make_token(GOOD, {"alg": "HS256", "crit": []}),
    "b64": make_token(GOOD, {"alg": "HS256", "b64": False}),
    "another typ": make_token(GOOD, {"alg": "HS256", "typ": "dpop+jwt"}),
    "typ: number": make_token(GOOD, {"alg": "HS256", "typ": 1}),
    "padded": make_token(GOOD) + "=",
    "sub missing": make_token({"exp": LATER}),
    "sub: empty": make_token({**GOOD, "sub": ""}),
    "sub: number": make_token({**GOOD, "sub": 1}),
    "sub with NUL": make_token({**GOOD, "sub": "a\0"}),
    "sub too long": make_token({**GOOD, "sub": "x" * 256}),
    "too long": make_token({**GOOD, "x": "x" * 9000}),
    "not base64": "!!!.###.$$$",
}


class Rejection(NamedTuple):
    status: int
    challenge: str | None
    type: str


BAD_TOKEN = Rejection(
    401,
    'Bearer realm="todo-api", error="invalid_token", '
    'error_description="The token is expired, malformed, or not signed with an accepted key. Get a new one."',
    "/problems/invalid-token",
)

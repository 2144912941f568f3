"""What makes a token good: the examples of the RFCs, the edges, what is remembered, and whatever hypothesis comes up
with."""

import asyncio
import base64
import hmac
import json
import string
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jose import jwk
from jose.backends.base import Key as JoseKey

from support.issuer import SigningKey, encode, make_key
from todo_api.auth import tokens
from todo_api.auth.jwks import IssuerUnavailableError, PublishedKeys
from todo_api.auth.keys import ALGORITHMS, VerificationKey, published_key, shared_key
from todo_api.auth.problems import InvalidToken
from todo_api.auth.tokens import REMEMBERED_FOR, Policy, TokenVerifier, _is_signed

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
    """The keys of an issuer. It can't be asked for the key "away"."""

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


def trusting() -> TokenVerifier:
    return verifier(shared_key(SECRET), published=publish(EDDSA, ES256))


def verify(by: TokenVerifier, *tokens: str) -> list[str]:
    """The subject of each. A token that is refused has the reason instead, with a mark in front."""

    async def run() -> list[str]:
        subjects = []
        for token in tokens:
            try:
                subjects.append(await by.verify(token))
            except InvalidToken as refused:
                subjects.append(f"!{refused.reason}")
            except IssuerUnavailableError:
                subjects.append("?")
        return subjects

    return asyncio.run(run())


class Clock:
    """`time`, as the module under test sees it. A whole second, so that the edges are exact."""

    def __init__(self) -> None:
        self.now = float(int(time.time()))

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(tokens, "time", clock)
    return clock


# RFC 7515, A.1 to A.3, have one payload; RFC 8037, A.4, has text.
JOE = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
JOES_EXPIRY = 1_300_819_380
# Not UTF-8, so that it can be no setting.
JOES_SECRET = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"
A1 = f"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{JOE}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"

PUBLISHED_EXAMPLES = {
    "RFC 8037, A.4 (EdDSA)": (
        {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
        (
            "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
        ),
    ),
    "RFC 7515, A.3 (ES256)": (
        {
            "kty": "EC",
            "crv": "P-256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        },
        (
            f"eyJhbGciOiJFUzI1NiJ9.{JOE}."
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
        ),
    ),
    "RFC 7515, A.2 (RS256)": (
        {
            "kty": "RSA",
            "n": (
                "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yR"
                "T-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXB"
                "dQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9ia"
                "GNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"
            ),
            "e": "AQAB",
        },
        (
            f"eyJhbGciOiJSUzI1NiJ9.{JOE}."
            "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdb"
            "F9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383"
            "LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWy"
            "wlVmtVrBp0igcN_IoypGlUPQGe77Rw"
        ),
    ),
}


class TestExamples:
    """The keys and tokens of the RFCs. As tokens they are refused: they have no sub, or are no claims at all."""

    @pytest.fixture
    def secret(self) -> VerificationKey:
        return VerificationKey("HS256", jwk.construct(base64.urlsafe_b64decode(JOES_SECRET + "=="), "HS256"))

    def test_of_a_shared_secret(self, secret: VerificationKey) -> None:
        """RFC 7515, A.1."""
        assert _is_signed(A1, secret)
        assert not _is_signed(A1, shared_key(JOES_SECRET))
        assert not _is_signed(A1.replace("Xk", "Yk"), secret)

    @pytest.mark.parametrize(
        ("document", "token"), PUBLISHED_EXAMPLES.values(), ids=[name.partition(" (")[0] for name in PUBLISHED_EXAMPLES]
    )
    def test_of_a_published_key(self, document: dict[str, str], token: str) -> None:
        key = published_key({**document, "kid": "example"}, list(ALGORITHMS))[1]
        assert _is_signed(token, key)
        signed, _, signature = token.rpartition(".")
        assert not _is_signed(f"{signed}.{signature[::-1]}", key)
        assert not _is_signed(f"{signed}AAAA.{signature}", key)

    def test_get_as_far_as_their_claims(self, clock: Clock, secret: VerificationKey) -> None:
        clock.now = JOES_EXPIRY - 1
        assert verify(verifier(secret), A1) == ["!sub"]
        clock.now = JOES_EXPIRY
        assert verify(verifier(secret), A1) == ["!expired"]


class TestEdges:
    @pytest.mark.parametrize(
        ("claims", "outcome"),
        [
            ({"exp": 0}, "!expired"),
            ({"exp": 0.5}, "me"),
            ({"iat": 30}, "me"),
            ({"iat": 31}, "!iat"),
            ({"nbf": 30}, "me"),
            ({"nbf": 31}, "!nbf"),
            ({"iat": 0, "exp": 86400}, "me"),
            ({"iat": 0, "exp": 86401}, "!lifetime"),
            ({"iat": -86000, "exp": 400}, "me"),
            ({"iat": -86000, "exp": 401}, "!lifetime"),
        ],
        ids=str,
    )
    def test_of_times_are_exact(self, clock: Clock, claims: dict[str, float], outcome: str) -> None:
        times: dict[str, Any] = {
            name: clock.now + seconds for name, seconds in ({"iat": 0, "exp": 600} | claims).items()
        }
        assert verify(trusting(), EDDSA.token("me", **times)) == [outcome]

    def test_a_life_is_counted_from_now_where_it_has_no_begin(self, clock: Clock) -> None:
        issued = [EDDSA.token("me", iat=None, exp=clock.now + seconds) for seconds in (86400, 86401)]
        assert verify(trusting(), *issued) == ["me", "!lifetime"]

    @pytest.mark.parametrize(
        "value", [True, None, "1", [], -1, 2**53, 10**400, 1e300], ids=lambda value: repr(value)[:9]
    )
    @pytest.mark.parametrize("claim", ["exp", "iat", "nbf"])
    def test_what_is_no_time_is_refused(self, claim: str, value: object) -> None:
        claims = {"sub": "me", "exp": NOW + 600, claim: value}
        assert verify(trusting(), token_of(SHARED, {"alg": "HS256"}, claims)) == [f"!{claim}"]

    @pytest.mark.parametrize("subject", ["1", "a b", "é", "😀", "x" * 255])
    def test_a_subject_may_be_any_printable_text(self, subject: str) -> None:
        assert verify(trusting(), EDDSA.token(subject), SHARED.token(subject)) == [subject] * 2

    @pytest.mark.parametrize("subject", ["", "x" * 256, "a\0", "a\n", "a\x7f", "\u2028", "\u202e", "\ud800"])
    def test_and_nothing_else(self, subject: str) -> None:
        assert verify(trusting(), EDDSA.token(subject), SHARED.token(subject)) == ["!sub"] * 2

    def test_of_the_size_are_exact(self) -> None:
        token = EDDSA.token("me")
        assert verify(verifier(published=publish(EDDSA), max_bytes=len(token)), token) == ["me"]
        assert verify(verifier(published=publish(EDDSA), max_bytes=len(token) - 1), token) == ["!size"]


class TestKeys:
    @pytest.mark.parametrize("kid", [None, 1, [], "", "unknown", ES256.kid], ids=str)
    def test_a_published_one_is_that_of_the_kid_or_none(self, kid: object) -> None:
        assert verify(trusting(), EDDSA.token("me", {"kid": kid})) == ["!kid"]

    def test_of_another_algorithm_is_not_tried(self) -> None:
        by = verifier(published=Published({"a": replace(publish(EDDSA).keys[EDDSA.kid], algorithm="ES256")}))
        assert verify(by, EDDSA.token("me", {"kid": "a"})) == ["!kid"]

    def test_nor_is_a_published_one_that_would_do_for_hs256(self) -> None:
        by = verifier(published=Published({"a": shared_key(SECRET)}))
        assert verify(by, SHARED.token("me", {"kid": "a"})) == ["!algorithm"]

    def test_a_secret_needs_no_issuer(self) -> None:
        """Its kid is one that the issuer can't be asked for."""
        assert verify(trusting(), SHARED.token("me"), EDDSA.token("me", {"kid": "away"})) == ["me", "?"]


class Counted(JoseKey):
    """A key that knows how often it was asked."""

    def __init__(self, key: VerificationKey) -> None:
        self._key = key.key
        self.asked = 0

    def verify(self, msg: bytes, sig: bytes) -> bool:
        self.asked += 1
        return self._key.verify(msg, sig)


class TestMemory:
    @pytest.fixture
    def key(self) -> Counted:
        return Counted(shared_key(SECRET))

    @pytest.fixture
    def by(self, key: Counted) -> TokenVerifier:
        return verifier(VerificationKey("HS256", key))

    def test_spares_the_signature(self, clock: Clock, key: Counted, by: TokenVerifier) -> None:
        token = SHARED.token("me")
        assert verify(by, token, token, token) == ["me"] * 3
        assert key.asked == 1

    def test_is_of_the_whole_token(self, clock: Clock, key: Counted, by: TokenVerifier) -> None:
        token = SHARED.token("me")
        forged = f"{token.rpartition('.')[0]}.{encode(b'x' * 32)}"
        assert verify(by, token, forged, token) == ["me", "!signature", "me"]

    def test_lasts_a_while(self, clock: Clock, key: Counted, by: TokenVerifier) -> None:
        token = SHARED.token("me")
        verify(by, token)
        clock.now += REMEMBERED_FOR - 1
        assert (verify(by, token), key.asked) == (["me"], 1)
        clock.now += 1
        assert (verify(by, token), key.asked) == (["me"], 2)
        clock.now += REMEMBERED_FOR - 1
        assert (verify(by, token), key.asked) == (["me"], 2)

    def test_ends_with_the_token(self, clock: Clock, by: TokenVerifier) -> None:
        token = SHARED.token("me", exp=clock.now + REMEMBERED_FOR / 2)
        verify(by, token)
        clock.now += REMEMBERED_FOR / 2 - 1
        assert verify(by, token) == ["me"]
        clock.now += 1
        assert verify(by, token) == ["!expired"]

    def test_outlasts_a_withdrawn_key_by_no_more_than_that(self, clock: Clock) -> None:
        published, token = publish(EDDSA), EDDSA.token("me")
        by = verifier(published=published)
        verify(by, token)
        published.keys.clear()
        clock.now += REMEMBERED_FOR - 1
        assert verify(by, token) == ["me"]
        clock.now += 1
        assert verify(by, token) == ["!kid"]

    def test_holds_so_many(
        self, monkeypatch: pytest.MonkeyPatch, clock: Clock, key: Counted, by: TokenVerifier
    ) -> None:
        monkeypatch.setattr(tokens, "REMEMBERED", 3)
        first, *others = (SHARED.token(f"me-{number}") for number in range(4))
        verify(by, first, *others)
        assert key.asked == 4
        verify(by, *others)
        assert key.asked == 4
        verify(by, first)
        assert key.asked == 5

    def test_has_no_place_for_what_is_refused(
        self, monkeypatch: pytest.MonkeyPatch, clock: Clock, key: Counted, by: TokenVerifier
    ) -> None:
        monkeypatch.setattr(tokens, "REMEMBERED", 1)
        good, bad = SHARED.token("me"), SHARED.token("me", exp=1)
        assert verify(by, good, bad, bad, "x", "", good) == ["me", "!expired", "!expired", "!shape", "!shape", "me"]
        assert key.asked == 3

    def test_never_keeps_a_refusal(self, clock: Clock) -> None:
        published = publish()
        by = verifier(published=published)
        token = EDDSA.token("me", nbf=clock.now + 31)
        assert verify(by, token) == ["!kid"]
        published.keys.update(publish(EDDSA).keys)
        assert verify(by, token) == ["!nbf"]
        clock.now += 1
        assert verify(by, token) == ["me"]


# --- whatever comes

many = settings(derandomize=True, deadline=None, database=None, max_examples=400)

TRUSTED = [SHARED, EDDSA, ES256]
# They say that they are the trusted ones.
UNTRUSTED = [
    replace(SHARED, sign=hs256(SECRET.encode()[::-1])),
    replace(SHARED, sign=hs256(b"")),
    replace(SHARED, sign=hs256(json.dumps(EDDSA.jwk).encode())),
    replace(SHARED, sign=hs256(base64.urlsafe_b64decode(EDDSA.jwk["x"] + "="))),
    replace(SHARED, sign=EDDSA.sign),
    replace(EDDSA, sign=make_key("EdDSA", "").sign),
    replace(EDDSA, sign=ES256.sign),
    replace(EDDSA, sign=SHARED.sign),
    replace(EDDSA, sign=lambda message: b"\0"),
    replace(EDDSA, sign=lambda message: bytes(64)),
    replace(ES256, sign=make_key("ES256", "").sign),
    replace(ES256, sign=EDDSA.sign),
    replace(ES256, sign=lambda message: bytes(64)),
]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
headers = st.dictionaries(
    st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk", "jku", "x5c", "zip", "cty", ""]),
    json_values
    | st.sampled_from([*ALGORITHMS, "HS256", "HS384", "none", "JWT", "at+jwt", "away", EDDSA.kid, ES256.kid, ["exp"]])
    | st.just(EDDSA.jwk),
    max_size=3,
)
claims = st.dictionaries(
    st.sampled_from(["sub", "exp", "iat", "nbf", "iss", "aud", "jti", ""]),
    json_values | st.integers(NOW - 100, NOW + 100_000) | st.floats(NOW - 100, NOW + 100_000),
    max_size=3,
)
# Some of the good members may be missing.
left_out = st.sets(st.sampled_from(["alg", "kid", "sub", "exp"]), max_size=1)
json_texts = st.one_of(json_values, headers, claims).map(lambda value: json.dumps(value).encode())
base64_texts = st.text(string.ascii_letters + string.digits + "-_=", max_size=40)


def sign(key: SigningKey, header: bytes, payload: bytes) -> str:
    signed = f"{encode(header)}.{encode(payload)}"
    return f"{signed}.{encode(key.sign(signed.encode()))}"


def token_of(key: SigningKey, header: dict[str, Any], claims: dict[str, Any]) -> str:
    return sign(key, json.dumps(header).encode(), json.dumps(claims).encode())


def good_header(key: SigningKey, others: dict[str, Any], left_out: set[str]) -> dict[str, Any]:
    members = {"alg": key.jwk["alg"], "kid": key.kid, **others}
    return {name: value for name, value in members.items() if name not in left_out}


def good_claims(others: dict[str, Any], left_out: set[str]) -> dict[str, Any]:
    members = {"sub": "me", "exp": NOW + 3600, **others}
    return {name: value for name, value in members.items() if name not in left_out}


def is_refused(outcome: str) -> bool:
    return outcome[0] in "!?"


class TestWhatever:
    """`verify` above lets every exception pass that the verifier may not raise."""

    @many
    @given(st.text(st.characters()) | st.lists(base64_texts | st.text(st.characters()), max_size=5).map(".".join))
    def test_text_is_refused(self, token: str) -> None:
        assert is_refused(*verify(trusting(), token))

    @many
    @given(*[st.binary() | json_texts] * 3)
    def test_parts_are_refused(self, header: bytes, payload: bytes, signature: bytes) -> None:
        token = ".".join(map(encode, (header, payload, signature)))
        assert is_refused(*verify(trusting(), token))

    @many
    @given(st.sampled_from(TRUSTED), headers, claims, left_out)
    def test_what_is_accepted_is_good(
        self, key: SigningKey, others: dict[str, Any], more: dict[str, Any], left_out: set[str]
    ) -> None:
        header, payload = good_header(key, others, left_out), good_claims(more, left_out)
        (outcome,) = verify(trusting(), token_of(key, header, payload))
        if not is_refused(outcome):
            assert outcome == payload["sub"]
            assert 1 <= len(outcome) <= 255
            assert outcome.isprintable()
            assert isinstance(payload["exp"], int | float)
            assert time.time() < payload["exp"] <= time.time() + 86400 + 30
            assert header["alg"] == key.jwk["alg"]
            assert header["alg"] == "HS256" or header["kid"] == key.kid
            assert not {"crit", "b64"} & header.keys()
            assert str(header.get("typ", "JWT")).lower() in {"jwt", "at+jwt"}

    @many
    @given(st.sampled_from(TRUSTED), st.binary() | json_texts, st.binary() | json_texts)
    def test_what_is_signed_may_be_anything(self, key: SigningKey, header: bytes, payload: bytes) -> None:
        good = json.dumps(good_header(key, {}, set())).encode()
        for outcome in verify(trusting(), sign(key, header, payload), sign(key, good, payload)):
            assert is_refused(outcome) or outcome == json.loads(payload)["sub"]

    @many
    @given(st.sampled_from(UNTRUSTED), headers, claims)
    def test_what_nobody_trusted_signed_is_refused(
        self, key: SigningKey, others: dict[str, Any], more: dict[str, Any]
    ) -> None:
        header = good_header(key, others, set())
        outcomes = verify(
            trusting(), token_of(key, header, good_claims({}, set())), token_of(key, header, good_claims(more, set()))
        )
        assert all(map(is_refused, outcomes))

    @pytest.mark.parametrize("key", UNTRUSTED, ids=range(len(UNTRUSTED)))
    def test_nor_what_looks_good_but_for_that(self, key: SigningKey) -> None:
        assert verify(trusting(), key.token("me")) == ["!signature"]

    @many
    @given(st.sampled_from(TRUSTED), st.data())
    def test_a_changed_token_is_refused(self, key: SigningKey, data: st.DataObject) -> None:
        token = token_of(key, good_header(key, {}, set()), good_claims({}, set()))
        place = data.draw(st.integers(0, len(token) - 1))
        character = data.draw(st.sampled_from(string.ascii_letters + string.digits + "-_.=+/ ") | st.characters())
        head, tail = token[:place], token[place + 1 :]
        changed = {head + character + tail, head + tail, head + character + token[place:]} - {token}
        by = trusting()
        assert verify(by, token) == ["me"]
        assert all(map(is_refused, verify(by, *changed)))

    @many
    @given(json_values | st.dictionaries(st.sampled_from([*EDDSA.jwk, "use", "key_ops", "d"]), json_values))
    def test_a_published_key_is_refused_with_one_kind_of_error(self, members: Any) -> None:
        document = {**EDDSA.jwk, **members} if isinstance(members, dict) else members
        try:
            kid, key = published_key(document, list(ALGORITHMS))
        except ValueError:
            return
        assert (kid, key.algorithm) == (document["kid"], "EdDSA")

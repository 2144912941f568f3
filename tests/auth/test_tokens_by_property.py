"""Whatever token hypothesis comes up with: only a good one is accepted, and nothing else is raised."""

import base64
import json
import string
import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.issuer import SigningKey, encode, make_key
from support.verifier import EDDSA, ES256, NOW, SECRET, SHARED, hs256, sign, standard_verifier, token_of, verify
from todo_api.auth.keys import ALGORITHMS, published_key

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
omitted = st.sets(st.sampled_from(["alg", "kid", "sub", "exp"]), max_size=1)
json_texts = st.one_of(json_values, headers, claims).map(lambda value: json.dumps(value).encode())
base64_texts = st.text(string.ascii_letters + string.digits + "-_=", max_size=40)


def good_header(key: SigningKey, others: dict[str, Any], omitted: set[str]) -> dict[str, Any]:
    members = {"alg": key.jwk["alg"], "kid": key.kid, **others}
    return {name: value for name, value in members.items() if name not in omitted}


def good_claims(others: dict[str, Any], omitted: set[str]) -> dict[str, Any]:
    members = {"sub": "me", "exp": NOW + 3600, **others}
    return {name: value for name, value in members.items() if name not in omitted}


def is_rejected(outcome: str) -> bool:
    return outcome[0] in "!?"


class TestAnyToken:
    """`verify` above lets every exception pass that the verifier may not raise."""

    @many
    @given(st.text(st.characters()) | st.lists(base64_texts | st.text(st.characters()), max_size=5).map(".".join))
    def test_any_text_is_rejected(self, token: str) -> None:
        assert is_rejected(*verify(standard_verifier(), token))

    @many
    @given(*[st.binary() | json_texts] * 3)
    def test_any_parts_are_rejected(self, header: bytes, payload: bytes, signature: bytes) -> None:
        token = ".".join(map(encode, (header, payload, signature)))
        assert is_rejected(*verify(standard_verifier(), token))

    @many
    @given(st.sampled_from(TRUSTED), headers, claims, omitted)
    def test_accepted_token_is_valid(
        self, key: SigningKey, others: dict[str, Any], more: dict[str, Any], omitted: set[str]
    ) -> None:
        header, payload = good_header(key, others, omitted), good_claims(more, omitted)
        (outcome,) = verify(standard_verifier(), token_of(key, header, payload))
        if not is_rejected(outcome):
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
    def test_signed_token_with_any_content_raises_nothing_else(
        self, key: SigningKey, header: bytes, payload: bytes
    ) -> None:
        good = json.dumps(good_header(key, {}, set())).encode()
        for outcome in verify(standard_verifier(), sign(key, header, payload), sign(key, good, payload)):
            assert is_rejected(outcome) or outcome == json.loads(payload)["sub"]

    @many
    @given(st.sampled_from(UNTRUSTED), headers, claims)
    def test_token_of_an_untrusted_key_is_rejected(
        self, key: SigningKey, others: dict[str, Any], more: dict[str, Any]
    ) -> None:
        header = good_header(key, others, set())
        outcomes = verify(
            standard_verifier(),
            token_of(key, header, good_claims({}, set())),
            token_of(key, header, good_claims(more, set())),
        )
        assert all(map(is_rejected, outcomes))

    @pytest.mark.parametrize("key", UNTRUSTED, ids=range(len(UNTRUSTED)))
    def test_plausible_token_of_an_untrusted_key_is_rejected(self, key: SigningKey) -> None:
        assert verify(standard_verifier(), key.token("me")) == ["!signature"]

    @many
    @given(st.sampled_from(TRUSTED), st.data())
    def test_changed_token_is_rejected(self, key: SigningKey, data: st.DataObject) -> None:
        token = token_of(key, good_header(key, {}, set()), good_claims({}, set()))
        place = data.draw(st.integers(0, len(token) - 1))
        character = data.draw(st.sampled_from(string.ascii_letters + string.digits + "-_.=+/ ") | st.characters())
        head, tail = token[:place], token[place + 1 :]
        changed = {head + character + tail, head + tail, head + character + token[place:]} - {token}
        by = standard_verifier()
        assert verify(by, token) == ["me"]
        assert all(map(is_rejected, verify(by, *changed)))

    @many
    @given(json_values | st.dictionaries(st.sampled_from([*EDDSA.jwk, "use", "key_ops", "d"]), json_values))
    def test_invalid_published_key_raises_one_kind_of_error(self, members: Any) -> None:
        document = {**EDDSA.jwk, **members} if isinstance(members, dict) else members
        try:
            kid, key = published_key(document, list(ALGORITHMS))
        except ValueError:
            return
        assert (kid, key.algorithm) == (document["kid"], "EdDSA")

"""Verification of tokens: the examples of the RFCs, limits, keys and the cache."""

import base64
import time
from dataclasses import replace
from typing import Any

import pytest
from jose import jwk
from jose.backends.base import Key as JoseKey

from support.issuer import encode
from support.verifier import (
    EDDSA,
    ES256,
    NOW,
    SECRET,
    SHARED,
    Published,
    publish,
    standard_verifier,
    token_of,
    verifier,
    verify,
)
from todo_api.auth import tokens
from todo_api.auth.keys import ALGORITHMS, VerificationKey, published_key, shared_key
from todo_api.auth.tokens import CACHE_LIFETIME, TokenVerifier, _is_signed


class Clock:
    """Replaces `time` in the module under test. Starts at a whole second, so that limits are exact."""

    def __init__(self) -> None:
        self.now = float(int(time.time()))

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(tokens, "time", clock)
    return clock


# The payload of RFC 7515, A.1 to A.3. That of RFC 8037, A.4, is plain text.
JOE = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
JOES_EXPIRY = 1_300_819_380
# The secret of RFC 7515, A.1. It is not UTF-8, so it cannot be a setting.
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


class TestRfcExamples:
    """The signatures are valid. The verifier rejects the tokens, because their payload has no sub or is no JSON."""

    @pytest.fixture
    def secret(self) -> VerificationKey:
        return VerificationKey("HS256", jwk.construct(base64.urlsafe_b64decode(JOES_SECRET + "=="), "HS256"))

    def test_rfc_example_with_a_shared_secret_is_verified(self, secret: VerificationKey) -> None:
        """RFC 7515, A.1."""
        assert _is_signed(A1, secret)
        assert not _is_signed(A1, shared_key(JOES_SECRET))
        assert not _is_signed(A1.replace("Xk", "Yk"), secret)

    @pytest.mark.parametrize(
        ("document", "token"), PUBLISHED_EXAMPLES.values(), ids=[name.partition(" (")[0] for name in PUBLISHED_EXAMPLES]
    )
    def test_rfc_example_with_a_published_key_is_verified(self, document: dict[str, str], token: str) -> None:
        key = published_key({**document, "kid": "example"}, list(ALGORITHMS))[1]
        assert _is_signed(token, key)
        signed, _, signature = token.rpartition(".")
        assert not _is_signed(f"{signed}.{signature[::-1]}", key)
        assert not _is_signed(f"{signed}AAAA.{signature}", key)

    def test_rfc_example_is_rejected_for_its_claims(self, clock: Clock, secret: VerificationKey) -> None:
        clock.now = JOES_EXPIRY - 1
        assert verify(verifier(secret), A1) == ["!sub"]
        clock.now = JOES_EXPIRY
        assert verify(verifier(secret), A1) == ["!expired"]


def format_claims(claims: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:+}" for name, value in claims.items())


class TestLimits:
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
        ids=lambda value: format_claims(value) if isinstance(value, dict) else value,
    )
    def test_limits_of_exp_nbf_and_iat_are_exact(self, clock: Clock, claims: dict[str, float], outcome: str) -> None:
        times: dict[str, Any] = {
            name: clock.now + seconds for name, seconds in ({"iat": 0, "exp": 600} | claims).items()
        }
        assert verify(standard_verifier(), EDDSA.token("me", **times)) == [outcome]

    def test_lifetime_without_iat_is_counted_from_now(self, clock: Clock) -> None:
        issued = [EDDSA.token("me", iat=None, exp=clock.now + seconds) for seconds in (86400, 86401)]
        assert verify(standard_verifier(), *issued) == ["me", "!lifetime"]

    @pytest.mark.parametrize(
        "value",
        [True, None, "1", [], -1, 2**53, 10**400, 1e300],
        ids=["true", "null", "string", "list", "negative", "2**53", "10**400", "1e300"],
    )
    @pytest.mark.parametrize("claim", ["exp", "iat", "nbf"])
    def test_invalid_time_is_rejected(self, claim: str, value: object) -> None:
        claims = {"sub": "me", "exp": NOW + 600, claim: value}
        assert verify(standard_verifier(), token_of(SHARED, {"alg": "HS256"}, claims)) == [f"!{claim}"]

    @pytest.mark.parametrize(
        "subject",
        ["1", "a b", "é", "😀", "x" * 255],
        ids=["digit", "space", "letter with accent", "emoji", "255 characters"],
    )
    def test_printable_subject_is_accepted(self, subject: str) -> None:
        assert verify(standard_verifier(), EDDSA.token(subject), SHARED.token(subject)) == [subject] * 2

    @pytest.mark.parametrize(
        "subject",
        ["", "x" * 256, "a\0", "a\n", "a\x7f", "\u2028", "\u202e"],
        ids=["empty", "256 characters", "NUL", "LF", "DEL", "line separator", "right-to-left override"],
    )
    def test_invalid_subject_is_rejected(self, subject: str) -> None:
        assert verify(standard_verifier(), EDDSA.token(subject), SHARED.token(subject)) == ["!sub"] * 2

    def test_subject_with_half_of_a_surrogate_pair_is_no_json(self) -> None:
        assert verify(standard_verifier(), EDDSA.token("\ud800"), SHARED.token("\ud800")) == ["!json"] * 2

    def test_token_size_limit_is_exact(self) -> None:
        token = EDDSA.token("me")
        assert verify(verifier(published=publish(EDDSA), max_bytes=len(token)), token) == ["me"]
        assert verify(verifier(published=publish(EDDSA), max_bytes=len(token) - 1), token) == ["!size"]


class TestKeys:
    @pytest.mark.parametrize(
        "kid",
        [None, 1, [], "", "unknown", ES256.kid],
        ids=["missing", "number", "list", "empty", "unknown", "another key's"],
    )
    def test_published_key_is_chosen_by_kid_only(self, kid: object) -> None:
        assert verify(standard_verifier(), EDDSA.token("me", {"kid": kid})) == ["!kid"]

    def test_key_of_another_algorithm_is_not_tried(self) -> None:
        by = verifier(published=Published({"a": replace(publish(EDDSA).keys[EDDSA.kid], algorithm="ES256")}))
        assert verify(by, EDDSA.token("me", {"kid": "a"})) == ["!kid"]

    def test_published_symmetric_key_is_not_tried_for_hs256(self) -> None:
        by = verifier(published=Published({"a": shared_key(SECRET)}))
        assert verify(by, SHARED.token("me", {"kid": "a"})) == ["!algorithm"]

    def test_hs256_token_needs_no_issuer(self) -> None:
        """Both tokens have a kid that cannot be fetched."""
        assert verify(standard_verifier(), SHARED.token("me"), EDDSA.token("me", {"kid": "away"})) == ["me", "?"]


class Counted(JoseKey):
    """A key that counts its verifications."""

    def __init__(self, key: VerificationKey) -> None:
        self._key = key.key
        self.verifications = 0

    def verify(self, msg: bytes, sig: bytes) -> bool:
        self.verifications += 1
        return self._key.verify(msg, sig)


class TestCache:
    @pytest.fixture
    def key(self) -> Counted:
        return Counted(shared_key(SECRET))

    @pytest.fixture
    def by(self, key: Counted) -> TokenVerifier:
        return verifier(VerificationKey("HS256", key))

    def test_cached_token_skips_the_signature_check(self, clock: Clock, key: Counted, by: TokenVerifier) -> None:
        token = SHARED.token("me")
        assert verify(by, token, token, token) == ["me"] * 3
        assert key.verifications == 1

    def test_cache_key_is_the_whole_token(self, clock: Clock, key: Counted, by: TokenVerifier) -> None:
        token = SHARED.token("me")
        forged = f"{token.rpartition('.')[0]}.{encode(b'x' * 32)}"
        assert verify(by, token, forged, token) == ["me", "!signature", "me"]

    def test_cache_entry_expires_after_its_lifetime(self, clock: Clock, key: Counted, by: TokenVerifier) -> None:
        token = SHARED.token("me")
        verify(by, token)
        clock.now += CACHE_LIFETIME - 1
        assert (verify(by, token), key.verifications) == (["me"], 1)
        clock.now += 1
        assert (verify(by, token), key.verifications) == (["me"], 2)
        clock.now += CACHE_LIFETIME - 1
        assert (verify(by, token), key.verifications) == (["me"], 2)

    def test_cache_entry_expires_with_the_token(self, clock: Clock, by: TokenVerifier) -> None:
        token = SHARED.token("me", exp=clock.now + CACHE_LIFETIME / 2)
        verify(by, token)
        clock.now += CACHE_LIFETIME / 2 - 1
        assert verify(by, token) == ["me"]
        clock.now += 1
        assert verify(by, token) == ["!expired"]

    def test_cache_entry_outlasts_a_withdrawn_key_by_its_lifetime_at_most(self, clock: Clock) -> None:
        published, token = publish(EDDSA), EDDSA.token("me")
        by = verifier(published=published)
        verify(by, token)
        published.keys.clear()
        clock.now += CACHE_LIFETIME - 1
        assert verify(by, token) == ["me"]
        clock.now += 1
        assert verify(by, token) == ["!kid"]

    def test_cache_size_is_limited(
        self, monkeypatch: pytest.MonkeyPatch, clock: Clock, key: Counted, by: TokenVerifier
    ) -> None:
        monkeypatch.setattr(tokens, "MAX_CACHED_TOKENS", 3)
        first, *others = (SHARED.token(f"me-{number}") for number in range(4))
        verify(by, first, *others)
        assert key.verifications == 4
        verify(by, *others)
        assert key.verifications == 4
        verify(by, first)
        assert key.verifications == 5

    def test_rejected_tokens_do_not_displace_cached_ones(
        self, monkeypatch: pytest.MonkeyPatch, clock: Clock, key: Counted, by: TokenVerifier
    ) -> None:
        monkeypatch.setattr(tokens, "MAX_CACHED_TOKENS", 1)
        good, bad = SHARED.token("me"), SHARED.token("me", exp=1)
        assert verify(by, good, bad, bad, "x", "", good) == ["me", "!expired", "!expired", "!shape", "!shape", "me"]
        assert key.verifications == 3

    def test_rejection_is_not_cached(self, clock: Clock) -> None:
        published = publish()
        by = verifier(published=published)
        token = EDDSA.token("me", nbf=clock.now + 31)
        assert verify(by, token) == ["!kid"]
        published.keys.update(publish(EDDSA).keys)
        assert verify(by, token) == ["!nbf"]
        clock.now += 1
        assert verify(by, token) == ["me"]

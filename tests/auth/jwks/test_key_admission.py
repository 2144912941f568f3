"""Published keys: valid ones are admitted, invalid ones are rejected without affecting others."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from support.issuer import Issuer, make_key
from support.jwks import ALGORITHMS, BAD_KEYS, GOOD_KEYS, OCT, jwk, run
from todo_api.auth.jwks import MAX_KEYS, PublishedKeys
from todo_api.auth.keys import MAX_KID, published_key


class TestAdmission:
    @pytest.mark.parametrize("good", GOOD_KEYS.values(), ids=GOOD_KEYS)
    def test_valid_keys_are_admitted(self, issuer: Issuer, good: dict[str, Any]) -> None:
        issuer.keys = [good]

        async def test(keys: PublishedKeys) -> None:
            assert await keys.find("this") is not None

        run(issuer, test)

    @pytest.mark.parametrize("bad", BAD_KEYS.values(), ids=BAD_KEYS)
    def test_invalid_key_is_rejected_and_others_are_admitted(self, issuer: Issuer, bad: object) -> None:
        before = issuer.new_key()
        issuer.keys = [*issuer.keys, bad]
        after = issuer.new_key("ES256")

        async def test(keys: PublishedKeys) -> None:
            assert await keys.find("this") is None
            assert await keys.find("") is None
            assert await keys.find(before.kid) is not None
            assert await keys.find(after.kid) is not None

        run(issuer, test)

    def test_valid_key_is_admitted_if_an_invalid_one_has_its_kid(self, issuer: Issuer) -> None:
        issuer.keys = [jwk(x="!"), jwk(), {**OCT, "alg": "HS256"}]

        async def test(keys: PublishedKeys) -> None:
            assert await keys.find("this") is not None

        run(issuer, test)

    @pytest.mark.parametrize("first", [0, 1], ids=["EdDSA first", "RS256 first"])
    def test_first_of_two_keys_with_one_kid_is_admitted(self, issuer: Issuer, first: int) -> None:
        pair = [jwk(), jwk("RS256")]
        issuer.keys = [pair[first], pair[1 - first]]

        async def test(keys: PublishedKeys) -> None:
            found = await keys.find("this")
            assert found is not None
            assert found.algorithm == pair[first]["alg"]

        run(issuer, test)


class TestTooManyKeys:
    def test_oldest_of_too_many_keys_are_dropped_and_logged(self, issuer: Issuer) -> None:
        """Better Auth publishes its keys in the order of their creation, so the first is the oldest."""
        oldest, newest = make_key("EdDSA", issuer.url), make_key("EdDSA", issuer.url)
        between = [jwk(kid=f"key-{number}") for number in range(MAX_KEYS - 1)]

        async def test(keys: PublishedKeys) -> None:
            assert await keys.find(newest.kid) is not None
            assert await keys.find("key-0") is not None
            assert await keys.find(oldest.kid) is None

        issuer.keys = [oldest.jwk, *between, newest.jwk]
        with capture_logs() as lines:
            run(issuer, test)
        dropped = [line for line in lines if line["event"] == "published keys left out"]
        assert [(line["count"], line["limit"]) for line in dropped] == [(1, MAX_KEYS)] * issuer.fetches

    def test_100_keys_are_not_too_many(self, issuer: Issuer) -> None:
        issuer.keys = [jwk(kid=f"key-{number}") for number in range(100)]

        async def test(keys: PublishedKeys) -> None:
            assert await keys.find("key-0") is not None

        with capture_logs() as lines:
            run(issuer, test)
        assert lines == []


class TestPublishedKey:
    """published_key() alone, without an issuer."""

    @pytest.mark.parametrize("bad", BAD_KEYS.values(), ids=BAD_KEYS)
    def test_invalid_key_is_rejected(self, bad: object) -> None:
        with pytest.raises(ValueError, match=r"^[a-z ]+$"):
            published_key(bad, ALGORITHMS)

    @pytest.mark.parametrize(
        "kid", ["k", "é", " ", "k" * MAX_KID], ids=["one character", "not ASCII", "space", "longest"]
    )
    def test_kid_of_any_text_is_accepted(self, kid: str) -> None:
        assert published_key(jwk(kid=kid), ALGORITHMS)[0] == kid

    @pytest.mark.parametrize(
        "kid",
        ["", "k" * (MAX_KID + 1), None, 1, True, ["k"], {}],
        ids=["empty", "too long", "null", "number", "true", "list", "object"],
    )
    def test_key_with_an_invalid_kid_is_rejected(self, kid: object) -> None:
        with pytest.raises(ValueError, match="no kid"):
            published_key({**jwk(), "kid": kid}, ALGORITHMS)

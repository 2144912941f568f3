"""An issuer that is down or sends an invalid response: its known keys stay usable for an hour."""

import asyncio
import threading
import uuid
from contextlib import suppress

import pytest

from support.clock import Clock
from support.issuer import Answer, Issuer, reply
from support.issuer import issuer as running_issuer
from support.jwks import DEADLINE, FAILURES, run, snapshot_after, until
from todo_api.auth import jwks
from todo_api.auth.jwks import FRESHNESS_LIFETIME, RETRY_INTERVAL, STALE_IF_ERROR, IssuerUnavailableError, PublishedKeys


class TestIssuerDown:
    def test_keys_stay_usable_while_the_issuer_is_down(self, issuer: Issuer, clock: Clock) -> None:
        key = issuer.new_key()

        async def test(keys: PublishedKeys) -> None:
            issuer.stop()
            for now in (FRESHNESS_LIFETIME + 1, STALE_IF_ERROR / 2, STALE_IF_ERROR - 1):
                clock.now = now
                assert await keys.find(key.kid) is not None
            clock.now = STALE_IF_ERROR + 1
            with pytest.raises(IssuerUnavailableError):
                await keys.find(key.kid)
            issuer.start()
            clock.now += RETRY_INTERVAL
            assert await keys.find(key.kid) is not None

        run(issuer, test)

    def test_issuer_that_is_down_is_fetched_once_per_interval(self, issuer: Issuer, clock: Clock) -> None:
        issuer.answer = reply(b"", 500)

        async def test(keys: PublishedKeys) -> None:
            for tries in (1, 2, 3):
                for _ in range(20):
                    with pytest.raises(IssuerUnavailableError):
                        await keys.find(uuid.uuid4().hex)
                assert issuer.fetches == tries
                clock.now += RETRY_INTERVAL

        run(issuer, test)

    def test_stale_keys_cause_one_fetch_per_interval(self, issuer: Issuer, clock: Clock) -> None:
        key = issuer.new_key()

        async def test(keys: PublishedKeys) -> None:
            issuer.answer = reply(b"", 500)
            clock.now += FRESHNESS_LIFETIME + 1
            for tries in (2, 3, 4):
                for _ in range(20):
                    assert await keys.find(key.kid) is not None
                    await asyncio.sleep(0.001)
                assert issuer.fetches <= tries
                clock.now += RETRY_INTERVAL

        run(issuer, test)

    def test_request_with_a_known_key_does_not_wait_for_the_issuer(
        self, issuer: Issuer, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A request waits for the fetch of a stale key set, unless the previous fetch failed."""
        monkeypatch.setattr(jwks, "FETCH_TIMEOUT", 2 * DEADLINE)
        key = issuer.new_key()
        released = threading.Event()

        async def test(keys: PublishedKeys) -> None:
            issuer.answer = reply(b"", 500)
            clock.now += FRESHNESS_LIFETIME + 1
            assert await keys.find(key.kid) is not None
            await until(lambda: issuer.fetches == 2)
            issuer.answer = snapshot_after(issuer, released)
            while issuer.fetches < 3:
                clock.now += RETRY_INTERVAL
                assert await keys.find(key.kid) is not None
                await asyncio.sleep(0.01)

        try:
            run(issuer, test)
        finally:
            released.set()


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
class TestFailure:
    """A response that is no key set is a failed fetch."""

    def test_keys_are_fetched_again_after_the_failure(
        self, issuer: Issuer, clock: Clock, failure: Answer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(jwks, "FETCH_TIMEOUT", 0.5)
        key = issuer.new_key()
        issuer.answer = failure

        async def test(keys: PublishedKeys) -> None:
            with pytest.raises(IssuerUnavailableError):
                await keys.find(key.kid)
            issuer.answer = None
            found = None
            while found is None:
                # On a busy machine a good response may also take longer than 0.5 s.
                clock.now += RETRY_INTERVAL
                with suppress(IssuerUnavailableError):
                    found = await keys.find(key.kid)

        run(issuer, test)

    def test_failed_fetch_drops_no_key(
        self, issuer: Issuer, clock: Clock, failure: Answer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        key = issuer.new_key()

        async def test(keys: PublishedKeys) -> None:
            assert await keys.find(key.kid) is not None
            monkeypatch.setattr(jwks, "FETCH_TIMEOUT", 0.5)
            issuer.answer = failure
            with pytest.raises(IssuerUnavailableError):
                await keys.find("unknown")
            clock.now += FRESHNESS_LIFETIME + 1
            assert await keys.find(key.kid) is not None

        run(issuer, test)


def test_redirect_of_the_issuer_is_not_followed(issuer: Issuer) -> None:
    async def test(keys: PublishedKeys) -> None:
        with pytest.raises(IssuerUnavailableError):
            await keys.find(key.kid)

    with running_issuer() as other:
        key = other.new_key()
        issuer.answer = reply(b"", 302, {"Location": other.jwks_url})
        run(issuer, test)
        assert other.fetches == 0


class TestStaleKeys:
    """Keys older than STALE_IF_ERROR are not used, and a request waits for the next fetch."""

    @pytest.mark.parametrize("cache_control", [None, "max-age=5", "max-age=3600", "max-age=999999"], ids=str)
    def test_stale_keys_are_unusable_an_hour_after_their_fetch(
        self, issuer: Issuer, clock: Clock, cache_control: str | None
    ) -> None:
        key = issuer.new_key()
        issuer.answer = reply(issuer.document(), headers={"Cache-Control": cache_control} if cache_control else {})

        async def test(keys: PublishedKeys) -> None:
            issuer.answer = reply(b"", 500)
            clock.now = STALE_IF_ERROR - 0.5
            assert await keys.find(key.kid) is not None
            clock.now = STALE_IF_ERROR
            with pytest.raises(IssuerUnavailableError):
                await keys.find(key.kid)

        run(issuer, test)

    def test_request_waits_for_the_fetch_that_replaces_stale_keys(self, issuer: Issuer, clock: Clock) -> None:
        """Also after a failed fetch, when a request with a usable key would not wait."""
        key = issuer.new_key()

        async def test(keys: PublishedKeys) -> None:
            issuer.answer = reply(b"", 500)
            clock.now = STALE_IF_ERROR + 1
            with pytest.raises(IssuerUnavailableError):
                await keys.find(key.kid)
            issuer.answer = None
            issuer.retire(key)
            clock.now += RETRY_INTERVAL
            assert await keys.find(key.kid) is None

        run(issuer, test)

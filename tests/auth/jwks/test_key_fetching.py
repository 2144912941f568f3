"""Published keys are fetched once for all requests, and again when they are too old or a key is unknown."""

import asyncio
import threading
import uuid

import pytest

from support.clock import Clock
from support.issuer import Issuer, reply
from support.jwks import DEADLINE, run, snapshot_after, until
from todo_api.auth.jwks import FRESHNESS_LIFETIME, REFETCH_INTERVAL, RETRY_INTERVAL, PublishedKeys


class TestFetch:
    def test_keys_are_fetched_at_start(self, issuer: Issuer) -> None:
        key = issuer.new_key()

        async def test(keys: PublishedKeys) -> None:
            assert issuer.fetches == 1
            for _ in range(10):
                assert await keys.find(key.kid) is not None
            assert issuer.fetches == 1

        run(issuer, test)

    def test_waiting_requests_share_one_fetch(self, issuer: Issuer, clock: Clock) -> None:
        key = issuer.new_key()
        released = threading.Event()
        issuer.answer = reply(b"", 500)

        async def test(keys: PublishedKeys) -> None:
            issuer.answer = snapshot_after(issuer, released)
            clock.now += RETRY_INTERVAL
            waiting = [asyncio.create_task(keys.find(key.kid)) for _ in range(50)]
            await until(lambda: issuer.fetches == 2)
            released.set()
            assert None not in await asyncio.gather(*waiting)
            assert issuer.fetches == 2

        run(issuer, test)

    def test_fetch_continues_if_its_first_request_is_cancelled(self, issuer: Issuer, clock: Clock) -> None:
        key = issuer.new_key()
        released = threading.Event()
        issuer.answer = reply(b"", 500)

        async def test(keys: PublishedKeys) -> None:
            issuer.answer = snapshot_after(issuer, released)
            clock.now += RETRY_INTERVAL
            first, second = (asyncio.create_task(keys.find(key.kid)) for _ in range(2))
            await until(lambda: issuer.fetches == 2)
            first.cancel()
            await asyncio.wait([first])
            released.set()
            assert first.cancelled()
            assert await second is not None
            assert issuer.fetches == 2

        run(issuer, test)

    def test_close_cancels_a_running_fetch(self, issuer: Issuer, clock: Clock) -> None:
        key = issuer.new_key()
        released = threading.Event()
        issuer.answer = reply(b"", 500)

        async def test(keys: PublishedKeys) -> None:
            issuer.answer = snapshot_after(issuer, released)
            clock.now += RETRY_INTERVAL
            waiting = asyncio.create_task(keys.find(key.kid))
            await until(lambda: issuer.fetches == 2)
            await keys.close()
            waiting.cancel()
            await asyncio.wait([waiting])

        run(issuer, test)
        released.set()


class TestUnknownKid:
    def test_unknown_kids_cause_one_fetch_per_interval(self, issuer: Issuer, clock: Clock) -> None:
        issuer.new_key()

        async def test(keys: PublishedKeys) -> None:
            for fetches in (2, 3, 4):
                for _ in range(20):
                    assert await keys.find(uuid.uuid4().hex) is None
                assert issuer.fetches == fetches
                clock.now += REFETCH_INTERVAL

        run(issuer, test)

    def test_new_kid_is_found_once_it_is_published(self, issuer: Issuer) -> None:
        async def test(keys: PublishedKeys) -> None:
            key = issuer.new_key()
            assert await keys.find(key.kid) is not None

        run(issuer, test)

    def test_unknown_kid_is_fetched_right_after_a_refresh(self, issuer: Issuer, clock: Clock) -> None:
        old = issuer.new_key()

        async def test(keys: PublishedKeys) -> None:
            clock.now += FRESHNESS_LIFETIME + 1
            assert await keys.find(old.kid) is not None
            await until(lambda: issuer.fetches == 2)
            new = issuer.new_key()
            assert await keys.find(new.kid) is not None, (
                "REFETCH_INTERVAL counts from the last fetch for an unknown kid"
            )

        run(issuer, test)

    def test_unknown_kid_is_fetched_right_after_an_outage(self, issuer: Issuer, clock: Clock) -> None:
        old = issuer.new_key()
        issuer.answer = reply(b"", 500)

        async def test(keys: PublishedKeys) -> None:
            clock.now += RETRY_INTERVAL
            issuer.answer = None
            assert await keys.find(old.kid) is not None
            new = issuer.new_key()
            assert await keys.find(new.kid) is not None, (
                "REFETCH_INTERVAL counts from the last fetch for an unknown kid"
            )

        run(issuer, test)

    def test_unknown_kid_is_fetched_again_if_the_running_fetch_is_too_old(self, issuer: Issuer, clock: Clock) -> None:
        old = issuer.new_key()
        released = threading.Event()

        async def test(keys: PublishedKeys) -> None:
            clock.now += FRESHNESS_LIFETIME + 1
            issuer.answer = snapshot_after(issuer, released)
            refresh = asyncio.create_task(keys.find(old.kid))
            await until(lambda: issuer.fetches == 2)
            issuer.answer = None
            new = issuer.new_key()
            waiting = asyncio.create_task(keys.find(new.kid))
            await asyncio.sleep(0)
            released.set()
            assert await refresh is not None
            assert await waiting is not None
            assert issuer.fetches == 3

        run(issuer, test)

    def test_kid_is_not_found_if_the_issuer_has_no_keys(self, issuer: Issuer) -> None:
        async def test(keys: PublishedKeys) -> None:
            assert await keys.find("a") is None

        run(issuer, test)


class TestAge:
    def test_stale_key_set_is_fetched_again(self, issuer: Issuer, clock: Clock) -> None:
        kept, retired = issuer.new_key(), issuer.new_key()

        async def test(keys: PublishedKeys) -> None:
            issuer.retire(retired)
            clock.now += FRESHNESS_LIFETIME - 1
            assert await keys.find(retired.kid) is not None
            assert issuer.fetches == 1
            clock.now += 2
            assert await keys.find(kept.kid) is not None
            await until(lambda: issuer.fetches == 2)
            async with asyncio.timeout(DEADLINE):
                while await keys.find(retired.kid) is not None:
                    await asyncio.sleep(0.001)

        run(issuer, test)

    @pytest.mark.parametrize("cache_control", ["max-age=60", "public, max-age=60, must-revalidate", "Max-Age=60"])
    def test_max_age_of_the_issuer_is_used(self, issuer: Issuer, clock: Clock, cache_control: str) -> None:
        key = issuer.new_key()
        issuer.answer = reply(issuer.document(), headers={"Cache-Control": cache_control})

        async def test(keys: PublishedKeys) -> None:
            clock.now += 59
            assert await keys.find(key.kid) is not None
            assert issuer.fetches == 1
            clock.now += 2
            assert await keys.find(key.kid) is not None
            await until(lambda: issuer.fetches == 2)

        run(issuer, test)

    @pytest.mark.parametrize(
        "cache_control",
        [
            "max-age=",
            "max-age=x",
            "max-age=-1",
            "no-cache",
            "public",
            "s-maxage=1",
            pytest.param("\xff", id="not ASCII"),
        ],
    )
    def test_default_max_age_is_used_without_a_valid_max_age(
        self, issuer: Issuer, clock: Clock, cache_control: str
    ) -> None:
        key = issuer.new_key()
        issuer.answer = reply(issuer.document(), headers={"Cache-Control": cache_control})

        async def test(keys: PublishedKeys) -> None:
            clock.now += FRESHNESS_LIFETIME - 1
            assert await keys.find(key.kid) is not None
            assert issuer.fetches == 1

        run(issuer, test)

    @pytest.mark.parametrize("cache_control", ["max-age=0", "max-age=1"])
    def test_max_age_has_a_minimum(self, issuer: Issuer, cache_control: str) -> None:
        key = issuer.new_key()
        issuer.answer = reply(issuer.document(), headers={"Cache-Control": cache_control})

        async def test(keys: PublishedKeys) -> None:
            for _ in range(20):
                assert await keys.find(key.kid) is not None
            assert issuer.fetches == 1

        run(issuer, test)

    def test_max_age_has_a_maximum(self, issuer: Issuer, clock: Clock) -> None:
        key = issuer.new_key()
        issuer.answer = reply(issuer.document(), headers={"Cache-Control": "max-age=999999999"})

        async def test(keys: PublishedKeys) -> None:
            issuer.retire(key)
            issuer.answer = None
            clock.now += 86400
            async with asyncio.timeout(DEADLINE):
                while await keys.find(key.kid) is not None:
                    await asyncio.sleep(0.001)

        run(issuer, test)

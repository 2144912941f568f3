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
    def test_is_made_at_start_so_that_no_request_pays_for_it(self, issuer: Issuer) -> None:
        key = issuer.new_key()

        async def test(keys: PublishedKeys) -> None:
            assert issuer.fetches == 1
            for _ in range(10):
                assert await keys.find(key.kid) is not None
            assert issuer.fetches == 1

        run(issuer, test)

    def test_is_one_for_all_who_wait(self, issuer: Issuer, clock: Clock) -> None:
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

    def test_goes_on_when_the_one_who_began_it_leaves(self, issuer: Issuer, clock: Clock) -> None:
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

    def test_may_be_under_way_at_the_end(self, issuer: Issuer, clock: Clock) -> None:
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
    def test_causes_one_fetch_in_an_interval(self, issuer: Issuer, clock: Clock) -> None:
        issuer.new_key()

        async def test(keys: PublishedKeys) -> None:
            for fetches in (2, 3, 4):
                for _ in range(20):
                    assert await keys.find(uuid.uuid4().hex) is None
                assert issuer.fetches == fetches
                clock.now += REFETCH_INTERVAL

        run(issuer, test)

    def test_is_known_as_soon_as_it_is_published(self, issuer: Issuer) -> None:
        async def test(keys: PublishedKeys) -> None:
            key = issuer.new_key()
            assert await keys.find(key.kid) is not None

        run(issuer, test)

    def test_is_looked_up_though_the_keys_have_just_been_refreshed(self, issuer: Issuer, clock: Clock) -> None:
        old = issuer.new_key()

        async def test(keys: PublishedKeys) -> None:
            clock.now += FRESHNESS_LIFETIME + 1
            assert await keys.find(old.kid) is not None
            await until(lambda: issuer.fetches == 2)
            new = issuer.new_key()
            assert await keys.find(new.kid) is not None, "that fetch was caused by no unknown kid"

        run(issuer, test)

    def test_is_looked_up_though_the_issuer_has_just_come_back(self, issuer: Issuer, clock: Clock) -> None:
        old = issuer.new_key()
        issuer.answer = reply(b"", 500)

        async def test(keys: PublishedKeys) -> None:
            clock.now += RETRY_INTERVAL
            issuer.answer = None
            assert await keys.find(old.kid) is not None
            new = issuer.new_key()
            assert await keys.find(new.kid) is not None, "that fetch was caused by no unknown kid"

        run(issuer, test)

    def test_is_looked_up_again_when_the_fetch_under_way_began_before_it_was_published(
        self, issuer: Issuer, clock: Clock
    ) -> None:
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

    def test_of_an_issuer_without_keys_is_none(self, issuer: Issuer) -> None:
        async def test(keys: PublishedKeys) -> None:
            assert await keys.find("a") is None

        run(issuer, test)


class TestAge:
    def test_a_set_is_fetched_anew_when_it_is_no_longer_fresh(self, issuer: Issuer, clock: Clock) -> None:
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

    @pytest.mark.parametrize("told", ["max-age=60", "public, max-age=60, must-revalidate", "Max-Age=60"])
    def test_is_told_by_the_issuer(self, issuer: Issuer, clock: Clock, told: str) -> None:
        key = issuer.new_key()
        issuer.answer = reply(issuer.document(), headers={"Cache-Control": told})

        async def test(keys: PublishedKeys) -> None:
            clock.now += 59
            assert await keys.find(key.kid) is not None
            assert issuer.fetches == 1
            clock.now += 2
            assert await keys.find(key.kid) is not None
            await until(lambda: issuer.fetches == 2)

        run(issuer, test)

    @pytest.mark.parametrize(
        "told", ["max-age=", "max-age=x", "max-age=-1", "no-cache", "public", "s-maxage=1", "\xff"]
    )
    def test_is_the_usual_one_where_nothing_sensible_is_told(self, issuer: Issuer, clock: Clock, told: str) -> None:
        key = issuer.new_key()
        issuer.answer = reply(issuer.document(), headers={"Cache-Control": told})

        async def test(keys: PublishedKeys) -> None:
            clock.now += FRESHNESS_LIFETIME - 1
            assert await keys.find(key.kid) is not None
            assert issuer.fetches == 1

        run(issuer, test)

    @pytest.mark.parametrize("told", ["max-age=0", "max-age=1"])
    def test_is_never_so_short_that_each_request_fetches(self, issuer: Issuer, told: str) -> None:
        key = issuer.new_key()
        issuer.answer = reply(issuer.document(), headers={"Cache-Control": told})

        async def test(keys: PublishedKeys) -> None:
            for _ in range(20):
                assert await keys.find(key.kid) is not None
            assert issuer.fetches == 1

        run(issuer, test)

    def test_is_never_so_long_that_a_retired_key_stays(self, issuer: Issuer, clock: Clock) -> None:
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

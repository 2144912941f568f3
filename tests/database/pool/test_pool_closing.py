"""A pool that closes, and a pool used in every way at random, lose no connection."""

import asyncio
import random
from contextlib import suppress

import asyncpg
import pytest

from support.pool import LIMIT, Bench, Run
from todo_api.database import pool as module
from todo_api.database.failures import DatabaseUnavailableError
from todo_api.database.pool import PoolStats


class TestClose:
    def test_waits_for_what_is_lent_and_no_longer(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "CLOSE_TIMEOUT", 3600)

        async def test(bench: Bench) -> None:
            idle, lent = [await bench.acquire() for _ in range(2)]
            bench.release(idle)
            closing = asyncio.create_task(bench.pool.close())
            await bench.until_on_server(lent)
            assert not closing.done()
            assert await lent.connection.fetchval("SELECT 1") == 1
            bench.release(lent)
            await closing
            assert await bench.on_server() == set()

        run(test)

    def test_sends_those_away_that_wait(self, run: Run) -> None:
        async def test(bench: Bench) -> None:
            lent = await bench.acquire()
            waiting = bench.asking(2)
            await bench.waiting(2)
            closing = asyncio.create_task(bench.pool.close())
            for each in waiting:
                with pytest.raises(DatabaseUnavailableError, match="shutting down"):
                    await each
            with pytest.raises(DatabaseUnavailableError, match="closed"):
                await bench.acquire()
            bench.release(lent)
            await closing
            assert bench.pool.stats == PoolStats(limit=1, open=0, idle=0, waiting=0)

        run(test, size=1, overflow=0)

    def test_does_not_wait_for_ever(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "CLOSE_TIMEOUT", 0.01)

        async def test(bench: Bench) -> None:
            lent = [await bench.acquire() for _ in range(2)]
            await bench.pool.close()
            assert all(lease.connection.is_closed() for lease in lent)
            await bench.until_on_server()
            # Whoever has it may still give it back.
            bench.release(*lent)
            await bench.pool.close()

        run(test)

    def test_may_come_twice_and_without_any_use(self, run: Run) -> None:
        async def test(bench: Bench) -> None:
            await bench.pool.close()
            await bench.pool.close()

        run(test)


class Chaos:
    """Uses a pool in every way that there is."""

    def __init__(self, bench: Bench, seed: int) -> None:
        self._bench = bench
        self._chance = random.Random(seed)  # noqa: S311

    async def fail_sometimes(self) -> None:
        chance = self._chance.random()
        if chance < 0.05:
            raise asyncpg.InvalidPasswordError("no")
        if chance < 0.25:
            raise ConnectionResetError

    async def use_often(self) -> None:
        for _ in range(15):
            with suppress(DatabaseUnavailableError, TimeoutError):
                # Which cancels, wherever it is.
                async with asyncio.timeout(self._chance.choice([0, 0.001, 0.01, LIMIT])):
                    await self._use()
            assert self._bench.pool.stats.open <= self._bench.pool.stats.limit

    async def _use(self) -> None:
        lease = await self._bench.acquire(self._chance.choice([0, 0.01, LIMIT]))
        reusable = False
        try:
            match self._chance.randrange(6):
                case 0:
                    lease.connection.terminate()
                case 1:
                    await lease.connection.execute("BEGIN")
                case 2:
                    await asyncio.sleep(self._chance.random() / 100)
                case _:
                    await lease.connection.fetchval("SELECT 1")
            reusable = self._chance.random() < 0.8
        finally:
            self._bench.pool.release(lease, reusable=reusable)


@pytest.mark.parametrize("seed", range(3))
def test_everything_at_random_loses_nothing(run: Run, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SWEEP_INTERVAL", 0.001)
    monkeypatch.setattr(module, "OVERFLOW_LIFETIME", 0.001)

    async def test(bench: Bench) -> None:
        chaos = Chaos(bench, seed)
        bench.before_connect = chaos.fail_sometimes
        async with asyncio.TaskGroup() as group:
            for _ in range(20):
                group.create_task(chaos.use_often())
        bench.before_connect = None
        monkeypatch.setattr(module, "OVERFLOW_LIFETIME", LIMIT)
        await bench.is_whole()

    run(test, size=2, overflow=3)

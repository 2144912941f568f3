"""A pool loses no connection when it is closed, and when it is used at random."""

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
    def test_close_waits_until_connections_in_use_are_released(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "CLOSE_TIMEOUT", 3600)

        async def test(bench: Bench) -> None:
            idle, in_use = [await bench.acquire() for _ in range(2)]
            bench.release(idle)
            closing = asyncio.create_task(bench.pool.close())
            await bench.until_server_has(in_use)
            assert not closing.done()
            assert await in_use.connection.fetchval("SELECT 1") == 1
            bench.release(in_use)
            await closing
            assert await bench.server_pids() == set()

        run(test)

    def test_close_rejects_waiting_requests(self, run: Run) -> None:
        async def test(bench: Bench) -> None:
            in_use = await bench.acquire()
            waiting = bench.start_acquiring(2)
            await bench.until_waiting(2)
            closing = asyncio.create_task(bench.pool.close())
            for each in waiting:
                with pytest.raises(DatabaseUnavailableError, match="shutting down"):
                    await each
            with pytest.raises(DatabaseUnavailableError, match="closed"):
                await bench.acquire()
            bench.release(in_use)
            await closing
            assert bench.pool.stats == PoolStats(limit=1, open=0, idle=0, waiting=0)

        run(test, size=1, overflow=0)

    def test_close_terminates_connections_in_use_after_its_timeout(
        self, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "CLOSE_TIMEOUT", 0.01)

        async def test(bench: Bench) -> None:
            in_use = [await bench.acquire() for _ in range(2)]
            await bench.pool.close()
            assert all(lease.connection.is_closed() for lease in in_use)
            await bench.until_server_has()
            # A terminated connection can still be released.
            bench.release(*in_use)
            await bench.pool.close()

        run(test)

    def test_unused_pool_can_be_closed_twice(self, run: Run) -> None:
        async def test(bench: Bench) -> None:
            await bench.pool.close()
            await bench.pool.close()

        run(test)


class Chaos:
    """Uses a pool at random: cancels, fails, and leaves connections closed, in a transaction or slow."""

    def __init__(self, bench: Bench, seed: int) -> None:
        self._bench = bench
        self._random = random.Random(seed)  # noqa: S311

    async def fail_sometimes(self) -> None:
        number = self._random.random()
        if number < 0.05:
            raise asyncpg.InvalidPasswordError("no")
        if number < 0.25:
            raise ConnectionResetError

    async def use_often(self) -> None:
        for _ in range(15):
            with suppress(DatabaseUnavailableError, TimeoutError):
                # The timeout cancels at any point.
                async with asyncio.timeout(self._random.choice([0, 0.001, 0.01, LIMIT])):
                    await self._use()
            assert self._bench.pool.stats.open <= self._bench.pool.stats.limit

    async def _use(self) -> None:
        lease = await self._bench.acquire(self._random.choice([0, 0.01, LIMIT]))
        reusable = False
        try:
            match self._random.randrange(6):
                case 0:
                    lease.connection.terminate()
                case 1:
                    await lease.connection.execute("BEGIN")
                case 2:
                    await asyncio.sleep(self._random.random() / 100)
                case _:
                    await lease.connection.fetchval("SELECT 1")
            reusable = self._random.random() < 0.8
        finally:
            self._bench.pool.release(lease, reusable=reusable)


@pytest.mark.parametrize("seed", range(3), ids=lambda seed: f"seed {seed}")
def test_pool_used_at_random_loses_no_connection(run: Run, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
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
        await bench.assert_no_leak()

    run(test, size=2, overflow=3)

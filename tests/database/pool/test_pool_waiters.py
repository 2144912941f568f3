"""The pool never opens more connections than its limit, and serves waiting requests in order."""

import asyncio
import logging
import re

import pytest

from support.pool import Bench, Run
from todo_api.database import pool as module
from todo_api.database.failures import DatabaseUnavailableError
from todo_api.database.pool import PoolStats


class TestSize:
    def test_pool_opens_no_more_connections_than_its_limit(self, run: Run) -> None:
        async def test(bench: Bench) -> None:
            assert bench.pool.stats == PoolStats(limit=3, open=0, idle=0, waiting=0)
            assert await bench.server_pids() == set()
            tasks = bench.start_acquiring(20)
            await bench.until_waiting(17)
            await bench.until(lambda: bench.pool.stats == PoolStats(limit=3, open=3, idle=0, waiting=17))
            assert len(await bench.server_pids()) == bench.attempts == 3
            pids = set()
            for task in asyncio.as_completed(tasks):
                lease = await task
                pids.add(lease.connection.get_server_pid())
                bench.release(lease)
            assert await bench.server_pids() == pids
            assert bench.pool.stats == PoolStats(limit=3, open=3, idle=3, waiting=0)
            assert bench.attempts == 3

        run(test)

    def test_sequential_requests_share_one_connection(self, run: Run) -> None:
        async def test(bench: Bench) -> None:
            for _ in range(20):
                bench.release(await bench.acquire())
            assert bench.attempts == 1

        run(test)

    def test_connection_counts_until_the_server_has_closed_it(self, run: Run) -> None:
        async def test(bench: Bench) -> None:
            for _ in range(20):
                bench.pool.release(await bench.acquire(), reusable=False)
                assert len(await bench.server_pids()) <= 1
            assert bench.attempts == 20

        run(test, size=1, overflow=0)


class TestWaitingRequests:
    def test_waiting_requests_are_served_in_order(self, run: Run) -> None:
        async def test(bench: Bench) -> None:
            first, served = await bench.acquire(), []

            async def use(number: int) -> None:
                lease = await bench.acquire()
                served.append(number)
                bench.release(lease)

            waiting = [asyncio.create_task(use(number)) for number in range(5)]
            await bench.until_waiting(5)
            bench.release(first)
            await asyncio.gather(*waiting)
            assert served == [0, 1, 2, 3, 4]

        run(test, size=1, overflow=0)

    def test_waiting_request_times_out(self, run: Run) -> None:
        async def test(bench: Bench) -> None:
            lease = await bench.acquire()
            with pytest.raises(DatabaseUnavailableError, match=r"limit=1, open=1, idle=0"):
                await bench.acquire(0.01)
            bench.release(lease)
            await bench.assert_no_leak()

        run(test, size=1, overflow=0)

    def test_request_cancelled_while_it_waits_loses_nothing(self, run: Run) -> None:
        async def test(bench: Bench) -> None:
            lease, (cancelled, other) = await bench.acquire(), bench.start_acquiring(2)
            await bench.until_waiting(2)
            cancelled.cancel()
            with pytest.raises(asyncio.CancelledError):
                await cancelled
            assert bench.pool.stats.waiting == 1
            bench.release(lease)
            assert await other is lease
            bench.release(lease)
            await bench.assert_no_leak()

        run(test, size=1, overflow=0)

    @pytest.mark.parametrize("others", [0, 1], ids=["no other waits", "another waits"])
    def test_request_cancelled_while_it_gets_a_connection_loses_nothing(self, run: Run, others: int) -> None:
        async def test(bench: Bench) -> None:
            lease, (cancelled, *remaining) = await bench.acquire(), bench.start_acquiring(1 + others)
            await bench.until_waiting(1 + others)
            bench.release(lease)
            cancelled.cancel()
            with pytest.raises(asyncio.CancelledError):
                await cancelled
            for each in remaining:
                assert await each is lease
                bench.release(lease)
            await bench.assert_no_leak()

        run(test, size=1, overflow=0)

    def test_waiting_request_gets_a_released_connection_before_a_new_one(self, run: Run) -> None:
        async def test(bench: Bench) -> None:
            lease = await bench.acquire()
            bench.before_connect = asyncio.Event().wait  # Never set.
            (waiter,) = bench.start_acquiring()
            await bench.until(lambda: bench.attempts == 2)
            bench.release(lease)
            assert await waiter is lease
            bench.release(lease)

        run(test)

    def test_waiting_request_is_served_if_an_opening_task_is_cancelled(self, run: Run) -> None:
        async def test(bench: Bench) -> None:
            (waiter,) = bench.start_acquiring()
            await asyncio.sleep(0)
            (opening,) = bench.pool._opening  # noqa: SLF001
            assert opening.cancel()
            assert bench.attempts == 0
            bench.release(await waiter)
            await bench.assert_no_leak()

        run(test, size=1, overflow=0)

    @pytest.mark.parametrize("others", [0, 1], ids=["no other waits", "another waits"])
    def test_request_cancelled_while_connecting_leaves_the_connection(self, run: Run, others: int) -> None:
        async def test(bench: Bench) -> None:
            proceed = asyncio.Event()

            async def wait() -> None:
                await proceed.wait()

            bench.before_connect = wait
            cancelled, *remaining = bench.start_acquiring(1 + others)
            await bench.until_waiting(1 + others)
            bench.before_connect = None
            cancelled.cancel()
            proceed.set()
            for each in remaining:
                bench.release(await each)
            await asyncio.wait([cancelled])
            await bench.until(lambda: bench.pool.stats.waiting == 0)
            (later,) = bench.start_acquiring()
            bench.release(await later)
            await bench.assert_no_leak()

        run(test, size=1, overflow=0)


class TestExhaustion:
    def test_pool_exhaustion_is_logged_once_per_interval(
        self, run: Run, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def logged() -> list[str]:
            return [record.getMessage() for record in caplog.records if "pool exhausted" in record.getMessage()]

        async def test(bench: Bench) -> None:
            in_use = [await bench.acquire() for _ in range(3)]
            assert logged() == []
            for _ in range(3):
                with pytest.raises(DatabaseUnavailableError):
                    await bench.acquire(0.001)
            (line,) = logged()
            figures = {"limit": 3, "open": 3, "idle": 0, "waiting": 1}
            # The console renderer colours names and numbers.
            found = dict(re.findall(r"\x1b\[36m(\w+)\x1b\[0m=\x1b\[35m(\d+)", line))
            assert found == {name: str(number) for name, number in figures.items()}
            monkeypatch.setattr(module, "EXHAUSTION_INTERVAL", 0)
            with pytest.raises(DatabaseUnavailableError):
                await bench.acquire(0.001)
            assert len(logged()) == 2
            bench.release(*in_use)

        with caplog.at_level(logging.WARNING):
            run(test)

    def test_pool_exhaustion_is_not_logged_if_the_database_is_unreachable(
        self, run: Run, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def test(bench: Bench) -> None:
            async def fail() -> None:
                raise ConnectionRefusedError

            bench.before_connect = fail
            requests = [bench.acquire(0.05) for _ in range(5)]
            errors = await asyncio.gather(*requests, return_exceptions=True)
            assert {type(error) for error in errors} == {DatabaseUnavailableError}

        with caplog.at_level(logging.WARNING):
            run(test)
        assert "are in use" not in caplog.text

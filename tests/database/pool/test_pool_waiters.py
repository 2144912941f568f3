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
    def test_is_the_limit(self, run: Run) -> None:
        async def test(bench: Bench) -> None:
            assert bench.pool.stats == PoolStats(limit=3, open=0, idle=0, waiting=0)
            assert await bench.on_server() == set()
            tasks = bench.asking(20)
            await bench.waiting(17)
            await bench.until(lambda: bench.pool.stats == PoolStats(limit=3, open=3, idle=0, waiting=17))
            assert len(await bench.on_server()) == bench.tries == 3
            pids = set()
            for task in asyncio.as_completed(tasks):
                lease = await task
                pids.add(lease.connection.get_server_pid())
                bench.release(lease)
            assert await bench.on_server() == pids
            assert bench.pool.stats == PoolStats(limit=3, open=3, idle=3, waiting=0)
            assert bench.tries == 3

        run(test)

    def test_is_not_reached_where_one_after_the_other_is_needed(self, run: Run) -> None:
        async def test(bench: Bench) -> None:
            for _ in range(20):
                bench.release(await bench.acquire())
            assert bench.tries == 1

        run(test)

    def test_counts_those_that_the_server_has_not_let_go(self, run: Run) -> None:
        async def test(bench: Bench) -> None:
            for _ in range(20):
                bench.pool.release(await bench.acquire(), reusable=False)
                assert len(await bench.on_server()) <= 1
            assert bench.tries == 20

        run(test, size=1, overflow=0)


class TestWaiters:
    def test_are_served_in_order(self, run: Run) -> None:
        async def test(bench: Bench) -> None:
            first, served = await bench.acquire(), []

            async def use(number: int) -> None:
                lease = await bench.acquire()
                served.append(number)
                bench.release(lease)

            waiting = [asyncio.create_task(use(number)) for number in range(5)]
            await bench.waiting(5)
            bench.release(first)
            await asyncio.gather(*waiting)
            assert served == [0, 1, 2, 3, 4]

        run(test, size=1, overflow=0)

    def test_have_a_deadline(self, run: Run) -> None:
        async def test(bench: Bench) -> None:
            lease = await bench.acquire()
            with pytest.raises(DatabaseUnavailableError, match=r"limit=1, open=1, idle=0"):
                await bench.acquire(0.01)
            bench.release(lease)
            await bench.is_whole()

        run(test, size=1, overflow=0)

    def test_that_give_up_lose_nothing(self, run: Run) -> None:
        async def test(bench: Bench) -> None:
            lease, (impatient, patient) = await bench.acquire(), bench.asking(2)
            await bench.waiting(2)
            impatient.cancel()
            with pytest.raises(asyncio.CancelledError):
                await impatient
            assert bench.pool.stats.waiting == 1
            bench.release(lease)
            assert await patient is lease
            bench.release(lease)
            await bench.is_whole()

        run(test, size=1, overflow=0)

    @pytest.mark.parametrize("others", [0, 1])
    def test_that_give_up_when_they_are_handed_a_connection_lose_nothing(self, run: Run, others: int) -> None:
        async def test(bench: Bench) -> None:
            lease, (impatient, *patient) = await bench.acquire(), bench.asking(1 + others)
            await bench.waiting(1 + others)
            bench.release(lease)
            impatient.cancel()
            with pytest.raises(asyncio.CancelledError):
                await impatient
            for each in patient:
                assert await each is lease
                bench.release(lease)
            await bench.is_whole()

        run(test, size=1, overflow=0)

    def test_get_what_is_given_back_while_others_are_still_connecting(self, run: Run) -> None:
        async def test(bench: Bench) -> None:
            lease = await bench.acquire()
            bench.before_connect = asyncio.Event().wait  # Never.
            (waiter,) = bench.asking()
            await bench.until(lambda: bench.tries == 2)
            bench.release(lease)
            assert await waiter is lease
            bench.release(lease)

        run(test)

    def test_get_another_where_one_is_given_up_before_its_first_step(self, run: Run) -> None:
        async def test(bench: Bench) -> None:
            (waiter,) = bench.asking()
            await asyncio.sleep(0)
            (opening,) = bench.pool._opening  # noqa: SLF001
            assert opening.cancel()
            assert bench.tries == 0
            bench.release(await waiter)
            await bench.is_whole()

        run(test, size=1, overflow=0)

    @pytest.mark.parametrize("others", [0, 1])
    def test_that_give_up_while_one_is_made_leave_it_to_others(self, run: Run, others: int) -> None:
        async def test(bench: Bench) -> None:
            made = asyncio.Event()

            async def wait() -> None:
                await made.wait()

            bench.before_connect = wait
            impatient, *patient = bench.asking(1 + others)
            await bench.waiting(1 + others)
            bench.before_connect = None
            impatient.cancel()
            made.set()
            for each in patient:
                bench.release(await each)
            await asyncio.wait([impatient])
            await bench.until(lambda: bench.pool.stats.waiting == 0)
            (later,) = bench.asking()
            bench.release(await later)
            await bench.is_whole()

        run(test, size=1, overflow=0)


class TestExhaustion:
    def test_is_logged_once_in_a_while(
        self, run: Run, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def logged() -> list[str]:
            return [record.getMessage() for record in caplog.records if "pool exhausted" in record.getMessage()]

        async def test(bench: Bench) -> None:
            lent = [await bench.acquire() for _ in range(3)]
            assert logged() == []
            for _ in range(3):
                with pytest.raises(DatabaseUnavailableError):
                    await bench.acquire(0.001)
            (line,) = logged()
            figures = {"limit": 3, "open": 3, "idle": 0, "waiting": 1}
            # The console's form: names and numbers in colours.
            found = dict(re.findall(r"\x1b\[36m(\w+)\x1b\[0m=\x1b\[35m(\d+)", line))
            assert found == {name: str(number) for name, number in figures.items()}
            monkeypatch.setattr(module, "EXHAUSTION_INTERVAL", 0)
            with pytest.raises(DatabaseUnavailableError):
                await bench.acquire(0.001)
            assert len(logged()) == 2
            bench.release(*lent)

        with caplog.at_level(logging.WARNING):
            run(test)

    def test_is_not_told_where_the_database_is_missing(self, run: Run, caplog: pytest.LogCaptureFixture) -> None:
        async def test(bench: Bench) -> None:
            async def fail() -> None:
                raise ConnectionRefusedError

            bench.before_connect = fail
            asking = [bench.acquire(0.05) for _ in range(5)]
            errors = await asyncio.gather(*asking, return_exceptions=True)
            assert {type(error) for error in errors} == {DatabaseUnavailableError}

        with caplog.at_level(logging.WARNING):
            run(test)
        assert "are in use" not in caplog.text

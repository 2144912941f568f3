"""The pool lends living connections, never more than its limit, in order, and loses none whatever happens."""

import asyncio
import logging
import random
import re
import ssl
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import asyncpg
import pytest
import uvloop

from support.databases import execute
from todo_api.database import pool as module
from todo_api.database.connector import Connector
from todo_api.database.failures import DatabaseRefusedError, DatabaseUnavailableError, may_pass
from todo_api.database.limits import Limits
from todo_api.database.pool import Lease, Pool, PoolFigures
from todo_api.database.url import DatabaseUrl

LIMIT = 30
"""Seconds that anything may take on a busy machine."""


class Bench:
    """A pool, and what the server knows of it."""

    def __init__(self, url: str, limits: Limits, observer: asyncpg.Connection) -> None:
        self._name = f"pool-{uuid.uuid4().hex}"
        self._arguments = DatabaseUrl.parse(url).arguments() | {"server_settings": {"application_name": self._name}}
        self._observer = observer
        self.tries = 0
        self.before_connect: Callable[[], Awaitable[asyncpg.Connection | None]] | None = None
        """May fail, or give another connection than ours."""
        self.pool = Pool(Connector(self._connect, "the.host:5432"), limits)

    async def _connect(self) -> asyncpg.Connection:
        self.tries += 1
        other = await self.before_connect() if self.before_connect is not None else None
        return other or await self.connect()

    async def connect(self) -> asyncpg.Connection:
        return await asyncpg.connect(**self._arguments)

    async def acquire(self, seconds: float = LIMIT) -> Lease:
        return await self.pool.acquire(asyncio.get_running_loop().time() + seconds)

    def release(self, *leases: Lease) -> None:
        for lease in leases:
            self.pool.release(lease, reusable=True)

    def asking(self, count: int = 1) -> list[asyncio.Task[Lease]]:
        return [asyncio.create_task(self.acquire()) for _ in range(count)]

    async def waiting(self, count: int) -> None:
        await self.until(lambda: self.pool.figures.waiting == count)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(LIMIT):
            while not condition():
                await asyncio.sleep(0.001)

    async def on_server(self) -> set[int]:
        rows = await self._observer.fetch("SELECT pid FROM pg_stat_activity WHERE application_name = $1", self._name)
        return {row["pid"] for row in rows}

    async def until_on_server(self, *leases: Lease) -> None:
        async with asyncio.timeout(LIMIT):
            while await self.on_server() != {lease.connection.get_server_pid() for lease in leases}:
                await asyncio.sleep(0.001)

    async def is_whole(self) -> None:
        """Nothing is lent, and it lends as many as it may, and not one more."""
        figures = self.pool.figures
        assert (figures.open, figures.waiting) == (figures.idle, 0)
        leases = await asyncio.gather(*self.asking(figures.limit))
        (one_more,) = self.asking()
        await self.waiting(1)
        assert await self.on_server() == {lease.connection.get_server_pid() for lease in leases}
        self.release(*leases)
        self.release(await one_more)
        assert self.pool.figures == PoolFigures(figures.limit, figures.limit, figures.limit, 0)


Run = Callable[..., None]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest, database_url: str) -> Run:
    """Runs a test with a pool of its own, in both kinds of event loops, and sees that nothing is left of it."""

    @asynccontextmanager
    async def bench(url: str, limits: Limits) -> AsyncIterator[Bench]:
        observer = await asyncpg.connect(database_url)
        bench = Bench(url, limits, observer)
        yield bench
        await bench.pool.close()
        await bench.until_on_server()
        await observer.close()

    def run(
        test: Callable[[Bench], Awaitable[None]],
        size: int = 2,
        overflow: int = 1,
        idle_lifetime: float = 3600,
        url: str = database_url,
    ) -> None:
        async def main() -> None:
            async with bench(url, Limits(size, overflow, idle_lifetime)) as made, asyncio.timeout(2 * LIMIT):
                await test(made)

        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(main())

    return run


@pytest.fixture
def quick_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SWEEP_INTERVAL", 0.001)


class TestSize:
    def test_is_the_limit(self, run: Run) -> None:
        async def test(bench: Bench) -> None:
            assert bench.pool.figures == PoolFigures(limit=3, open=0, idle=0, waiting=0)
            assert await bench.on_server() == set()
            tasks = bench.asking(20)
            await bench.waiting(17)
            await bench.until(lambda: bench.pool.figures == PoolFigures(limit=3, open=3, idle=0, waiting=17))
            assert len(await bench.on_server()) == bench.tries == 3
            pids = set()
            for task in asyncio.as_completed(tasks):
                lease = await task
                pids.add(lease.connection.get_server_pid())
                bench.release(lease)
            assert await bench.on_server() == pids
            assert bench.pool.figures == PoolFigures(limit=3, open=3, idle=3, waiting=0)
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
            assert bench.pool.figures.waiting == 1
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
            await bench.until(lambda: bench.pool.figures.waiting == 0)
            (later,) = bench.asking()
            bench.release(await later)
            await bench.is_whole()

        run(test, size=1, overflow=0)


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (ConnectionRefusedError(), True),
        (FileNotFoundError(), True),
        (TimeoutError(), True),
        (asyncpg.CannotConnectNowError("the database system is starting up"), True),
        (asyncpg.TooManyConnectionsError("sorry, too many clients already"), True),
        (asyncpg.TargetServerAttributeNotMatched("None of the hosts match"), True),
        (asyncpg.ProtocolViolationError("server login has been failing"), True),
        (asyncpg.InternalServerError("Couldn't connect to compute node"), True),
        (asyncpg.InternalServerError("password authentication failed for user 'alex'"), False),
        (asyncpg.InvalidPasswordError('password authentication failed for user "alex"'), False),
        (asyncpg.InvalidCatalogNameError('database "neondb" does not exist'), False),
        (asyncpg.ProtocolViolationError("no such user: alex"), False),
        (ssl.SSLCertVerificationError("self-signed certificate"), False),
        (ConnectionError('PostgreSQL server at "a:5432" rejected SSL upgrade'), False),
        (KeyError("getpwuid(): uid not found: 1000"), False),
    ],
    ids=repr,
)
def test_what_may_pass_is_told_from_what_stays(error: Exception, passes: bool) -> None:
    assert may_pass(error) is passes


class TestConnecting:
    def test_that_fails_gives_up_its_place(self, run: Run) -> None:
        async def test(bench: Bench) -> None:
            failing = asyncio.Event()

            async def fail() -> None:
                bench.before_connect = None
                await failing.wait()
                raise asyncpg.InvalidPasswordError("no")

            bench.before_connect = fail
            refused = bench.asking(2)
            await bench.waiting(2)
            failing.set()
            for each in refused:
                with pytest.raises(DatabaseRefusedError):
                    await each
            bench.release(await bench.acquire())
            await bench.is_whole()

        run(test, size=1, overflow=0)

    def test_is_tried_again_until_the_deadline(self, run: Run) -> None:
        async def test(bench: Bench) -> None:
            async def fail() -> None:
                raise ConnectionRefusedError

            bench.before_connect = fail
            with pytest.raises(DatabaseUnavailableError) as refused:
                await bench.acquire(0.2)
            assert not isinstance(refused.value, DatabaseRefusedError)
            assert bench.tries > 1
            assert bench.pool.figures == PoolFigures(limit=1, open=0, idle=0, waiting=0)
            (later,) = bench.asking()
            tries = bench.tries
            await bench.until(lambda: bench.tries > tries + 1)
            bench.before_connect = None
            bench.release(await later)
            await bench.is_whole()

        run(test, size=1, overflow=0)

    def test_with_a_wrong_password_is_tried_once(self, run: Run, database_url: str) -> None:
        async def test(bench: Bench) -> None:
            with pytest.raises(DatabaseRefusedError) as refused:
                await bench.acquire()
            assert "hunter2" not in str(refused.value)
            assert bench.tries == 1

        run(test, url=database_url.replace(f":{urlsplit(database_url).password}@", ":hunter2@"))

    def test_that_ends_at_once_is_tried_again(self, run: Run) -> None:
        async def test(bench: Bench) -> None:
            async def dead() -> asyncpg.Connection:
                bench.before_connect = None
                connection = await bench.connect()
                await connection.close()
                return connection

            bench.before_connect = dead
            lease = await bench.acquire()
            assert lease.is_alive()
            assert bench.tries == 2
            bench.release(lease)

        run(test)


class TestLending:
    def test_sees_a_dead_connection_before_the_event_loop_does(self, run: Run, database_url: str) -> None:
        async def test(bench: Bench) -> None:
            leases = [await bench.acquire() for _ in range(3)]
            bench.release(*leases)
            assert all(lease.is_alive() for lease in leases)
            # The loop stands still meanwhile.
            with ThreadPoolExecutor(1) as thread:
                for pid in await bench.on_server():
                    thread.submit(execute, database_url, f"SELECT pg_terminate_backend({pid}, 60000)").result()
            assert not any(lease.connection.is_closed() for lease in leases)
            assert not any(lease.is_alive() for lease in leases)
            lease = await bench.acquire()
            assert lease not in leases
            assert await lease.connection.fetchval("SELECT 1") == 1
            bench.release(lease)
            await bench.until_on_server(lease)
            await bench.is_whole()

        run(test)

    def test_goes_on_after_a_statement_of_any_kind(self, run: Run) -> None:
        async def test(bench: Bench) -> None:
            for sql in ("SELECT 1", "SET work_mem = '1MB'", "SELECT 1 / 0", "SELECT repeat('x', 1000000)"):
                lease = await bench.acquire()
                with suppress(asyncpg.DivisionByZeroError):
                    await lease.connection.fetch(sql)
                assert lease.is_alive()
                bench.release(lease)
            assert bench.tries == 1

        run(test)

    @pytest.mark.parametrize("fault", ["transaction", "failed transaction", "closed", "busy"])
    def test_is_the_last_time_where_something_is_left(self, run: Run, fault: str) -> None:
        async def test(bench: Bench) -> None:
            lease = await bench.acquire()
            connection, reusable = lease.connection, True
            if fault in ("transaction", "failed transaction"):
                await connection.execute("BEGIN")
            if fault == "failed transaction":
                with pytest.raises(asyncpg.DivisionByZeroError):
                    await connection.execute("SELECT 1 / 0")
            if fault == "closed":
                connection.terminate()
            if fault == "busy":
                with pytest.raises(TimeoutError):
                    await connection.fetch("SELECT pg_sleep(600)", timeout=0.05)
                reusable = False
            bench.pool.release(lease, reusable=reusable)
            next_lease = await bench.acquire()
            assert next_lease is not lease
            await bench.until_on_server(next_lease)
            bench.release(next_lease)
            await bench.is_whole()

        run(test, size=1, overflow=0)


@pytest.mark.usefixtures("quick_sweeps")
class TestUnused:
    def test_beyond_the_size_are_ended_soon(self, run: Run) -> None:
        async def test(bench: Bench) -> None:
            leases = [await bench.acquire() for _ in range(3)]
            bench.release(*leases)
            oldest, *others = leases
            assert await bench.acquire() is leases[-1], "the longest unused ones are left alone"
            bench.release(leases[-1])
            for lease in leases:
                lease.idle_since -= module.OVERFLOW_LIFETIME + 1
            await bench.until_on_server(*others)
            assert bench.pool.figures == PoolFigures(limit=3, open=2, idle=2, waiting=0)
            assert oldest.connection.is_closed()
            await bench.is_whole()

        run(test)

    def test_beyond_the_size_stay_for_the_next_wave(self, run: Run) -> None:
        async def test(bench: Bench) -> None:
            young, old = [await bench.acquire() for _ in range(2)]
            bench.release(old, young)
            old.idle_since -= module.OVERFLOW_LIFETIME + 1
            await bench.until_on_server(young)
            old = await bench.acquire()
            second = await bench.acquire()
            bench.release(old, second)
            old.idle_since -= module.OVERFLOW_LIFETIME + 1
            await bench.until_on_server(second)
            await bench.is_whole()

        run(test, size=1, overflow=1)

    def test_count_with_those_in_use(self, run: Run) -> None:
        async def test(bench: Bench) -> None:
            used, unused = [await bench.acquire() for _ in range(2)]
            bench.release(unused)
            unused.idle_since -= module.OVERFLOW_LIFETIME + 1
            await bench.until_on_server(used)
            bench.release(used)

        run(test, size=1, overflow=1)

    def test_are_all_ended_after_their_lifetime(self, run: Run) -> None:
        async def test(bench: Bench) -> None:
            leases = [await bench.acquire() for _ in range(3)]
            bench.release(*leases)
            for lease in leases:
                lease.idle_since -= 61
            await bench.until_on_server()
            await bench.until(lambda: bench.pool.figures == PoolFigures(limit=3, open=0, idle=0, waiting=0))
            await bench.is_whole()

        run(test, idle_lifetime=60)

    def test_may_have_less_time_than_those_beyond_the_size(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "OVERFLOW_LIFETIME", 3600)

        async def test(bench: Bench) -> None:
            leases = [await bench.acquire() for _ in range(3)]
            bench.release(*leases)
            await bench.until_on_server()

        run(test, idle_lifetime=0.001)


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
                with pytest.raises(DatabaseUnavailableError, match="ends"):
                    await each
            with pytest.raises(DatabaseUnavailableError, match="closed"):
                await bench.acquire()
            bench.release(lent)
            await closing
            assert bench.pool.figures == PoolFigures(limit=1, open=0, idle=0, waiting=0)

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
            assert self._bench.pool.figures.open <= self._bench.pool.figures.limit

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

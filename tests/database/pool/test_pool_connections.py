"""Connections are opened, checked, reused and closed."""

import asyncio
import ssl
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from urllib.parse import urlsplit

import asyncpg
import pytest

from support.databases import execute
from support.pool import Bench, Run
from todo_api.database import pool as module
from todo_api.database.failures import DatabaseUnavailableError, PermanentDatabaseError, is_transient
from todo_api.database.pool import PoolStats


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
    assert is_transient(error) is passes


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
                with pytest.raises(PermanentDatabaseError):
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
            assert not isinstance(refused.value, PermanentDatabaseError)
            assert bench.tries > 1
            assert bench.pool.stats == PoolStats(limit=1, open=0, idle=0, waiting=0)
            (later,) = bench.asking()
            tries = bench.tries
            await bench.until(lambda: bench.tries > tries + 1)
            bench.before_connect = None
            bench.release(await later)
            await bench.is_whole()

        run(test, size=1, overflow=0)

    def test_with_a_wrong_password_is_tried_once(self, run: Run, database_url: str) -> None:
        async def test(bench: Bench) -> None:
            with pytest.raises(PermanentDatabaseError) as refused:
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
            assert bench.pool.stats == PoolStats(limit=3, open=2, idle=2, waiting=0)
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
            await bench.until(lambda: bench.pool.stats == PoolStats(limit=3, open=0, idle=0, waiting=0))
            await bench.is_whole()

        run(test, idle_lifetime=60)

    def test_may_have_less_time_than_those_beyond_the_size(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "OVERFLOW_LIFETIME", 3600)

        async def test(bench: Bench) -> None:
            leases = [await bench.acquire() for _ in range(3)]
            bench.release(*leases)
            await bench.until_on_server()

        run(test, idle_lifetime=0.001)

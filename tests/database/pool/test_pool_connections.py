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
    ("error", "transient"),
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
    ids=lambda value: repr(value) if isinstance(value, Exception) else "transient" if value else "permanent",
)
def test_transient_connection_error_is_recognized(error: Exception, transient: bool) -> None:
    assert is_transient(error) is transient


class TestOpening:
    def test_failed_connection_frees_its_slot(self, run: Run) -> None:
        async def test(bench: Bench) -> None:
            failing = asyncio.Event()

            async def fail() -> None:
                bench.before_connect = None
                await failing.wait()
                raise asyncpg.InvalidPasswordError("no")

            bench.before_connect = fail
            rejected = bench.start_acquiring(2)
            await bench.until_waiting(2)
            failing.set()
            for each in rejected:
                with pytest.raises(PermanentDatabaseError):
                    await each
            bench.release(await bench.acquire())
            await bench.assert_no_leak()

        run(test, size=1, overflow=0)

    def test_failed_connection_is_retried_until_the_deadline(self, run: Run) -> None:
        async def test(bench: Bench) -> None:
            async def fail() -> None:
                raise ConnectionRefusedError

            bench.before_connect = fail
            with pytest.raises(DatabaseUnavailableError) as rejected:
                await bench.acquire(0.2)
            assert not isinstance(rejected.value, PermanentDatabaseError)
            assert bench.attempts > 1
            assert bench.pool.stats == PoolStats(limit=1, open=0, idle=0, waiting=0)
            (later,) = bench.start_acquiring()
            tries = bench.attempts
            await bench.until(lambda: bench.attempts > tries + 1)
            bench.before_connect = None
            bench.release(await later)
            await bench.assert_no_leak()

        run(test, size=1, overflow=0)

    def test_connection_with_a_wrong_password_is_not_retried(self, run: Run, database_url: str) -> None:
        async def test(bench: Bench) -> None:
            with pytest.raises(PermanentDatabaseError) as rejected:
                await bench.acquire()
            assert "hunter2" not in str(rejected.value)
            assert bench.attempts == 1

        run(test, url=database_url.replace(f":{urlsplit(database_url).password}@", ":hunter2@"))

    def test_connection_that_is_closed_at_once_is_replaced(self, run: Run) -> None:
        async def test(bench: Bench) -> None:
            async def dead() -> asyncpg.Connection:
                bench.before_connect = None
                connection = await bench.connect()
                await connection.close()
                return connection

            bench.before_connect = dead
            lease = await bench.acquire()
            assert lease.is_alive()
            assert bench.attempts == 2
            bench.release(lease)

        run(test)


class TestReuse:
    def test_dead_connection_is_detected_before_the_event_loop_reads_it(self, run: Run, database_url: str) -> None:
        async def test(bench: Bench) -> None:
            leases = [await bench.acquire() for _ in range(3)]
            bench.release(*leases)
            assert all(lease.is_alive() for lease in leases)
            # result() blocks the event loop meanwhile.
            with ThreadPoolExecutor(1) as thread:
                for pid in await bench.server_pids():
                    thread.submit(execute, database_url, f"SELECT pg_terminate_backend({pid}, 60000)").result()
            assert not any(lease.connection.is_closed() for lease in leases)
            assert not any(lease.is_alive() for lease in leases)
            lease = await bench.acquire()
            assert lease not in leases
            assert await lease.connection.fetchval("SELECT 1") == 1
            bench.release(lease)
            await bench.until_server_has(lease)
            await bench.assert_no_leak()

        run(test)

    def test_connection_is_reused_after_any_statement(self, run: Run) -> None:
        async def test(bench: Bench) -> None:
            for sql in ("SELECT 1", "SET work_mem = '1MB'", "SELECT 1 / 0", "SELECT repeat('x', 1000000)"):
                lease = await bench.acquire()
                with suppress(asyncpg.DivisionByZeroError):
                    await lease.connection.fetch(sql)
                assert lease.is_alive()
                bench.release(lease)
            assert bench.attempts == 1

        run(test)

    @pytest.mark.parametrize("fault", ["transaction", "failed transaction", "closed", "busy"])
    def test_connection_in_an_unclean_state_is_not_reused(self, run: Run, fault: str) -> None:
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
            await bench.until_server_has(next_lease)
            bench.release(next_lease)
            await bench.assert_no_leak()

        run(test, size=1, overflow=0)


@pytest.mark.usefixtures("quick_sweeps")
class TestIdle:
    def test_idle_connections_beyond_the_size_are_closed_soon(self, run: Run) -> None:
        async def test(bench: Bench) -> None:
            leases = [await bench.acquire() for _ in range(3)]
            bench.release(*leases)
            oldest, *others = leases
            assert await bench.acquire() is leases[-1], "the most recently used connection is reused first"
            bench.release(leases[-1])
            for lease in leases:
                lease.idle_since -= module.OVERFLOW_LIFETIME + 1
            await bench.until_server_has(*others)
            assert bench.pool.stats == PoolStats(limit=3, open=2, idle=2, waiting=0)
            assert oldest.connection.is_closed()
            await bench.assert_no_leak()

        run(test)

    def test_recently_used_connection_beyond_the_size_stays_open(self, run: Run) -> None:
        async def test(bench: Bench) -> None:
            young, old = [await bench.acquire() for _ in range(2)]
            bench.release(old, young)
            old.idle_since -= module.OVERFLOW_LIFETIME + 1
            await bench.until_server_has(young)
            old = await bench.acquire()
            second = await bench.acquire()
            bench.release(old, second)
            old.idle_since -= module.OVERFLOW_LIFETIME + 1
            await bench.until_server_has(second)
            await bench.assert_no_leak()

        run(test, size=1, overflow=1)

    def test_connections_in_use_count_toward_the_size(self, run: Run) -> None:
        async def test(bench: Bench) -> None:
            in_use, idle = [await bench.acquire() for _ in range(2)]
            bench.release(idle)
            idle.idle_since -= module.OVERFLOW_LIFETIME + 1
            await bench.until_server_has(in_use)
            bench.release(in_use)

        run(test, size=1, overflow=1)

    def test_all_idle_connections_are_closed_after_their_lifetime(self, run: Run) -> None:
        async def test(bench: Bench) -> None:
            leases = [await bench.acquire() for _ in range(3)]
            bench.release(*leases)
            for lease in leases:
                lease.idle_since -= 61
            await bench.until_server_has()
            await bench.until(lambda: bench.pool.stats == PoolStats(limit=3, open=0, idle=0, waiting=0))
            await bench.assert_no_leak()

        run(test, idle_lifetime=60)

    def test_idle_lifetime_can_be_shorter_than_the_overflow_lifetime(
        self, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "OVERFLOW_LIFETIME", 3600)

        async def test(bench: Bench) -> None:
            leases = [await bench.acquire() for _ in range(3)]
            bench.release(*leases)
            await bench.until_server_has()

        run(test, idle_lifetime=0.001)

"""A session always returns its connection, retries lost reads, and distinguishes a lost database from other errors."""

import asyncio
from dataclasses import replace
from datetime import UTC, date, datetime
from urllib.parse import urlsplit

import asyncpg
import pytest
from sqlalchemy import bindparam, column, insert, select, table

from support.databases import execute
from support.sessions import MAX_CONNECTIONS, ONE, SLEEP, query, run, terminate_sleepers, until, wait_for_sleepers
from todo_api.database import migrate
from todo_api.database.database import Database
from todo_api.database.failures import DatabaseUnavailableError, StatementLostError
from todo_api.database.limits import Limits
from todo_api.database.statement import Statement, prepare

PID = Statement("SELECT pg_backend_pid() AS pid")
note = table("note", column("text"))
ADD = prepare(insert(note).values(text=bindparam("text")))
NOTES = prepare(select(note.c.text).order_by(note.c.text))
# Sleeps until a note exists. The sequence counts how often it was sent, because a rollback does not reset it.
READ = Statement(
    "SELECT nextval('sent') AS sent, pg_sleep(CASE WHEN EXISTS (SELECT FROM note) THEN 0 ELSE 600 END)", retryable=True
)
WRITE = replace(READ, retryable=False)


async def notes(database: Database) -> list[str]:
    return [row["text"] for row in await database.session().fetch_all(NOTES)]


def test_statement_with_a_literal_value_is_rejected() -> None:
    with pytest.raises(ValueError, match="not a bindparam"):
        prepare(select(note).where(note.c.text == "x"))


def test_missing_parameter_raises_key_error(url: str) -> None:
    async def test(database: Database) -> None:
        with pytest.raises(KeyError):
            await database.session().fetch_one(ADD)

    run(url, test)


class TestTransaction:
    def test_transaction_commits_every_statement(self, url: str) -> None:
        async def test(database: Database) -> None:
            async with database.session().transaction() as session:
                await session.fetch_one(ADD, text="a")
                await session.fetch_one(ADD, text="b")
                assert await notes(database) == [], "uncommitted rows are not visible to another session"
            assert await notes(database) == ["a", "b"]

        run(url, test)

    @pytest.mark.parametrize("failure", [RuntimeError, asyncpg.CheckViolationError, asyncio.CancelledError])
    def test_transaction_rolls_back_on_error(self, url: str, failure: type[BaseException]) -> None:
        async def test(database: Database) -> None:
            with pytest.raises(failure):
                async with database.session().transaction() as session:
                    await session.fetch_one(ADD, text="a")
                    if failure is asyncpg.CheckViolationError:
                        await session.fetch_one(ADD, text="bad")
                    raise failure
            assert await notes(database) == []

        run(url, test)

    def test_nested_transaction_is_a_savepoint(self, url: str) -> None:
        async def test(database: Database) -> None:
            async with database.session().transaction() as outer:
                await outer.fetch_one(ADD, text="a")
                with pytest.raises(RuntimeError):
                    async with outer.transaction() as inner:
                        await inner.fetch_one(ADD, text="b")
                        raise RuntimeError
                await outer.fetch_one(ADD, text="c")
            assert await notes(database) == ["a", "c"]

        run(url, test)


class TestConnections:
    def test_connections_return_after_cancelled_and_failed_statements(self, url: str) -> None:
        async def test(database: Database) -> None:
            session = database.session()
            for _ in range(2):
                asleep = [asyncio.create_task(session.fetch_one(SLEEP)) for _ in range(MAX_CONNECTIONS)]
                await wait_for_sleepers(url, MAX_CONNECTIONS)
                for task in asleep:
                    task.cancel()
                await asyncio.gather(*asleep, return_exceptions=True)
                failing = [session.fetch_one(ADD, text="bad") for _ in range(MAX_CONNECTIONS)]
                errors = await asyncio.gather(*failing, return_exceptions=True)
                assert {type(error) for error in errors} == {asyncpg.CheckViolationError}
            rows = await asyncio.gather(*(session.fetch_one(ONE) for _ in range(50)))
            assert [row and row["one"] for row in rows] == [1] * 50

        run(url, test)

    def test_statement_times_out_if_all_connections_are_in_use(self, url: str) -> None:
        async def test(database: Database) -> None:
            session = database.session()
            asleep = [asyncio.create_task(session.fetch_one(SLEEP)) for _ in range(MAX_CONNECTIONS)]
            await wait_for_sleepers(url, MAX_CONNECTIONS)
            with pytest.raises(DatabaseUnavailableError):
                await session.fetch_one(ONE)
            for task in asleep:
                task.cancel()
            await asyncio.gather(*asleep, return_exceptions=True)
            assert await session.fetch_one(ONE) is not None

        run(url, test, wait_timeout=0.5)

    def test_connection_ended_by_the_server_is_replaced(self, url: str) -> None:
        async def test(database: Database) -> None:
            row = await database.session().fetch_one(PID)
            assert row is not None
            asleep = asyncio.create_task(database.session().fetch_one(SLEEP))
            await wait_for_sleepers(url, 1)
            await terminate_sleepers(url)
            with pytest.raises(DatabaseUnavailableError):
                await asleep
            assert await database.session().fetch_one(ONE) is not None

        run(url, test)

    def test_connection_is_closed_if_its_opening_is_cancelled(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        opened: list[asyncpg.Connection] = []

        async def never_ends(connection: asyncpg.Connection, *_: object, **__: object) -> None:
            opened.append(connection)
            await asyncio.Future()

        async def test(database: Database) -> None:
            opening = asyncio.create_task(database.session().fetch_one(ONE))
            await until(lambda: asyncio.sleep(0, bool(opened)))
            opening.cancel()
            await until(lambda: asyncio.sleep(0, opened[0].is_closed()))

        monkeypatch.setattr(asyncpg.Connection, "set_type_codec", never_ends)
        run(url, test)


class TestTimes:
    @pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata"])
    def test_times_are_utc_in_any_time_zone_of_the_server(self, empty_database_url: str, zone: str) -> None:
        times = ["0001-01-01T00:00:00+00:00", "2026-01-01T12:00:00.500000+00:00", "9999-12-31T23:59:59.999999+00:00"]
        columns = ", ".join(f"TIMESTAMPTZ '{time}'" for time in times)

        async def test(database: Database) -> None:
            row = await database.session().fetch_one(Statement(f"SELECT {columns}, current_setting('TimeZone')"))
            assert row is not None
            *found, current_zone = row
            assert current_zone == zone
            assert [time.isoformat() for time in found] == times

        name = urlsplit(empty_database_url).path[1:]
        execute(empty_database_url, f"ALTER DATABASE \"{name}\" SET TimeZone = '{zone}'")
        run(empty_database_url, test)

    @pytest.mark.parametrize("style", ["ISO, MDY", "German"])
    def test_first_and_last_day_and_time_are_written_as_they_are(self, empty_database_url: str, style: str) -> None:
        """asyncpg would write some of them as infinity."""
        days = [date.min, date(2000, 1, 1), date.max]
        times = [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)]

        async def test(database: Database) -> None:
            columns = "$1::date[], $2::timestamptz[], isfinite(($1::date[])[1]), isfinite(($1::date[])[3])"
            read = Statement(f"SELECT {columns}", ("days", "times"))
            row = await database.session().fetch_one(read, days=days, times=times)
            assert row is not None
            assert list(row) == [days, times, True, True]

        name = urlsplit(empty_database_url).path[1:]
        execute(empty_database_url, f"ALTER DATABASE \"{name}\" SET DateStyle = '{style}'")
        run(empty_database_url, test)


class TestLostStatement:
    def test_lost_read_is_retried(self, url: str) -> None:
        async def test(database: Database) -> None:
            reading = asyncio.create_task(database.session().fetch_one(READ))
            await wait_for_sleepers(url, 1)
            await database.session().fetch_one(ADD, text="a")
            await terminate_sleepers(url)
            row = await reading
            assert row is not None
            assert row["sent"] == 2

        run(url, test)

    def test_lost_write_is_not_retried(self, url: str) -> None:
        async def test(database: Database) -> None:
            writing = asyncio.create_task(database.session().fetch_one(WRITE))
            await wait_for_sleepers(url, 1)
            await terminate_sleepers(url)
            with pytest.raises(StatementLostError):
                await writing
            assert await query(url, "SELECT last_value FROM sent") == 1

        run(url, test)

    def test_lost_transaction_is_not_retried(self, url: str) -> None:
        async def test(database: Database) -> None:
            async def transact() -> None:
                async with database.session().transaction() as session:
                    await session.fetch_one(ADD, text="a")
                    await session.fetch_one(SLEEP)

            transacting = asyncio.create_task(transact())
            await wait_for_sleepers(url, 1)
            await terminate_sleepers(url)
            with pytest.raises(StatementLostError):
                await transacting
            assert await notes(database) == []

        run(url, test)

    @pytest.mark.parametrize(
        ("error", "never_sent"),
        [
            (asyncpg.ProtocolViolationError("query_wait_timeout"), True),
            (asyncpg.ProtocolViolationError("server login has been failing, try again later"), True),
            (asyncpg.ProtocolViolationError("server conn crashed?"), False),
            (asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"), False),
            (ConnectionResetError("query_wait_timeout"), False),
        ],
        ids=[
            "PgBouncer queue timeout", "PgBouncer login failure", "PgBouncer server crash", "closed in operation",
            "reset",
        ],
    )  # fmt: skip
    def test_lost_statement_is_safe_to_retry_only_if_never_sent(self, error: Exception, never_sent: bool) -> None:
        assert StatementLostError(error).safe_to_retry is never_sent


class TestStatementTimeout:
    def test_statement_timeout_is_reported_and_not_retried(self, url: str) -> None:
        async def test(database: Database) -> None:
            with pytest.raises(DatabaseUnavailableError, match="timed out") as late:
                await database.session().fetch_one(READ)
            assert not isinstance(late.value, StatementLostError)
            assert isinstance(late.value.__cause__, TimeoutError), "not the server's limit"
            await wait_for_sleepers(url, 0)
            assert await query(url, "SELECT last_value FROM sent") == 1
            assert await database.session().fetch_one(ONE) is not None

        run(url, test, statement_timeout=0.1)

    def test_statement_timeout_of_the_server_is_reported(self, empty_database_url: str) -> None:
        async def test(database: Database) -> None:
            with pytest.raises(DatabaseUnavailableError, match="timed out"):
                await database.session().fetch_one(SLEEP)

        migrate.upgrade(empty_database_url, Limits(statement_timeout=0.1))
        run(empty_database_url, test)

"""A session gives its connection back whatever happens, and tells a lost database from a fault."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import asyncpg
import pytest
from conftest import execute
from sqlalchemy import bindparam, column, insert, literal_column, select, table

from todo_api.database.failures import DatabaseRefused, DatabaseUnavailable
from todo_api.database.pool import Limits
from todo_api.database.session import Database
from todo_api.database.statement import Statement, prepare

SLEEP = Statement("SELECT pg_sleep(60)")
ONE = prepare(select(literal_column("1").label("one")))
PID = Statement("SELECT pg_backend_pid() AS pid")
note = table("note", column("text"))
ADD = prepare(insert(note).values(text=bindparam("text")))
NOTES = prepare(select(note.c.text).order_by(note.c.text))


MAX_CONNECTIONS = Limits().size + Limits().overflow


def run(url: str, test: Callable[[Database], Awaitable[None]], **limits: float) -> None:
    async def main() -> None:
        async with Database(url, replace(Limits(), **limits)) as database:
            await test(database)

    asyncio.run(main())


async def notes(database: Database) -> list[str]:
    return [row["text"] for row in await database.session().fetch_all(NOTES)]


@pytest.fixture
def url(empty_database_url: str) -> str:
    execute(empty_database_url, "CREATE TABLE note (text varchar NOT NULL CHECK (text <> 'bad'))")
    return empty_database_url


def test_a_value_written_into_a_statement_is_refused() -> None:
    with pytest.raises(ValueError, match="not a bindparam"):
        prepare(select(note).where(note.c.text == "x"))


def test_a_missing_parameter_is_an_error(url: str) -> None:
    async def test(database: Database) -> None:
        with pytest.raises(KeyError):
            await database.session().fetch_one(ADD)

    run(url, test)


class TestTransaction:
    def test_keeps_all(self, url: str) -> None:
        async def test(database: Database) -> None:
            async with database.session().transaction() as session:
                await session.fetch_one(ADD, text="a")
                await session.fetch_one(ADD, text="b")
                assert await notes(database) == [], "others see nothing before the end"
            assert await notes(database) == ["a", "b"]

        run(url, test)

    @pytest.mark.parametrize("failure", [RuntimeError, asyncpg.CheckViolationError, asyncio.CancelledError])
    def test_or_nothing(self, url: str, failure: type[BaseException]) -> None:
        async def test(database: Database) -> None:
            with pytest.raises(failure):
                async with database.session().transaction() as session:
                    await session.fetch_one(ADD, text="a")
                    if failure is asyncpg.CheckViolationError:
                        await session.fetch_one(ADD, text="bad")
                    raise failure
            assert await notes(database) == []

        run(url, test)

    def test_within_another_is_a_savepoint(self, url: str) -> None:
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
    def test_come_back_from_what_is_cancelled_and_what_fails(self, url: str) -> None:
        async def test(database: Database) -> None:
            session = database.session()
            for _ in range(2):
                asleep = [asyncio.create_task(session.fetch_one(SLEEP)) for _ in range(MAX_CONNECTIONS)]
                await self.busy(url, MAX_CONNECTIONS)
                for task in asleep:
                    task.cancel()
                await asyncio.gather(*asleep, return_exceptions=True)
                refused = [session.fetch_one(ADD, text="bad") for _ in range(MAX_CONNECTIONS)]
                errors = await asyncio.gather(*refused, return_exceptions=True)
                assert {type(error) for error in errors} == {asyncpg.CheckViolationError}
            rows = await asyncio.gather(*(session.fetch_one(ONE) for _ in range(50)))
            assert [row and row["one"] for row in rows] == [1] * 50

        run(url, test)

    def test_that_are_all_in_use_are_no_hang(self, url: str) -> None:
        async def test(database: Database) -> None:
            session = database.session()
            asleep = [asyncio.create_task(session.fetch_one(SLEEP)) for _ in range(MAX_CONNECTIONS)]
            await self.busy(url, MAX_CONNECTIONS)
            with pytest.raises(DatabaseUnavailable):
                await session.fetch_one(ONE)
            for task in asleep:
                task.cancel()
            await asyncio.gather(*asleep, return_exceptions=True)
            assert await session.fetch_one(ONE) is not None

        run(url, test, wait_timeout=0.5)

    def test_that_the_server_ends_are_replaced(self, url: str) -> None:
        async def test(database: Database) -> None:
            row = await database.session().fetch_one(PID)
            assert row is not None
            asleep = asyncio.create_task(database.session().fetch_one(SLEEP))
            await self.busy(url, 1)
            connection = await asyncpg.connect(url)
            ended = (
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)' AND pid <> $1"
            )
            await connection.fetch(ended, connection.get_server_pid())
            await connection.close()
            with pytest.raises(DatabaseUnavailable):
                await asleep
            assert await database.session().fetch_one(ONE) is not None

        run(url, test)

    async def busy(self, url: str, count: int) -> None:
        """Waits until that many statements are asleep."""
        connection = await asyncpg.connect(url)
        try:
            async with asyncio.timeout(30):
                while (
                    await connection.fetchval(
                        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                        "AND wait_event = 'PgSleep'"
                    )
                ) < count:
                    await asyncio.sleep(0.01)
        finally:
            await connection.close()


class TestReadiness:
    def test_is_the_last_known_state(self, url: str) -> None:
        async def test(database: Database) -> None:
            assert await database.ready()
            async with Database("postgresql://nobody@127.0.0.1:1/nothing", Limits(wait_timeout=0.1)) as dead:
                assert not await dead.ready()
            # Known to be good: it is not asked again, which would wake a sleeping one.
            await database.close()
            assert await database.ready()
            with pytest.raises(DatabaseUnavailable):
                await database.session().fetch_one(ONE)
            assert not await database.ready()

        run(url, test)


class TestRevision:
    def test_is_none_before_the_first_migration(self, url: str) -> None:
        async def test(database: Database) -> None:
            assert await database.revision() is None

        run(url, test)

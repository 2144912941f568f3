"""A 503 says whether a change may have been carried out."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import asyncpg
import pytest

from fastapi_contract.contract import Operation
from support.databases import execute
from support.operations import TRANSACTIONS, secured, send
from support.service import Service, running, settings_for
from support.sessions import ONE, SLEEP, run, terminate_sleepers, wait_for_sleepers
from todo_api.app import create_app
from todo_api.database.database import Database
from todo_api.database.failures import COMPLETION_UNKNOWN, DatabaseUnavailableError
from todo_api.database.statement import Statement

READ = Statement(SLEEP.sql, retryable=True)
ADD = Statement("INSERT INTO note VALUES ('a')")
# Rejected by the server for a transient reason, which it names.
REJECTED = Statement("DO $$ BEGIN RAISE SQLSTATE '40001'; END $$")
UNKNOWN = Statement(f"DO $$ BEGIN RAISE SQLSTATE '{COMPLETION_UNKNOWN}'; END $$")

Run = Callable[[Database], Coroutine[Any, Any, object]]


async def _transaction(database: Database, *statements: Statement) -> None:
    async with database.session().transaction() as session:
        for statement in statements:
            await session.fetch_one(statement)


async def _savepoint(database: Database) -> None:
    async with database.session().transaction() as session, session.transaction() as inner:
        await inner.fetch_one(SLEEP)


def one(statement: Statement) -> Run:
    return lambda database: database.session().fetch_one(statement)


@pytest.fixture
def slow_commit(url: str) -> None:
    """A transaction that inserts a note sleeps when it is committed."""
    execute(
        url,
        "CREATE FUNCTION sleep() RETURNS trigger LANGUAGE plpgsql "
        "AS $$ BEGIN PERFORM pg_sleep(60); RETURN NULL; END $$; "
        "CREATE CONSTRAINT TRIGGER sleep AFTER INSERT ON note DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION sleep()",
    )


@pytest.fixture(autouse=True)
def _without_functions(url: str) -> Iterator[None]:
    yield
    execute(url, "DROP FUNCTION IF EXISTS sleep CASCADE")


@pytest.mark.parametrize(
    ("send", "uncertain"),
    [
        (one(SLEEP), True),
        (lambda database: _transaction(database, SLEEP), False),
        (_savepoint, False),
        (lambda database: _transaction(database, ADD), True),
    ],
    ids=["write", "transaction before its end", "savepoint", "commit"],
)
@pytest.mark.usefixtures("slow_commit")
class TestWithoutAnswer:
    def test_change_whose_connection_is_lost_is_uncertain(self, url: str, send: Run, uncertain: bool) -> None:
        async def test(database: Database) -> None:
            sent = asyncio.create_task(send(database))
            await wait_for_sleepers(url, 1)
            await terminate_sleepers(url)
            with pytest.raises(DatabaseUnavailableError) as failed:
                await sent
            assert failed.value.may_have_changed is uncertain

        run(url, test)

    def test_change_that_times_out_is_uncertain(self, url: str, send: Run, uncertain: bool) -> None:
        async def test(database: Database) -> None:
            with pytest.raises(DatabaseUnavailableError, match="timed out") as failed:
                await send(database)
            assert failed.value.may_have_changed is uncertain

        run(url, test, statement_timeout=0.5)


@pytest.mark.parametrize(
    ("send", "uncertain"),
    [(one(READ), False), (one(UNKNOWN), True), (one(REJECTED), False)],
    ids=["read", "rejected, completion unknown", "rejected"],
)
def test_error_without_a_change_is_certain(url: str, send: Run, uncertain: bool) -> None:
    async def test(database: Database) -> None:
        with pytest.raises(DatabaseUnavailableError) as failed:
            await send(database)
        assert failed.value.may_have_changed is uncertain

    run(url, test, statement_timeout=0.5, wait_timeout=0.5)


def test_write_that_was_not_sent_is_certain(url: str) -> None:
    async def test(database: Database) -> None:
        asleep = asyncio.create_task(database.session().fetch_one(SLEEP))
        await wait_for_sleepers(url, 1)
        with pytest.raises(DatabaseUnavailableError) as failed:
            await database.session().fetch_one(ADD)
        assert not failed.value.may_have_changed
        asleep.cancel()
        await asyncio.wait([asleep])
        assert await database.session().fetch_one(ONE) is not None

    run(url, test, size=1, overflow=0, wait_timeout=0.1)


@pytest.fixture(scope="module")
def impatient(database_url: str) -> Iterator[Service]:
    with running(create_app(settings_for(database_url, database_statement_timeout=0.3))) as service:
        yield service


@secured
def test_503_of_a_write_says_that_it_may_have_been_carried_out(
    impatient: Service, database_url: str, user: str, operation: Operation
) -> None:
    async def send_while_the_table_is_locked() -> str:
        connection = await asyncpg.connect(database_url)
        try:
            async with connection.transaction():
                await connection.execute("LOCK TABLE task, task_label_count")
                answer = await asyncio.to_thread(send, impatient.client(user), operation, user)
        finally:
            await connection.close()
        assert answer.status_code == 503
        return str(answer.json()["detail"])

    detail = asyncio.run(send_while_the_table_is_locked())
    # A transaction without its COMMIT is certain: it was rolled back.
    is_write = operation.method.upper() != "GET" and operation.id not in TRANSACTIONS
    assert ("may have been carried out" in detail) is is_write

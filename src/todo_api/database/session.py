"""The database, as handlers see it: statements, each sent without BEGIN and COMMIT where it stands alone.

Against SQLAlchemy's engine this saves two thirds of the time of a small statement and one or two round trips, and it
leaves one family of exceptions.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol

import asyncpg
import structlog

from todo_api.database.failures import (
    StatementFailedError,
    StatementLostError,
)
from todo_api.database.pool import Lease
from todo_api.database.statement import Statement

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class Connections(Protocol):
    """Where a session has its connections from, and what it reports about them: a Database."""

    wait_timeout: float
    slow_statement: float

    def take(self) -> Lease | None:
        """A connection that is idle, if there is one. It must go back by `release`."""
        ...

    async def acquire(self, deadline: float) -> Lease:
        """A connection, which must go back by `release`. Raises DatabaseUnavailableError."""

    def release(self, lease: Lease, *, reusable: bool) -> None: ...

    def answered(self, now: float) -> None:
        """The database has carried out a statement; `now` is of time.monotonic()."""

    def explain(self, error: Exception, lease: Lease) -> StatementFailedError | None:
        """What `error` means if it passes by itself. Raises DatabaseUnavailableError if time ran out."""


class Work:
    """What a session has asked of the database, for log lines."""

    # Of the class until one is changed: no call of a constructor.
    operation: str | None = None
    statements = 0
    repeated = 0
    """How often one of the statements was sent again."""
    seconds = 0.0
    """The time that they took, including the wait for a connection."""


def _spend(work: Work, start: float) -> float:
    """Counts the time since `start`. Returns the time, as time.monotonic() has it."""
    now = time.monotonic()
    work.seconds += now - start
    return now


class Session:
    """Runs statements. Each takes a connection for as long as it runs, or all of them share the connection of a
    `transaction()`. Raises DatabaseUnavailableError, or asyncpg's PostgresError for what the database refused."""

    __slots__ = ("_database", "_lease", "work")

    def __init__(self, database: Connections, work: Work, lease: Lease | None = None) -> None:
        self._database = database
        self.work = work
        self._lease = lease

    # Without `async`: a coroutine less for each statement.
    def fetch_one(self, statement: Statement, /, **parameters: Any) -> Coroutine[Any, Any, asyncpg.Record | None]:
        """The first row."""
        return self._run(asyncpg.Connection.fetchrow, statement, parameters)

    def fetch_all(self, statement: Statement, /, **parameters: Any) -> Coroutine[Any, Any, list[asyncpg.Record]]:
        return self._run(asyncpg.Connection.fetch, statement, parameters)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["Session"]:
        """A session whose statements are carried out together or not at all. Within another, a savepoint. Raises
        DatabaseUnavailableError for a serialization failure or a deadlock, too: only the caller can repeat all."""
        lease = self._lease or await self._acquire(time.monotonic() + self._database.wait_timeout)
        transaction = lease.connection.transaction()
        reusable = False
        try:
            await self._watch(lease, "BEGIN", transaction.start)
            try:
                yield Session(self._database, self.work, lease)
            except BaseException:
                # Where this fails nothing is left to undo; what went wrong before counts.
                with suppress(Exception):
                    await transaction.rollback()
                    reusable = True
                raise
            await self._watch(lease, "COMMIT", transaction.commit)
            reusable = True
        finally:
            if self._lease is None:
                self._database.release(lease, reusable=reusable)

    async def _acquire(self, deadline: float) -> Lease:
        start = time.monotonic()
        try:
            return await self._database.acquire(deadline)
        finally:
            _spend(self.work, start)

    async def _run(
        self, fetch: Callable[..., Awaitable[Any]], statement: Statement, parameters: Mapping[str, Any]
    ) -> Any:
        arguments = statement.arguments(parameters)
        database, work, sql = self._database, self.work, statement.sql
        work.statements += 1
        if self._lease is not None:
            return await self._watch(self._lease, sql, fetch, self._lease.connection, sql, *arguments)
        start = time.monotonic()
        deadline = start + database.wait_timeout
        while True:
            lease = database.take()
            if lease is None:
                lease = await self._acquire(deadline)
                start = time.monotonic()
            reusable = succeeded = False
            try:
                result = await fetch(lease.connection, sql, *arguments)
                reusable = succeeded = True
            except Exception as error:
                # A refusal is an answer too.
                reusable = isinstance(error, asyncpg.PostgresError)
                if not self._may_repeat(error, lease, statement, late=time.monotonic() >= deadline):
                    raise
            finally:
                now = time.monotonic()
                seconds = now - start
                work.seconds += seconds
                database.release(lease, reusable=reusable)
                if seconds >= database.slow_statement:
                    self._log_slow(sql, seconds)
            if succeeded:
                database.answered(now)
                return result
            # Many have lost theirs at the same time.
            await asyncio.sleep(random.uniform(0.05, 0.2))  # noqa: S311
            start = _spend(work, now)
            work.repeated += 1

    def _may_repeat(self, error: Exception, lease: Lease, statement: Statement, *, late: bool) -> bool:
        """Whether to send a statement again. Raises DatabaseUnavailableError if that is what `error` means."""
        if isinstance(error, asyncpg.InvalidCachedStatementError):
            # A migration has changed a table. It did not run, and asyncpg prepares it anew; where the
            # next migration comes in between, asyncpg gives up.
            return not late
        failed = self._database.explain(error, lease)
        if failed is None:
            return False
        if late or not (failed.nothing_done or (statement.repeatable and isinstance(failed, StatementLostError))):
            raise failed from error
        return True

    async def _watch(self, lease: Lease, sql: str, call: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
        start = time.monotonic()
        try:
            result = await call(*arguments)
        except Exception as error:
            if (failed := self._database.explain(error, lease)) is not None:
                raise failed from error
            raise
        finally:
            now = _spend(self.work, start)
            if now - start >= self._database.slow_statement:
                self._log_slow(sql, now - start)
        self._database.answered(now)
        return result

    def _log_slow(self, sql: str, seconds: float) -> None:
        """Values are parameters of a statement: its text holds none."""
        log.warning(
            "slow statement",
            operation=self.work.operation,
            statement=" ".join(sql.split()),
            duration_ms=round(seconds * 1000, 2),
        )

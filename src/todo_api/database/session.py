"""Sessions run the statements of handlers. A single statement is sent without BEGIN and COMMIT.

Compared with SQLAlchemy's engine this saves two thirds of the time of a small statement and one or two round trips, and
callers handle one hierarchy of exceptions.
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
    """What a session needs of a Database."""

    wait_timeout: float
    slow_statement: float

    def take(self) -> Lease | None:
        """Returns an idle connection, or None. It must be returned by `release`."""
        ...

    async def acquire(self, deadline: float) -> Lease:
        """Returns a connection, which must be returned by `release`. Raises DatabaseUnavailableError at `deadline`, a
        time of time.monotonic()."""

    def release(self, lease: Lease, *, reusable: bool) -> None: ...

    def mark_reachable(self, now: float) -> None:
        """Called after a statement has run; `now` is a time of time.monotonic()."""

    def classify_error(self, error: Exception, lease: Lease) -> StatementFailedError | None:
        """Returns the StatementFailedError for a transient `error`, otherwise None."""


class SessionStats:
    """Counts of a session's statements, for log lines."""

    # Defaults are class attributes, which saves the call of a constructor.
    operation: str | None = None
    statements = 0
    repeated = 0
    """Number of retries of all statements."""
    seconds = 0.0
    """Time of all statements, including the wait for connections."""


def _add_time(stats: SessionStats, start: float) -> float:
    """Adds the time since `start` to `stats`. Returns time.monotonic()."""
    now = time.monotonic()
    stats.seconds += now - start
    return now


class Session:
    """Runs statements. Each takes a connection only while it runs; those of a `transaction()` share one.

    Raises DatabaseUnavailableError, or asyncpg's PostgresError if the database rejects a statement permanently.
    `may_have_changed` of the error is about the last statement or transaction, because a handler has only one that
    writes.
    """

    __slots__ = ("_database", "_lease", "stats")

    def __init__(self, database: Connections, stats: SessionStats, lease: Lease | None = None) -> None:
        self._database = database
        self.stats = stats
        self._lease = lease

    # Without `async`, which saves a coroutine for each statement.
    def fetch_one(self, statement: Statement, /, **parameters: Any) -> Coroutine[Any, Any, asyncpg.Record | None]:
        """Returns the first row, or None if there is none."""
        return self._run(asyncpg.Connection.fetchrow, statement, parameters)

    def fetch_all(self, statement: Statement, /, **parameters: Any) -> Coroutine[Any, Any, list[asyncpg.Record]]:
        return self._run(asyncpg.Connection.fetch, statement, parameters)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["Session"]:
        """Yields a session whose statements are committed together or rolled back; inside a transaction, a savepoint.

        Also raises DatabaseUnavailableError for a serialization failure or a deadlock, because only the caller can
        retry all statements.
        """
        lease = self._lease or await self._acquire(time.monotonic() + self._database.wait_timeout)
        transaction = lease.connection.transaction()
        reusable = False
        try:
            await self._guarded(lease, "BEGIN", transaction.start)
            try:
                yield Session(self._database, self.stats, lease)
            except BaseException:
                # If the rollback fails, the server has nothing left to undo; the first error is the one to report.
                with suppress(Exception):
                    await transaction.rollback()
                    reusable = True
                raise
            try:
                await self._guarded(lease, "COMMIT", transaction.commit)
            except StatementFailedError as failed:
                # The server rolls back a transaction whose connection is lost before COMMIT arrives, and one in which a
                # savepoint was lost.
                failed.may_have_changed = failed.may_have_run and self._lease is None
                raise
            reusable = True
        finally:
            if self._lease is None:
                self._database.release(lease, reusable=reusable)

    async def _acquire(self, deadline: float) -> Lease:
        start = time.monotonic()
        try:
            return await self._database.acquire(deadline)
        finally:
            _add_time(self.stats, start)

    async def _run(
        self, fetch: Callable[..., Awaitable[Any]], statement: Statement, parameters: Mapping[str, Any]
    ) -> Any:
        arguments = statement.arguments(parameters)
        database, stats, sql = self._database, self.stats, statement.sql
        stats.statements += 1
        if self._lease is not None:
            return await self._guarded(self._lease, sql, fetch, self._lease.connection, sql, *arguments)
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
                # An error from the server is the whole response, so the connection can be reused.
                reusable = isinstance(error, asyncpg.PostgresError)
                if not self._should_retry(error, lease, statement, past_deadline=time.monotonic() >= deadline):
                    raise
            finally:
                now = time.monotonic()
                seconds = now - start
                stats.seconds += seconds
                database.release(lease, reusable=reusable)
                if seconds >= database.slow_statement:
                    self._log_slow(sql, seconds)
            if succeeded:
                database.mark_reachable(now)
                return result
            # Jitter, because many requests may have lost their connections at the same time.
            await asyncio.sleep(random.uniform(0.05, 0.2))  # noqa: S311
            start = _add_time(stats, now)
            stats.repeated += 1

    def _should_retry(self, error: Exception, lease: Lease, statement: Statement, *, past_deadline: bool) -> bool:
        """Returns whether to retry the statement; False for a permanent `error`. Raises DatabaseUnavailableError for a
        transient one that must not be retried."""
        if isinstance(error, asyncpg.InvalidCachedStatementError):
            # A migration has changed a table, and the statement did not run. asyncpg prepares it again once, and
            # raises this if another migration came in between.
            return not past_deadline
        failed = self._database.classify_error(error, lease)
        if failed is None:
            return False
        if past_deadline or not (
            failed.safe_to_retry or (statement.retryable and isinstance(failed, StatementLostError))
        ):
            failed.may_have_changed = failed.may_have_run and not statement.retryable
            raise failed from error
        return True

    async def _guarded(self, lease: Lease, sql: str, call: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
        start = time.monotonic()
        try:
            result = await call(*arguments)
        except Exception as error:
            if (failed := self._database.classify_error(error, lease)) is not None:
                raise failed from error
            raise
        finally:
            now = _add_time(self.stats, start)
            if now - start >= self._database.slow_statement:
                self._log_slow(sql, now - start)
        self._database.mark_reachable(now)
        return result

    def _log_slow(self, sql: str, seconds: float) -> None:
        """Logs the SQL text, which contains no values: all values are parameters."""
        log.warning(
            "slow statement",
            operation=self.stats.operation,
            statement=" ".join(sql.split()),
            duration_ms=round(seconds * 1000, 2),
        )

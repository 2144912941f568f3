"""The database: its pool, and its last known state (reachable, writable)."""

import asyncio
import math
import random
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, Self

import asyncpg
import structlog

from todo_api.database.codecs import set_codecs
from todo_api.database.connector import Connector
from todo_api.database.failures import (
    PREPARED_ELSEWHERE,
    READ_ONLY,
    DatabaseUnavailableError,
    StatementFailedError,
    StatementLostError,
    StatementRejectedError,
    StatementTimedOutError,
    connection_failure,
    is_transient_rejection,
    is_unavailable,
    without_values,
)
from todo_api.database.limits import Limits
from todo_api.database.pool import Lease, Pool, PoolStats
from todo_api.database.session import Session, SessionStats
from todo_api.database.statement import Statement
from todo_api.database.url import DatabaseUrl

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

STATE_LIFETIME = 10
"""Seconds after which the last known state is stale."""
PING_TIMEOUT = 5
"""Timeout in seconds of a check whether the database responds."""
RECOVERY_INTERVAL = 0.9
"""Maximum seconds between two checks while the database is unreachable, so that it is found within a second."""
MAX_RETRY_AFTER = 60
"""Maximum seconds that clients are asked to wait during an outage."""
READ_ONLY_INTERVAL = 5
"""Maximum seconds between two checks whether a read-only database can be written again. Each check expires all
connections, because a changed setting of the role or of the database applies to new connections only."""

# asyncpg numbers the names of prepared statements from 1 in every process. Behind a pooler, processes share connections
# of the server, so one would run the statement that another has prepared under the same name.
asyncpg.connection._uid = secrets.randbits(48)  # noqa: SLF001

_PING = Statement("SELECT current_setting('transaction_read_only') = 'on' AS read_only", retryable=True)
_REVISION = Statement("SELECT version_num FROM alembic_version", retryable=True)


class Database:
    """The pool and the state of one database. Created once, and entered in the running event loop."""

    def __init__(self, url: str, limits: Limits | None = None, application_name: str = "todo-api") -> None:
        """`application_name` and `connect_timeout` in the URL take precedence over the arguments.

        Raises ValueError if `url` is not a valid URL of PostgreSQL.
        """
        self._limits = limits or Limits()
        self.wait_timeout = self._limits.wait_timeout
        self.slow_statement = self._limits.slow_statement
        target = DatabaseUrl.parse(url)
        self._address = target.address
        self._arguments: dict[str, Any] = {
            "timeout": self._limits.connect_timeout,
            "command_timeout": self._limits.statement_timeout,
            "server_settings": {"application_name": application_name},
        } | target.arguments()
        self._connector = Connector(self._connect, target.address)
        self._pool = Pool(self._connector, self._limits)
        # Bound methods of the pool, which save a call for each statement.
        self.take = self._pool.take
        self.release = self._pool.release
        self._reachable: bool | None = None
        self._unreachable_since = 0.0
        self._checked_at = 0.0
        self._ping_lock = asyncio.Lock()
        self._recovery: asyncio.Task[None] | None = None
        self._read_only = False
        self._write_recovery: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Opens no connection, so that the start does not wait for a suspended database."""
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Stops the checks and closes the pool, as Pool.close."""
        for task in self._recovery, self._write_recovery:
            if task is not None:
                task.cancel()
        await self._pool.close()

    @property
    def stats(self) -> PoolStats:
        return self._pool.stats

    def session(self) -> Session:
        """Returns a new session. It holds no connection, and is not closed."""
        return Session(self, SessionStats())

    async def ready(self, *, check: bool = False) -> bool:
        """Returns whether the database is reachable and writable. Never raises.

        Returns the last known state, so that frequent probes do not keep a suspended database awake. Sends a statement
        if no state is known, or if `check` is true and the state is older than STATE_LIFETIME.
        """
        if self._reachable is None or (check and self._is_stale()):
            async with self._ping_lock:
                # The first of the waiting calls has sent the statement for all.
                if self._reachable is None or self._is_stale():
                    await self._ping(self._fetch_ping, PING_TIMEOUT)
        return self._reachable is True and not self._read_only

    @property
    def retry_after(self) -> int:
        """Seconds after which a rejected request should be sent again."""
        return retry_delay(time.monotonic() - self._unreachable_since) if self._reachable is False else 1

    async def revision(self) -> str | None:
        """Returns the schema's revision, or None if no migration has run."""
        try:
            row = await self.session().fetch_one(_REVISION)
        except asyncpg.UndefinedTableError:
            return None
        return None if row is None else str(row["version_num"])

    async def acquire(self, deadline: float) -> Lease:
        """As Pool.acquire; also updates the state.

        Raises DatabaseUnavailableError at once during an outage: if waiting as long as a request may wait has not
        helped, and no statement has run since. A suspended database that wakes slowly is not an outage.
        """
        start = time.monotonic()
        try:
            if self._reachable is False and (outage := start - self._unreachable_since) >= self.wait_timeout:
                raise self._connector.timeout_error(round(outage, 1))
            return await self._pool.acquire(deadline)
        except DatabaseUnavailableError as error:
            # If connections are open, the pool is exhausted, but the database is reachable.
            if not self.stats.open:
                self._mark_unreachable(error, since=start)
            error.retry_after = self.retry_after
            raise

    def mark_reachable(self, now: float) -> None:
        """Stores that the database has run a statement; `now` is a time of time.monotonic()."""
        self._reachable = True
        self._checked_at = now

    def classify_error(self, error: Exception, lease: Lease) -> StatementFailedError | None:
        """Returns the StatementFailedError for a transient `error`, and updates the state: the connection was lost, or
        PostgreSQL rejected the statement, or it timed out. Returns None for any other error.

        Checks the connection too, because asyncpg and the event loop raise many exceptions for a closed one.
        """
        if isinstance(error, TimeoutError | asyncpg.QueryCanceledError):
            return StatementTimedOutError()
        if is_transient_rejection(error):
            if error.sqlstate == READ_ONLY:
                self._mark_read_only()
            elif error.sqlstate in PREPARED_ELSEWHERE:
                self._disable_statement_cache()
            return StatementRejectedError(error)
        if is_unavailable(error) or lease.connection.is_closed():
            lost = StatementLostError(error)
            self._mark_unreachable(lost)
            return lost
        return None

    async def _connect(self) -> asyncpg.Connection:
        connection = await asyncpg.connect(**self._arguments)
        # While asyncpg queries the type of an array, it would disable the session's JIT compiler, and through a pooler
        # enable another session's.
        connection._server_caps = connection._server_caps._replace(jit=False)  # noqa: SLF001
        try:
            if not connection.is_closed():
                await set_codecs(connection)
        except BaseException as error:
            if getattr(error, "sqlstate", None) in PREPARED_ELSEWHERE:
                self._disable_statement_cache()
            connection.terminate()
            raise
        return connection

    def _mark_unreachable(self, error: DatabaseUnavailableError, since: float = math.inf) -> None:
        """`since` is a time of time.monotonic() from which on no connection could be opened, if it is known."""
        now = time.monotonic()
        if self._reachable is not False:
            log.warning("database lost", error=str(error))
            self._unreachable_since = now
        self._reachable = False
        self._unreachable_since = min(self._unreachable_since, since)
        self._checked_at = now
        if not self._pool.closed and (self._recovery is None or self._recovery.done()):
            self._recovery = asyncio.get_running_loop().create_task(self._recover())

    async def _recover(self) -> None:
        """Probes until the database responds, because no request does it during an outage.

        A probe begins at each interval although earlier ones are under way: a connection that was begun during an
        outage may never be answered.
        """
        answered = asyncio.Event()
        probes: set[asyncio.Task[None]] = set()

        async def probe() -> None:
            await self._ping(self._fetch_ping_outside_the_pool, max(PING_TIMEOUT, self.wait_timeout))
            if self._reachable:
                answered.set()

        try:
            while not self._reachable:
                answered.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(random.uniform(0.5, 1) * RECOVERY_INTERVAL):  # noqa: S311
                        await answered.wait()
                if not self._reachable:
                    probes.add(task := asyncio.create_task(probe()))
                    task.add_done_callback(probes.discard)
        finally:
            for task in probes:
                task.cancel()
        # The pool's attempts were begun during the outage, too.
        self._pool.cancel_opening()
        log.warning("database back", seconds=round(time.monotonic() - self._unreachable_since, 1))

    def _mark_read_only(self) -> None:
        if not self._read_only:
            log.warning("database read-only", hint="Writes get 503 until the database can be written again.")
        self._read_only = True
        if not self._pool.closed and (self._write_recovery is None or self._write_recovery.done()):
            self._write_recovery = asyncio.get_running_loop().create_task(self._wait_until_writable())

    async def _wait_until_writable(self) -> None:
        while self._read_only:
            await asyncio.sleep(random.uniform(0.5, 1) * READ_ONLY_INTERVAL)  # noqa: S311
            self._pool.expire_connections()
            await self._ping(self._fetch_ping, PING_TIMEOUT)
        log.warning("database writable")

    def _disable_statement_cache(self) -> None:
        """Expires all connections; new ones have no statement cache. Called when the URL turns out to name a pooler."""
        if self._arguments.get("statement_cache_size") != 0:
            self._arguments["statement_cache_size"] = 0
            self._pool.expire_connections()
            log.warning(
                "pooler without pgbouncer=true",
                hint="Add pgbouncer=true to the query of DATABASE_URL, and set DATABASE_URL_UNPOOLED for migrations. "
                "Until then the service runs without its statement cache.",
            )

    def _is_stale(self) -> bool:
        return time.monotonic() - self._checked_at > STATE_LIFETIME

    def _fetch_ping(self) -> Coroutine[Any, Any, asyncpg.Record | None]:
        return self.session().fetch_one(_PING)

    async def _fetch_ping_outside_the_pool(self) -> asyncpg.Record | None:
        """Because attempts that are never answered may use all of the pool's connections."""
        connection = await self._connector.attempt()
        try:
            return await connection.fetchrow(_PING.sql)
        except (OSError, asyncpg.InternalClientError) as error:
            raise DatabaseUnavailableError(connection_failure(self._address, error)) from error
        finally:
            connection.terminate()

    async def _ping(self, fetch: Callable[[], Awaitable[asyncpg.Record | None]], seconds: float) -> None:
        """Updates the state by the result of `fetch`, which has `seconds` for it."""
        try:
            async with asyncio.timeout(seconds):
                row = await fetch()
        except TimeoutError as error:
            self._mark_unreachable(DatabaseUnavailableError(connection_failure(self._address, error, seconds)))
        except DatabaseUnavailableError as error:
            self._mark_unreachable(error)
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            self._mark_unreachable(DatabaseUnavailableError(without_values(error)))
        else:
            self.mark_reachable(time.monotonic())
            if row is not None and row["read_only"]:
                self._mark_read_only()
            else:
                self._read_only = False


def retry_delay(outage: float) -> int:
    """Returns the seconds after which a request should be sent again: a quarter of `outage`, the seconds for which the
    database has not responded, because the longer an outage has lasted, the longer it is likely to last."""
    return max(1, min(int(outage / 4), MAX_RETRY_AFTER))

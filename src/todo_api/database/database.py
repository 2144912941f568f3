"""The database: its pool, and whether there is a database behind it."""

import asyncio
import random
import secrets
import time
from datetime import datetime
from typing import Any, Self

import asyncpg
import structlog

from todo_api.database.connector import Connector
from todo_api.database.failures import (
    PREPARED_ELSEWHERE,
    READ_ONLY,
    DatabaseUnavailableError,
    StatementFailedError,
    StatementLostError,
    StatementRejectedError,
    connection_failure,
    is_rejection,
    is_unavailable,
    without_values,
)
from todo_api.database.limits import Limits
from todo_api.database.pool import Lease, Pool, PoolFigures
from todo_api.database.session import Session, Work
from todo_api.database.statement import Statement
from todo_api.database.url import DatabaseUrl

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

STATE_LIFETIME = 10
"""Seconds for which what is known of the database is not old."""
ASK_TIMEOUT = 5
"""Seconds that the question whether the database answers may take."""
RECOVERY_INTERVAL = 1
"""Seconds between two such questions while it does not."""
READ_ONLY_INTERVAL = 5
"""Seconds between two questions whether a database that is read-only can be written again. Each one renews all
connections: a setting of the role or of the database holds for new ones."""

# asyncpg numbers the names of prepared statements from 1 in every process. Behind a pooler two processes share the
# server's connections, and one would run what the other has prepared under the same name.
asyncpg.connection._uid = secrets.randbits(48)  # noqa: SLF001

_PING = Statement("SELECT current_setting('transaction_read_only') = 'on' AS read_only", repeatable=True)
_REVISION = Statement("SELECT version_num FROM alembic_version", repeatable=True)


class Database:
    """The pool, and whether there is a database behind it. Made once; entered in the running event loop."""

    def __init__(self, url: str, limits: Limits | None = None, application_name: str = "todo-api") -> None:
        """Raises ValueError for what is not a URL of PostgreSQL. A name and a time to connect that stand in the URL
        come first."""
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
        self._pool = Pool(Connector(self._connect, target.address), self._limits)
        # The pool's own, without a call in between for each statement.
        self.take = self._pool.take
        self.release = self._pool.release
        self._answers: bool | None = None
        self._known_at = 0.0
        self._asking = asyncio.Lock()
        self._recovery: asyncio.Task[None] | None = None
        self._read_only = False
        self._until_writable: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Waits for nothing, so that a start does not wait for a sleeping database."""
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Waits for running statements, for some seconds."""
        for task in self._recovery, self._until_writable:
            if task is not None:
                task.cancel()
        await self._pool.close()

    @property
    def figures(self) -> PoolFigures:
        return self._pool.figures

    def session(self) -> Session:
        """Costs nothing: it holds no connection, and needs no closing."""
        return Session(self, Work())

    async def ready(self, *, check: bool = False) -> bool:
        """Whether the database answers and can be written. The last known state, so that whoever asks often does not
        keep a sleeping database awake. It is asked where nothing is known yet, and where `check` wants it and the state
        is old. Never raises."""
        if self._answers is None or (check and self._is_old()):
            async with self._asking:
                # Of those that wait here the first one asks for all.
                if self._answers is None or self._is_old():
                    await self._ask()
        return self._answers is True and not self._read_only

    async def revision(self) -> str | None:
        """The migration that the schema is at; None before the first."""
        try:
            row = await self.session().fetch_one(_REVISION)
        except asyncpg.UndefinedTableError:
            return None
        return None if row is None else str(row["version_num"])

    async def acquire(self, deadline: float) -> Lease:
        """A connection, which must go back by `release`."""
        try:
            return await self._pool.acquire(deadline)
        except DatabaseUnavailableError as error:
            # Where all are in use there is a database.
            if not self.figures.open:
                self._lost(error)
            raise

    def answered(self, now: float) -> None:
        """Remembers that the database has carried out a statement; `now` is of time.monotonic()."""
        self._answers = True
        self._known_at = now

    def explain(self, error: Exception, lease: Lease) -> StatementFailedError | None:
        """What `error` means if it passes by itself, and remembers it: the connection has gone, or PostgreSQL rejects
        the statement. asyncpg and the event loop have many exceptions for the use of a connection that is closed.
        Raises DatabaseUnavailableError if time ran out."""
        if isinstance(error, TimeoutError | asyncpg.QueryCanceledError):
            raise DatabaseUnavailableError("the statement took too long") from error
        if is_rejection(error):
            if error.sqlstate == READ_ONLY:
                self._found_read_only()
            elif error.sqlstate in PREPARED_ELSEWHERE:
                self._found_pooler()
            return StatementRejectedError(error)
        if is_unavailable(error) or lease.connection.is_closed():
            lost = StatementLostError(error)
            self._lost(lost)
            return lost
        return None

    async def _connect(self) -> asyncpg.Connection:
        connection = await asyncpg.connect(**self._arguments)
        try:
            if not connection.is_closed() and _writes_utc(connection):
                await _read_times_as_text(connection)
        except BaseException as error:
            if getattr(error, "sqlstate", None) in PREPARED_ELSEWHERE:
                self._found_pooler()
            connection.terminate()
            raise
        return connection

    def _lost(self, error: DatabaseUnavailableError) -> None:
        if self._answers is not False:
            log.warning("database lost", error=str(error))
        self._answers = False
        self._known_at = time.monotonic()
        if not self._pool.closed and (self._recovery is None or self._recovery.done()):
            self._recovery = asyncio.get_running_loop().create_task(self._recover())

    async def _recover(self) -> None:
        """Asks until there is an answer, so that the service is ready again before somebody needs it."""
        while not self._answers:
            await asyncio.sleep(random.uniform(0.5, 1) * RECOVERY_INTERVAL)  # noqa: S311
            await self._ask()
        log.warning("database back")

    def _found_read_only(self) -> None:
        if not self._read_only:
            log.warning("database read-only", hint="writes are answered 503 until it can be written again")
        self._read_only = True
        if not self._pool.closed and (self._until_writable is None or self._until_writable.done()):
            self._until_writable = asyncio.get_running_loop().create_task(self._wait_until_writable())

    async def _wait_until_writable(self) -> None:
        while self._read_only:
            await asyncio.sleep(random.uniform(0.5, 1) * READ_ONLY_INTERVAL)  # noqa: S311
            self._pool.renew()
            await self._ask()
        log.warning("database writable")

    def _found_pooler(self) -> None:
        """Goes on without the statement cache."""
        if self._arguments.get("statement_cache_size") != 0:
            self._arguments["statement_cache_size"] = 0
            self._pool.renew()
            log.warning(
                "pooler without pgbouncer=true",
                hint="Add pgbouncer=true to the query of DATABASE_URL, and set DATABASE_URL_UNPOOLED for migrations. "
                "The service goes on without its cache of statements.",
            )

    def _is_old(self) -> bool:
        return time.monotonic() - self._known_at > STATE_LIFETIME

    async def _ask(self) -> None:
        try:
            async with asyncio.timeout(ASK_TIMEOUT):
                row = await self.session().fetch_one(_PING)
        except TimeoutError as error:
            self._lost(DatabaseUnavailableError(connection_failure(self._address, error, ASK_TIMEOUT)))
        except DatabaseUnavailableError as error:
            self._lost(error)
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            self._lost(DatabaseUnavailableError(without_values(error)))
        else:
            if row is not None and row["read_only"]:
                self._found_read_only()
            else:
                self._read_only = False


def _writes_utc(connection: asyncpg.Connection) -> bool:
    """Whether the server writes timestamps as `datetime.fromisoformat` reads them: in the time of UTC, and ISO."""
    server = connection.get_settings()
    return server.TimeZone in {"UTC", "GMT", "Etc/UTC"} and server.DateStyle.startswith("ISO")


async def _read_times_as_text(connection: asyncpg.Connection) -> None:
    """asyncpg makes them out of the binary form in Python's arithmetic: 1.0 µs each, and not 0.2. Costs a statement for
    each new connection, which asks for the type."""
    await connection.set_type_codec(
        "timestamptz",
        schema="pg_catalog",
        encoder=datetime.isoformat,
        decoder=datetime.fromisoformat,
        format="text",
    )

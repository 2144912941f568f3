"""Statements of SQLAlchemy Core, compiled once, run on asyncpg's own pool.

Against SQLAlchemy's engine this saves two thirds of the time of a small statement and one or two round trips, and it
leaves one family of exceptions. A statement that stands alone is sent without BEGIN and COMMIT.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import asyncpg
from sqlalchemy import ClauseElement, literal_column, select
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.sql.compiler import SQLCompiler

from todo_api.database.url import asyncpg_dsn

Connection: TypeAlias = asyncpg.pool.PoolConnectionProxy

logger = logging.getLogger(__name__)

MAX_CONNECTIONS = 15
ACQUIRE_TIMEOUT = 5
"""Seconds in which a statement must have a connection: a free one, or a new one that is connected by then."""
COMMAND_TIMEOUT = 30
"""Seconds in which a statement must be answered."""
IDLE_LIFETIME = 120
"""Seconds after which an unused connection is closed: longer ones die unnoticed, at Neon and at firewalls."""


class DatabaseUnavailable(Exception):
    """No database answers, or none in time. Whether the statement was carried out is not known."""


_UNAVAILABLE = (
    OSError,  # Refused, reset, no such host, TLS; TimeoutError too.
    asyncpg.PostgresConnectionError,  # Class 08.
    asyncpg.OperatorInterventionError,  # Class 57: shuts down, starts, ran out of time.
    asyncpg.TooManyConnectionsError,
)
# Everything that Neon's proxy says is an XX000, a wrong password too. These pass by themselves.
_UNAVAILABLE_AT_NEON = (
    "couldn't connect to compute node",
    "control plane request failed",
    "too many connections",
    "failed to acquire permit",
)

_DIALECT = PGDialect_asyncpg()  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL as asyncpg takes it. `names` are the parameters in the order of `$1`, `$2`, …"""

    sql: str
    names: tuple[str, ...] = ()

    def arguments(self, parameters: Mapping[str, Any]) -> list[Any]:
        """Raises KeyError where a parameter is missing."""
        return [parameters[name] for name in self.names]


def prepare(statement: ClauseElement) -> Statement:
    """Compiles a statement whose every value is a `bindparam`. Values and rows pass between asyncpg and the caller as
    they are: column types that convert in Python (`JSON`, `Enum`, a `TypeDecorator`) do not.

    Raises ValueError for a value that is written into the statement: each run would send it again.
    """
    compiled = statement.compile(dialect=_DIALECT)
    assert isinstance(compiled, SQLCompiler)
    names = tuple(compiled.positiontup or ())
    for name in names:
        if not compiled.binds[name].required:
            raise ValueError(f"not a bindparam: {name} in {compiled}")
    return Statement(str(compiled), names)


_PING = prepare(select(literal_column("1")))
_REVISION = Statement("SELECT version_num FROM alembic_version")


class Database:
    """The pool, and whether there is a database behind it. Made once; entered in the running event loop."""

    def __init__(self, url: str) -> None:
        """Raises ValueError for what is not a URL of PostgreSQL."""
        self._dsn = asyncpg_dsn(url)
        self._pool: asyncpg.Pool | None = None
        self._answers = False

    async def connect(self) -> None:
        """Opens the pool. No connection is made yet, so that a start does not wait for a sleeping database."""
        self._pool = await asyncpg.create_pool(
            self._dsn,
            min_size=0,
            max_size=MAX_CONNECTIONS,
            max_inactive_connection_lifetime=IDLE_LIFETIME,
            command_timeout=COMMAND_TIMEOUT,
            reset=_keep,
        )

    async def close(self) -> None:
        """Waits for running statements, at most `ACQUIRE_TIMEOUT` seconds."""
        if self._pool is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(ACQUIRE_TIMEOUT):
                    await self._pool.close()

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def session(self) -> "Session":
        """Costs nothing: it holds no connection, and needs no closing."""
        return Session(self)

    async def ready(self) -> bool:
        """The last known state: the database is asked only while it is not known to answer. Never raises."""
        if not self._answers:
            try:
                await self.session().fetch_one(_PING)
            except DatabaseUnavailable:
                return False
            except Exception:
                logger.exception("The database refuses to be asked")
                return False
        return True

    async def revision(self) -> str | None:
        """The migration that the schema is at; None before the first."""
        try:
            row = await self.session().fetch_one(_REVISION)
        except asyncpg.UndefinedTableError:
            return None
        return None if row is None else str(row["version_num"])

    async def acquire(self) -> Connection:
        """A connection, which must go back by `release`."""
        if self._pool is None:
            raise RuntimeError("connect() comes first")
        try:
            # Not `acquire(timeout=…)`, which runs in a task of its own.
            async with asyncio.timeout(ACQUIRE_TIMEOUT):
                return await self._pool.acquire()
        except Exception as error:
            self.explain(error)
            raise

    async def release(self, connection: Connection) -> None:
        assert self._pool is not None
        # One that can't be given back is ended by asyncpg; what became of the statement counts.
        with suppress(Exception):
            await self._pool.release(connection, timeout=ACQUIRE_TIMEOUT)

    def explain(self, error: Exception, connection: Connection | None = None) -> None:
        """Raises DatabaseUnavailable, and remembers it, where this is what `error` means."""
        if is_unavailable(error) or self._has_gone(connection):
            self._answers = False
            raise DatabaseUnavailable(f"{type(error).__name__}: {error}") from error

    def answered(self) -> None:
        """Remembers that the database has carried out a statement."""
        self._answers = True

    def _has_gone(self, connection: Connection | None) -> bool:
        """asyncpg and the event loop have many exceptions for the use of a connection that is closed."""
        if connection is None:
            return self._pool is None or self._pool.is_closing()
        try:
            return bool(connection.is_closed())
        except asyncpg.InterfaceError:
            # The pool has taken it away from its holder.
            return True


class Session:
    """Runs statements. Each takes a connection for as long as it runs, or all of them share the connection of a
    `transaction()`. Raises DatabaseUnavailable, or asyncpg's PostgresError for what the database refused."""

    __slots__ = ("_connection", "_database")

    def __init__(self, database: Database, connection: Connection | None = None) -> None:
        self._database = database
        self._connection = connection

    async def fetch_one(self, statement: Statement, /, **parameters: Any) -> asyncpg.Record | None:
        """The first row."""
        row: asyncpg.Record | None = await self._run(Connection.fetchrow, statement, parameters)
        return row

    async def fetch_all(self, statement: Statement, /, **parameters: Any) -> list[asyncpg.Record]:
        rows: list[asyncpg.Record] = await self._run(Connection.fetch, statement, parameters)
        return rows

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["Session"]:
        """A session whose statements are carried out together or not at all. Within another, a savepoint."""
        connection = self._connection or await self._database.acquire()
        transaction = connection.transaction()
        try:
            await self._watch(connection, transaction.start)
            try:
                yield Session(self._database, connection)
            except BaseException:
                # Where this fails nothing is left to undo; what went wrong before counts.
                with suppress(Exception):
                    await transaction.rollback()
                raise
            await self._watch(connection, transaction.commit)
        finally:
            if self._connection is None:
                await self._database.release(connection)

    async def _run(
        self, fetch: Callable[..., Awaitable[Any]], statement: Statement, parameters: Mapping[str, Any]
    ) -> Any:
        arguments = statement.arguments(parameters)
        connection = self._connection or await self._database.acquire()
        try:
            return await self._watch(connection, fetch, connection, statement.sql, *arguments)
        finally:
            if self._connection is None:
                await self._database.release(connection)

    async def _watch(self, connection: Connection, call: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
        try:
            result = await call(*arguments)
        except Exception as error:
            self._database.explain(error, connection)
            raise
        self._database.answered()
        return result


async def _keep(_: asyncpg.Connection) -> None:
    """The reset of a connection that is given back. asyncpg's own asks the server to forget settings, locks and
    cursors: a round trip for nothing, since no statement here leaves any. It still rolls back what is open."""


def is_unavailable(error: Exception) -> bool:
    """Whether this is one of the ways in which the socket, PostgreSQL and Neon say that there is no database now."""
    if isinstance(error, asyncpg.InternalServerError):
        message = str(error).lower()
        return any(text in message for text in _UNAVAILABLE_AT_NEON)
    return isinstance(error, _UNAVAILABLE)

"""Runs Alembic's migrations, which are part of the package, without an alembic.ini."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, PendingRollbackError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

import todo_api.migrations
from todo_api.database.connector import Connector
from todo_api.database.failures import PermanentDatabaseError, without_values
from todo_api.database.limits import Limits
from todo_api.database.url import DatabaseUrl

# Alembic keeps the current migration context in module globals.
_alembic_lock = threading.Lock()


class MigrationRejectedError(PermanentDatabaseError):
    """PostgreSQL rejected a statement of a migration. Steps that were committed before are skipped by the next run."""

    def __init__(self, error: DBAPIError) -> None:
        cause = error.orig.__cause__ if error.orig is not None else None
        reason = without_values(error)
        # Errors of classes 22 and 23 quote values of rows.
        if isinstance(cause, asyncpg.PostgresError) and not str(cause.sqlstate).startswith(("22", "23")):
            reason = f"{cause.args[0]} (SQLSTATE {cause.sqlstate})"
        super().__init__(f"The database rejects the migration: {reason}. Remove the cause, and run it again.")


def upgrade(url: str, limits: Limits | None = None, revision: str = "head") -> None:
    """Upgrades the schema to `revision`. Safe to call in several processes at once, but not in a thread that runs an
    event loop. `url` must not name a pooler, because the lock belongs to the session.

    Stores `limits.statement_timeout` in the role for this database, because neither a pooler nor Neon's proxy passes it
    on as a parameter of the connection.

    Raises ValueError for an invalid URL, DatabaseUnavailableError if the database cannot be reached, and
    MigrationRejectedError if it rejects a statement.
    """
    _run(url, limits or Limits(), lambda config: command.upgrade(config, revision))


def downgrade(url: str, revision: str) -> None:
    """Downgrades the schema to `revision` (`base`: before the first), as `upgrade`. Data in dropped tables is lost."""
    _run(url, Limits(), lambda config: command.downgrade(config, revision))


def _config() -> Config:
    config = Config()
    folder = Path(todo_api.migrations.__file__).parent
    # configparser would interpolate a %.
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    return config


def _run(url: str, limits: Limits, operation: Callable[[Config], None]) -> None:
    target = DatabaseUrl.parse(url)
    arguments = {"timeout": limits.connect_timeout} | target.arguments()
    connector = Connector(lambda: asyncpg.connect(**arguments), target.address)

    async def connect() -> asyncpg.Connection:
        try:
            async with asyncio.timeout(limits.wait_timeout):
                return await connector.connect()
        except TimeoutError:
            raise connector.timeout_error(limits.wait_timeout) from None

    def migrate(connection: Connection) -> None:
        config = _config()
        config.attributes["connection"] = connection
        config.attributes["statement_timeout"] = limits.statement_timeout
        operation(config)

    async def run() -> None:
        engine = create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)
        async with engine.connect() as connection:
            await connection.run_sync(migrate)

    with _alembic_lock:
        try:
            asyncio.run(run())
        except DBAPIError as error:
            raise MigrationRejectedError(error) from error
        except PendingRollbackError as error:
            # An autocommit block that has lost its connection; the error of the statement is the context.
            if isinstance(error.__context__, DBAPIError):
                raise MigrationRejectedError(error.__context__) from error
            raise

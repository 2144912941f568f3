"""Alembic's migrations, run from code: they ship in the package, and need no alembic.ini."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

import todo_api.migrations
from todo_api.database.connector import Connector
from todo_api.database.failures import DatabaseRefusedError, without_values
from todo_api.database.limits import Limits
from todo_api.database.url import DatabaseUrl

# Alembic keeps what it is doing in globals of its modules.
_one_at_a_time = threading.Lock()


class MigrationRejectedError(DatabaseRefusedError):
    """PostgreSQL rejected a statement of a migration. Nothing is changed."""

    def __init__(self, error: DBAPIError) -> None:
        cause = error.orig.__cause__ if error.orig is not None else None
        said = without_values(error)
        # Classes 22 and 23 quote values of rows.
        if isinstance(cause, asyncpg.PostgresError) and not str(cause.sqlstate).startswith(("22", "23")):
            said = f"{cause.args[0]} (SQLSTATE {cause.sqlstate})"
        super().__init__(f"The database rejects the migration: {said}. Nothing is changed.")


def upgrade(url: str, limits: Limits | None = None, revision: str = "head") -> None:
    """Brings the schema to `revision`, in one transaction, on a direct URL. Any number of processes may do so at
    once. Needs a thread in which no event loop runs. The time that a statement may take becomes a setting of the role
    in this database, for no other way passes both a pooler and Neon's proxy.

    Raises ValueError for a bad URL, DatabaseUnavailableError if no database answers, MigrationRejectedError.
    """
    _run(url, limits or Limits(), lambda config: command.upgrade(config, revision))


def downgrade(url: str, revision: str) -> None:
    """Takes the schema back to `revision`; `base` is before the first. As `upgrade`; the data goes with the tables."""
    _run(url, Limits(), lambda config: command.downgrade(config, revision))


def _config() -> Config:
    config = Config()
    folder = Path(todo_api.migrations.__file__).parent
    # The option is a template of configparser's.
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
            raise connector.late(limits.wait_timeout) from None

    def migrate(connection: Connection) -> None:
        config = _config()
        config.attributes["connection"] = connection
        config.attributes["statement_timeout"] = limits.statement_timeout
        operation(config)

    async def run() -> None:
        engine = create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)
        async with engine.connect() as connection:
            await connection.run_sync(migrate)

    with _one_at_a_time:
        try:
            asyncio.run(run())
        except DBAPIError as error:
            raise MigrationRejectedError(error) from error

"""Opens connections, with retries while the database wakes or restarts, and reports why connecting fails."""

import asyncio
import errno
import random
import time
from collections.abc import Awaitable, Callable

import asyncpg
import structlog

from todo_api.database.failures import (
    DatabaseUnavailableError,
    PermanentDatabaseError,
    connection_failure,
    is_transient,
)

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

MAX_RETRY_DELAY = 0.5
"""Maximum seconds between two attempts to connect, so that a restarted database is found within a second."""
CONNECT_FAILURE_INTERVAL = 60
"""Minimum seconds between two log lines that report failed attempts, with their number."""


class Connector:
    """Opens connections by `connect`, and stores the last failure. `address` is used in messages."""

    def __init__(self, connect: Callable[[], Awaitable[asyncpg.Connection]], address: str) -> None:
        self._connect = connect
        self._address = address
        self._failure: BaseException | None = None
        self._failures = 0
        self._failures_logged = float("-inf")

    async def connect(self) -> asyncpg.Connection:
        """Returns a connection. Retries until it is cancelled, because the first attempts fail while a database wakes
        or restarts.

        Raises PermanentDatabaseError for a failure that a retry cannot change.
        """
        delay = 0.05
        while True:
            try:
                return await self.attempt()
            except PermanentDatabaseError:
                raise
            except DatabaseUnavailableError:
                # Jitter, so that waiting requests do not all connect at once when the database is back.
                await asyncio.sleep(random.uniform(delay / 2, delay))  # noqa: S311
                delay = min(2 * delay, MAX_RETRY_DELAY)

    async def attempt(self) -> asyncpg.Connection:
        """Returns a connection. Does not retry.

        Raises DatabaseUnavailableError; PermanentDatabaseError for a failure that a retry cannot change.
        """
        try:
            connection = await self._connect()
            if connection.is_closed():
                raise ConnectionResetError(errno.ECONNRESET, "closed as soon as it was opened")
        except Exception as error:
            self._failure = error
            self._log_failure(error)
            kind = DatabaseUnavailableError if is_transient(error) else PermanentDatabaseError
            raise kind(connection_failure(self._address, error)) from error
        self._failure = None
        return connection

    def timeout_error(self, seconds: float) -> DatabaseUnavailableError:
        """Returns the error if there has been no connection for `seconds`, with the last failure."""
        return DatabaseUnavailableError(connection_failure(self._address, self._failure or TimeoutError(), seconds))

    def _log_failure(self, error: Exception) -> None:
        self._failures += 1
        now = time.monotonic()
        if now - self._failures_logged >= CONNECT_FAILURE_INTERVAL:
            text = connection_failure(self._address, error)
            log.info("database unreachable", error=text, failures=self._failures)
            self._failures, self._failures_logged = 0, now

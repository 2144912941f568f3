"""Makes connections: tries again while the database sleeps or starts, and says why there is none."""

import asyncio
import errno
import random
import time
from collections.abc import Awaitable, Callable

import asyncpg
import structlog

from todo_api.database.failures import DatabaseRefusedError, DatabaseUnavailableError, connection_failure, may_pass

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

LONGEST_PAUSE = 0.5
"""Seconds between two tries to connect, so that a database that is back is found within a second."""
CONNECT_FAILURE_INTERVAL = 60
"""Seconds in which failures to connect are logged once, with their number."""


class Connector:
    """Makes connections, and remembers why there is none. `address` is for messages."""

    def __init__(self, connect: Callable[[], Awaitable[asyncpg.Connection]], address: str) -> None:
        self._connect = connect
        self._address = address
        self._failure: BaseException | None = None
        self._failures = 0
        self._failures_logged = float("-inf")

    async def connect(self) -> asyncpg.Connection:
        """Tries until it is cancelled: a database that sleeps or starts lets the first ones fail.

        Raises DatabaseRefusedError for what the next try would not change.
        """
        pause = 0.05
        while True:
            try:
                connection = await self._connect()
                if not connection.is_closed():
                    self._failure = None
                    return connection
                raise ConnectionResetError(errno.ECONNRESET, "it ended as soon as it was made")
            except Exception as error:
                self._failure = error
                self._log_failure(error)
                if not may_pass(error):
                    raise DatabaseRefusedError(connection_failure(self._address, error)) from error
            # Those that wait for a database that comes back must not all come at once.
            await asyncio.sleep(random.uniform(pause / 2, pause))  # noqa: S311
            pause = min(2 * pause, LONGEST_PAUSE)

    def late(self, seconds: float) -> DatabaseUnavailableError:
        """The error for a request that has waited `seconds` seconds for a connection."""
        return DatabaseUnavailableError(connection_failure(self._address, self._failure or TimeoutError(), seconds))

    def _log_failure(self, error: Exception) -> None:
        self._failures += 1
        now = time.monotonic()
        if now - self._failures_logged >= CONNECT_FAILURE_INTERVAL:
            text = connection_failure(self._address, error)
            log.info("database unreachable", error=text, failures=self._failures)
            self._failures, self._failures_logged = 0, now

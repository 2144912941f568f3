"""The connection pool: opens connections on demand, and closes idle ones before the server does.

asyncpg's pool has no overflow limit, no retry and no statistics, notices a dead connection only after the event loop
has, and runs a task for each returned connection: a third of the time of a small statement.
"""

import asyncio
import select
import time
from collections import deque
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property

import asyncpg
import structlog

from todo_api.database.connector import Connector
from todo_api.database.failures import DatabaseUnavailableError
from todo_api.database.limits import Limits

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

OVERFLOW_LIFETIME = 10
"""Seconds after which an idle connection beyond the pool's size is closed. If it were closed at once, each burst of
requests would connect again, which at Neon takes ten times as long as a statement."""
SWEEP_INTERVAL = 1
"""Seconds between two checks for connections that have been idle for too long."""
CLOSE_TIMEOUT = 1
"""Timeout in seconds for closing a connection, in which a running statement is cancelled at the server."""
EXHAUSTION_INTERVAL = 60
"""Minimum seconds between two log lines that report exhaustion."""
STATS_INTERVAL = 60
"""Seconds between two log lines with the pool's statistics while it is used."""


@dataclass(frozen=True, slots=True)
class PoolStats:
    """Numbers of connections, and of requests that wait for one."""

    limit: int
    """Size and overflow."""
    open: int
    idle: int
    waiting: int


class Lease:
    """A connection of the pool, idle or in use."""

    __slots__ = ("_poll", "connection", "generation", "idle_since")

    def __init__(self, connection: asyncpg.Connection, generation: int) -> None:
        self.connection = connection
        self.generation = generation
        """The number of calls of `Pool.expire_connections` before the connection was opened."""
        self.idle_since = 0.0
        self._poll = select.poll()
        # asyncpg has no public attribute for the socket.
        self._poll.register(connection._transport.get_extra_info("socket").fileno(), select.POLLIN)  # noqa: SLF001

    def is_alive(self) -> bool:
        """Returns whether an idle connection can be used, in a microsecond and without a round trip.

        An idle connection has nothing to receive: if its socket is readable, the server has closed it, or is about to.
        The event loop may not have read that yet.
        """
        return not self.connection.is_closed() and not self._poll.poll(0)


class Pool:
    """A pool of up to `limits.size` connections, and `limits.overflow` more under load. Must be used in one event
    loop."""

    def __init__(self, connector: Connector, limits: Limits) -> None:
        self._connector = connector
        self._limits = limits
        self._generation = 0
        self._idle: list[Lease] = []
        self._in_use: set[Lease] = set()
        self._waiters: deque[asyncio.Future[Lease]] = deque()
        # Connections that are open, opening or closing: never above the limit.
        self._used_slots = 0
        self._opening: set[asyncio.Task[Lease]] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._sweep_timer: asyncio.TimerHandle | None = None
        # Returned connections since the last log line with the statistics.
        self._loans = 0
        self._stats_timer: asyncio.TimerHandle | None = None
        self._exhaustion_logged = float("-inf")
        self._all_returned = asyncio.Event()
        self.closed = False

    @cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        """Cached, because in Python 3.11 each get_running_loop() makes a system call (getpid)."""
        return asyncio.get_running_loop()

    @property
    def stats(self) -> PoolStats:
        limit = self._limits.size + self._limits.overflow
        return PoolStats(limit, len(self._idle) + len(self._in_use), len(self._idle), len(self._waiters))

    def take(self) -> Lease | None:
        """Returns an idle connection that is alive, or None. It must be returned by `release`."""
        while self._idle:
            lease = self._idle.pop()
            self._in_use.add(lease)
            if lease.is_alive():
                return lease
            self.release(lease, reusable=False)
        return None

    async def acquire(self, deadline: float) -> Lease:
        """Returns a connection that is alive: idle, returned by another request or opened, whichever is first. It must
        be returned by `release`. A failed attempt to connect is retried until `deadline`, a time of time.monotonic().

        Raises DatabaseUnavailableError at the deadline, and PermanentDatabaseError at once.
        """
        if (idle := self.take()) is not None:
            return idle
        if self.closed:
            raise DatabaseUnavailableError("the pool is closed")
        waiter: asyncio.Future[Lease] = self._loop.create_future()
        self._waiters.append(waiter)
        self._grow()
        # call_later() takes 1 µs, asyncio.timeout_at() 5.
        timer = self._loop.call_later(deadline - time.monotonic(), self._on_timeout, waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            self._on_waiter_cancelled(waiter)
            raise
        finally:
            timer.cancel()

    def release(self, lease: Lease, *, reusable: bool) -> None:
        """Returns a connection to the pool. If it is not `reusable`, because a response may still be on its way, it is
        closed."""
        self._in_use.discard(lease)
        self._loans += 1
        if self.closed and not self._in_use:
            self._all_returned.set()
        current = reusable and lease.generation == self._generation
        if not current or self.closed or lease.connection.is_closed() or lease.connection.is_in_transaction():
            self._start_closing(lease)
        else:
            self._hand_over(lease)

    def expire_connections(self) -> None:
        """Closes every current connection: idle ones at once, the others when they are returned."""
        self._generation += 1
        idle, self._idle = self._idle, []
        for lease in idle:
            self._start_closing(lease)

    def cancel_opening(self) -> None:
        """Cancels all attempts to connect. New ones begin for waiting requests."""
        for task in self._opening:
            task.cancel()

    async def close(self) -> None:
        """Closes all connections. Waits CLOSE_TIMEOUT at most for those in use, then terminates them."""
        self.closed = True
        for timer in self._sweep_timer, self._stats_timer:
            if timer is not None:
                timer.cancel()
        self._fail_waiters(DatabaseUnavailableError("the service is shutting down"))
        self.cancel_opening()
        for lease in self._idle:
            self._start_closing(lease)
        self._idle.clear()
        if self._in_use:
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT):
                    await self._all_returned.wait()
        for lease in self._in_use:
            lease.connection.terminate()
        await asyncio.gather(*self._opening, *self._closing, return_exceptions=True)

    def _grow(self) -> None:
        """Opens a connection for each waiting request, up to the limit."""
        limit = self._limits.size + self._limits.overflow
        while len(self._opening) < len(self._waiters) and self._used_slots < limit and not self.closed:
            self._used_slots += 1
            task = self._loop.create_task(self._open())
            self._opening.add(task)
            task.add_done_callback(self._on_opened)
        # If no connection is in use, the database is unreachable and the pool is not exhausted.
        if self._in_use and len(self._opening) < len(self._waiters):
            self._log_exhaustion()

    async def _open(self) -> Lease:
        generation = self._generation
        return Lease(await self._connector.connect(), generation)

    def _on_opened(self, task: "asyncio.Task[Lease]") -> None:
        """Adds the connection, or frees its slot. A callback, because a task may be cancelled before its first line."""
        self._opening.discard(task)
        if task.cancelled():
            self._free_slot()
        elif (error := task.exception()) is not None:
            self._fail_waiters(error)
            self._free_slot()
        else:
            self._in_use.add(task.result())
            self.release(task.result(), reusable=True)
            self._stats_timer = self._stats_timer or self._loop.call_later(STATS_INTERVAL, self._log_stats)

    def _hand_over(self, lease: Lease) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                self._in_use.add(lease)
                waiter.set_result(lease)
                return
        lease.idle_since = time.monotonic()
        self._idle.append(lease)
        self._sweep_timer = self._sweep_timer or self._loop.call_later(SWEEP_INTERVAL, self._sweep)

    def _on_timeout(self, waiter: "asyncio.Future[Lease]") -> None:
        if not waiter.done():
            self._remove_waiter(waiter)
            # If connections are in use, the database is reachable and the pool is too small.
            exhausted = DatabaseUnavailableError(f"no connection became free within the timeout: {self.stats}")
            waiter.set_exception(
                exhausted if self._in_use else self._connector.timeout_error(self._limits.wait_timeout)
            )

    def _on_waiter_cancelled(self, waiter: "asyncio.Future[Lease]") -> None:
        """Called when a waiting request is cancelled."""
        if waiter.cancelled():
            self._remove_waiter(waiter)
        elif waiter.exception() is None:
            # It received a connection just before it was cancelled.
            self.release(waiter.result(), reusable=True)

    def _remove_waiter(self, waiter: "asyncio.Future[Lease]") -> None:
        with suppress(ValueError):
            self._waiters.remove(waiter)
        if not self._waiters:
            # No request is waiting any more, so no attempt follows.
            self.cancel_opening()

    def _fail_waiters(self, error: BaseException) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_exception(error)

    def _start_closing(self, lease: Lease) -> None:
        task = self._loop.create_task(self._close(lease))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _close(self, lease: Lease) -> None:
        """Frees the slot only when the server has closed the connection, because the server enforces a limit too."""
        # asyncpg terminates a connection that is not closed within the timeout.
        with suppress(Exception):
            await lease.connection.close(timeout=CLOSE_TIMEOUT)
        self._free_slot()

    def _free_slot(self) -> None:
        self._used_slots -= 1
        self._grow()

    def _sweep(self) -> None:
        now = time.monotonic()
        idle, self._idle = self._idle, []
        # Sorted by idle time, longest first.
        for position, lease in enumerate(idle):
            remaining = len(self._in_use) + len(self._idle) + len(idle) - position
            overflow = remaining > self._limits.size
            lifetime = min(OVERFLOW_LIFETIME, self._limits.idle_lifetime) if overflow else self._limits.idle_lifetime
            if now - lease.idle_since < lifetime:
                self._idle.append(lease)
            else:
                self._start_closing(lease)
        self._sweep_timer = self._loop.call_later(SWEEP_INTERVAL, self._sweep) if self._idle else None

    def _log_stats(self) -> None:
        """Logs the statistics if connections were in use since the last call. Repeats while there are connections."""
        if self._loans or self._in_use:
            log.info("pool", **asdict(self.stats), loans=self._loans)
        self._loans = 0
        self._stats_timer = self._loop.call_later(STATS_INTERVAL, self._log_stats) if self._used_slots else None

    def _log_exhaustion(self) -> None:
        now = time.monotonic()
        if now - self._exhaustion_logged >= EXHAUSTION_INTERVAL:
            self._exhaustion_logged = now
            log.warning("pool exhausted", **asdict(self.stats))

"""The connections to the database: made when they are needed, lent one at a time, ended before others end them.

asyncpg's pool has no limit for overflow, no retry and no figures, sees a dead connection only once the event loop has,
and runs a task for each that is given back: a third of the time of a small statement.
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
"""Seconds after which an unused connection beyond the size is ended. At once, each wave of requests would connect
anew, which takes Neon ten times as long as a statement."""
SWEEP_INTERVAL = 1
"""Seconds between two looks for connections that are unused for too long."""
CLOSE_TIMEOUT = 1
"""Seconds for the end of a connection, in which a statement under way is cancelled at the server."""
EXHAUSTION_INTERVAL = 60
"""Seconds in which exhaustion is logged once."""
FIGURES_INTERVAL = 60
"""Seconds between two log lines with the pool's figures while it is used."""


@dataclass(frozen=True, slots=True)
class PoolFigures:
    limit: int
    open: int
    idle: int
    waiting: int
    """Requests that have no connection yet."""


class Lease:
    """A connection while it is lent, and between two loans."""

    __slots__ = ("_poll", "connection", "generation", "idle_since")

    def __init__(self, connection: asyncpg.Connection, generation: int) -> None:
        self.connection = connection
        self.generation = generation
        """How often the pool had been renewed when the connection was begun."""
        self.idle_since = 0.0
        self._poll = select.poll()
        # asyncpg has no public name for it.
        self._poll.register(connection._transport.get_extra_info("socket").fileno(), select.POLLIN)  # noqa: SLF001

    def is_alive(self) -> bool:
        """To be asked of an unused one. Costs a microsecond and no round trip: a server that has nothing to answer
        and sends something says goodbye, or has gone. The event loop may learn that later than we do."""
        return not self.connection.is_closed() and not self._poll.poll(0)


class Pool:
    """Of up to `size` connections, and `overflow` more under load. Must be used in one event loop."""

    def __init__(self, connector: Connector, limits: Limits) -> None:
        self._connector = connector
        self._limits = limits
        self._generation = 0
        self._idle: list[Lease] = []
        self._lent: set[Lease] = set()
        self._waiters: deque[asyncio.Future[Lease]] = deque()
        # Connections, and those being made or ended: never above the limit.
        self._places = 0
        self._opening: set[asyncio.Task[Lease]] = set()
        self._ending: set[asyncio.Task[None]] = set()
        self._sweeper: asyncio.TimerHandle | None = None
        # Loans since the last line with the figures.
        self._loans = 0
        self._reporter: asyncio.TimerHandle | None = None
        self._exhaustion_logged = float("-inf")
        self._all_back = asyncio.Event()
        self.closed = False

    @cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        """Python 3.11 asks the kernel for the process each time."""
        return asyncio.get_running_loop()

    @property
    def figures(self) -> PoolFigures:
        limit = self._limits.size + self._limits.overflow
        return PoolFigures(limit, len(self._idle) + len(self._lent), len(self._idle), len(self._waiters))

    def take(self) -> Lease | None:
        """A living connection, if one is idle, to be given back by `release`."""
        while self._idle:
            lease = self._idle.pop()
            self._lent.add(lease)
            if lease.is_alive():
                return lease
            self.release(lease, reusable=False)
        return None

    async def acquire(self, deadline: float) -> Lease:
        """A living connection, which must be given back by `release`: one that is given back by then or one that is
        made, whichever comes first. Tries to make one again and again until `deadline`, as time.monotonic() has it.

        Raises DatabaseUnavailableError at the deadline, and DatabaseRefusedError at once.
        """
        if (idle := self.take()) is not None:
            return idle
        if self.closed:
            raise DatabaseUnavailableError("the pool is closed")
        waiter: asyncio.Future[Lease] = self._loop.create_future()
        self._waiters.append(waiter)
        self._grow()
        # asyncio.timeout_at() takes 5 µs, this 1.
        timer = self._loop.call_later(deadline - time.monotonic(), self._expire, waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            self._leave(waiter)
            raise
        finally:
            timer.cancel()

    def release(self, lease: Lease, *, reusable: bool) -> None:
        """One that is not `reusable`, for an answer may still be on its way, is ended."""
        self._lent.discard(lease)
        self._loans += 1
        if self.closed and not self._lent:
            self._all_back.set()
        current = reusable and lease.generation == self._generation
        if not current or self.closed or lease.connection.is_closed() or lease.connection.is_in_transaction():
            self._end(lease)
        else:
            self._offer(lease)

    def renew(self) -> None:
        """Ends every connection that was begun until now: idle ones at once, each other one when it is given back."""
        self._generation += 1
        unused, self._idle = self._idle, []
        for lease in unused:
            self._end(lease)

    async def close(self) -> None:
        """Waits for what is lent, but not for longer than a connection takes to end."""
        self.closed = True
        for timer in self._sweeper, self._reporter:
            if timer is not None:
                timer.cancel()
        self._refuse(DatabaseUnavailableError("the service ends"))
        for task in self._opening:
            task.cancel()
        for lease in self._idle:
            self._end(lease)
        self._idle.clear()
        if self._lent:
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT):
                    await self._all_back.wait()
        for lease in self._lent:
            lease.connection.terminate()
        await asyncio.gather(*self._opening, *self._ending, return_exceptions=True)

    def _grow(self) -> None:
        """As many are made as are waited for."""
        limit = self._limits.size + self._limits.overflow
        while len(self._opening) < len(self._waiters) and self._places < limit and not self.closed:
            self._places += 1
            task = self._loop.create_task(self._open())
            self._opening.add(task)
            task.add_done_callback(self._opened)
        # Where none is lent it is the database that is missing.
        if self._lent and len(self._opening) < len(self._waiters):
            self._log_exhaustion()

    async def _open(self) -> Lease:
        generation = self._generation
        return Lease(await self._connector.connect(), generation)

    def _opened(self, task: "asyncio.Task[Lease]") -> None:
        """Fills the place, or gives it up. A callback, for a task may be cancelled before its first line."""
        self._opening.discard(task)
        if task.cancelled():
            self._give_up_place()
        elif (error := task.exception()) is not None:
            self._refuse(error)
            self._give_up_place()
        else:
            self._lent.add(task.result())
            self.release(task.result(), reusable=True)
            self._reporter = self._reporter or self._loop.call_later(FIGURES_INTERVAL, self._report)

    def _offer(self, lease: Lease) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                self._lent.add(lease)
                waiter.set_result(lease)
                return
        lease.idle_since = time.monotonic()
        self._idle.append(lease)
        self._sweeper = self._sweeper or self._loop.call_later(SWEEP_INTERVAL, self._sweep)

    def _expire(self, waiter: "asyncio.Future[Lease]") -> None:
        if not waiter.done():
            self._withdraw(waiter)
            # If connections are lent the database is there, and the pool is too small.
            exhausted = DatabaseUnavailableError(f"no connection in time: {self.figures}")
            waiter.set_exception(exhausted if self._lent else self._connector.late(self._limits.wait_timeout))

    def _leave(self, waiter: "asyncio.Future[Lease]") -> None:
        """Who waits is cancelled."""
        if waiter.cancelled():
            self._withdraw(waiter)
        elif waiter.exception() is None:
            # It was handed one in this very moment.
            self.release(waiter.result(), reusable=True)

    def _withdraw(self, waiter: "asyncio.Future[Lease]") -> None:
        with suppress(ValueError):
            self._waiters.remove(waiter)
        if not self._waiters:
            # Nobody is left to try on for.
            for task in self._opening:
                task.cancel()

    def _refuse(self, error: BaseException) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_exception(error)

    def _end(self, lease: Lease) -> None:
        task = self._loop.create_task(self._close(lease))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _close(self, lease: Lease) -> None:
        """Its place is free once the server has let it go: the limit is the server's, too."""
        # One that can't be closed in time is terminated by asyncpg.
        with suppress(Exception):
            await lease.connection.close(timeout=CLOSE_TIMEOUT)
        self._give_up_place()

    def _give_up_place(self) -> None:
        self._places -= 1
        self._grow()

    def _sweep(self) -> None:
        now = time.monotonic()
        unused, self._idle = self._idle, []
        # The longest unused come first.
        for position, lease in enumerate(unused):
            remaining = len(self._lent) + len(self._idle) + len(unused) - position
            beyond = remaining > self._limits.size
            lifetime = min(OVERFLOW_LIFETIME, self._limits.idle_lifetime) if beyond else self._limits.idle_lifetime
            if now - lease.idle_since < lifetime:
                self._idle.append(lease)
            else:
                self._end(lease)
        self._sweeper = self._loop.call_later(SWEEP_INTERVAL, self._sweep) if self._idle else None

    def _report(self) -> None:
        """Logs the figures if connections were in use since the last time. Goes on as long as there are any."""
        if self._loans or self._lent:
            log.info("pool", **asdict(self.figures), loans=self._loans)
        self._loans = 0
        self._reporter = self._loop.call_later(FIGURES_INTERVAL, self._report) if self._places else None

    def _log_exhaustion(self) -> None:
        now = time.monotonic()
        if now - self._exhaustion_logged >= EXHAUSTION_INTERVAL:
            self._exhaustion_logged = now
            log.warning("pool exhausted", **asdict(self.figures))

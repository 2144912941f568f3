"""A pool, and the connections that the server reports for it."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable

import asyncpg

from todo_api.database.connector import Connector
from todo_api.database.limits import Limits
from todo_api.database.pool import Lease, Pool, PoolStats
from todo_api.database.url import DatabaseUrl

LIMIT = 30
"""Timeout in seconds, for a busy machine."""


class Bench:
    """A pool whose connections the server can list. `attempts` counts its attempts to connect."""

    def __init__(self, url: str, limits: Limits, observer: asyncpg.Connection) -> None:
        self._name = f"pool-{uuid.uuid4().hex}"
        self._arguments = DatabaseUrl.parse(url).arguments() | {"server_settings": {"application_name": self._name}}
        self._observer = observer
        self.attempts = 0
        self.before_connect: Callable[[], Awaitable[asyncpg.Connection | None]] | None = None
        """Called before each attempt. It may raise an error, or return another connection."""
        self.pool = Pool(Connector(self._connect, "the.host:5432"), limits)

    async def _connect(self) -> asyncpg.Connection:
        self.attempts += 1
        other = await self.before_connect() if self.before_connect is not None else None
        return other or await self.connect()

    async def connect(self) -> asyncpg.Connection:
        return await asyncpg.connect(**self._arguments)

    async def acquire(self, seconds: float = LIMIT) -> Lease:
        return await self.pool.acquire(asyncio.get_running_loop().time() + seconds)

    def release(self, *leases: Lease) -> None:
        for lease in leases:
            self.pool.release(lease, reusable=True)

    def start_acquiring(self, count: int = 1) -> list[asyncio.Task[Lease]]:
        return [asyncio.create_task(self.acquire()) for _ in range(count)]

    async def until_waiting(self, count: int) -> None:
        await self.until(lambda: self.pool.stats.waiting == count)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(LIMIT):
            while not condition():
                await asyncio.sleep(0.001)

    async def server_pids(self) -> set[int]:
        rows = await self._observer.fetch("SELECT pid FROM pg_stat_activity WHERE application_name = $1", self._name)
        return {row["pid"] for row in rows}

    async def until_server_has(self, *leases: Lease) -> None:
        async with asyncio.timeout(LIMIT):
            while await self.server_pids() != {lease.connection.get_server_pid() for lease in leases}:
                await asyncio.sleep(0.001)

    async def assert_no_leak(self) -> None:
        """Assert that no connection is in use, and that the pool can open as many as its limit, and no more."""
        figures = self.pool.stats
        assert (figures.open, figures.waiting) == (figures.idle, 0)
        leases = await asyncio.gather(*self.start_acquiring(figures.limit))
        (one_more,) = self.start_acquiring()
        await self.until_waiting(1)
        assert await self.server_pids() == {lease.connection.get_server_pid() for lease in leases}
        self.release(*leases)
        self.release(await one_more)
        assert self.pool.stats == PoolStats(figures.limit, figures.limit, figures.limit, 0)


Run = Callable[..., None]

"""A pool for each test, in both event loops."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import asyncpg
import pytest
import uvloop

from support.pool import LIMIT, Bench, Run
from todo_api.database import pool as module
from todo_api.database.limits import Limits


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest, database_url: str) -> Run:
    """Runs a test with its own pool, in asyncio and in uvloop, and asserts that no connection is left."""

    @asynccontextmanager
    async def bench(url: str, limits: Limits) -> AsyncIterator[Bench]:
        observer = await asyncpg.connect(database_url)
        bench = Bench(url, limits, observer)
        yield bench
        await bench.pool.close()
        await bench.until_server_has()
        await observer.close()

    def run(
        test: Callable[[Bench], Awaitable[None]],
        size: int = 2,
        overflow: int = 1,
        idle_lifetime: float = 3600,
        url: str = database_url,
    ) -> None:
        async def main() -> None:
            async with bench(url, Limits(size, overflow, idle_lifetime)) as made, asyncio.timeout(2 * LIMIT):
                await test(made)

        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(main())

    return run


@pytest.fixture
def quick_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SWEEP_INTERVAL", 0.001)

"""Connections that migrations meet: that observe them, and that stand in their way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

INVALID_INDEXES = "SELECT count(*) FROM pg_index WHERE NOT indisvalid OR NOT indisready"
INDEXES = "SELECT array_agg(indexname::text ORDER BY indexname) FROM pg_indexes WHERE tablename = 'task'"
_BLOCKED = "SELECT pid FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid)) AND query ~ $2"


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def value(url: str, query: str) -> object:
    async with connected(url) as connection:
        return await connection.fetchval(query)


async def blocked_by(holder: asyncpg.Connection, observer: asyncpg.Connection, statement: str = "") -> int:
    """Waits until a statement of another connection waits for `holder`, and returns the process id."""
    async with asyncio.timeout(60):
        while (pid := await observer.fetchval(_BLOCKED, holder.get_server_pid(), statement)) is None:
            await asyncio.sleep(0.005)
    return int(pid)


@asynccontextmanager
async def while_indexing(url: str) -> AsyncIterator[asyncpg.Connection]:
    """An open transaction has an old snapshot: a concurrent build of an index waits for its end."""
    async with connected(url) as reading, reading.transaction(isolation="repeatable_read"):
        await reading.fetchval("SELECT count(*) FROM pg_class")
        yield reading


@asynccontextmanager
async def while_reading(url: str) -> AsyncIterator[asyncpg.Connection]:
    """An open transaction has read a task: a concurrent removal of an index waits for its end."""
    async with connected(url) as reading, reading.transaction():
        await reading.fetchval("SELECT count(*) FROM task")
        yield reading

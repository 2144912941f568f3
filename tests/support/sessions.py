"""Statements that sleep on the server until a test ends them."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import asyncpg
from sqlalchemy import literal_column, select

from todo_api.database.database import Database
from todo_api.database.limits import Limits
from todo_api.database.statement import Statement, prepare

SLEEP = Statement("SELECT pg_sleep(60)")
ONE = prepare(select(literal_column("1").label("one")))

MAX_CONNECTIONS = Limits().size + Limits().overflow


def run(url: str, test: Callable[[Database], Awaitable[None]], **limits: Any) -> None:
    async def main() -> None:
        async with Database(url, replace(Limits(), **limits)) as database:
            await test(database)

    asyncio.run(main())


async def query(url: str, sql: str) -> Any:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def wait_for_sleepers(url: str, count: int) -> None:
    """Wait until `count` statements are asleep."""
    connection = await asyncpg.connect(url)
    sleepers = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"
    try:
        async with asyncio.timeout(30):
            while await connection.fetchval(sleepers) != count:
                await asyncio.sleep(0.01)
    finally:
        await connection.close()


async def terminate_sleepers(url: str) -> None:
    ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    assert await query(url, f"{ended} AND datname = current_database()")


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await condition():
            await asyncio.sleep(0.005)

"""Databases of the PostgreSQL that the whole run shares."""

import asyncio
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg


def _with_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def execute(url: str, statement: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())


def fetch(url: str, statement: str, *arguments: object) -> list[Any]:
    """Return the first column of the rows."""

    async def run() -> list[Any]:
        connection = await asyncpg.connect(url)
        try:
            return [row[0] for row in await connection.fetch(statement, *arguments)]
        finally:
            await connection.close()

    return asyncio.run(run())


@contextmanager
def new_database() -> Iterator[str]:
    """Create a database of the application's role, yield its URL, and drop it."""
    name, admin = f"test_{uuid.uuid4().hex}", os.environ["TEST_ADMIN_URL"]
    url = os.environ["TEST_DATABASE_URL"]
    execute(admin, f"CREATE DATABASE {name} OWNER {urlsplit(url).username}")
    try:
        yield _with_database(url, name)
    finally:
        execute(admin, f"DROP DATABASE {name} WITH (FORCE)")

"""A minimal HTTP client, because httpx is so slow that few requests would run at the same time."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple
from urllib.parse import urlsplit

LIMIT = 60
"""Timeout of `at_once` in seconds."""


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    """With lower-case names."""
    content: bytes


class Connection:
    """Sends one request after the other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, method: str, target: str, headers: Mapping[str, str], content: bytes = b"") -> Answer:
        """Raises ConnectionError if there is no answer."""
        self.write(method, target, headers, content)
        try:
            status, *lines = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
            fields = dict(line.split(": ", 1) for line in lines)
            answered = {name.lower(): value for name, value in fields.items()}
            body = await self._reader.readexactly(int(answered.get("content-length", "0")))
        except asyncio.IncompleteReadError as error:
            raise ConnectionError(repr(error)) from None
        return Answer(int(status.split()[1]), answered, body)

    def write(self, method: str, target: str, headers: Mapping[str, str], content: bytes = b"") -> None:
        """Send a request without waiting for its answer."""
        head = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        self._writer.write("\r\n".join(head).encode() + content)

    def abort(self) -> None:
        """Close the connection at once, so that no answer can be received."""
        self._writer.transport.abort()


@asynccontextmanager
async def http_connection(url: str) -> AsyncIterator[Connection]:
    """Connect to the host and port of a URL."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        yield Connection(reader, writer)
    finally:
        writer.close()


async def at_once(
    url: str, count: int, send: Callable[[Connection], Awaitable[Answer]]
) -> list[tuple[Answer, int, int]]:
    """Send a request on each of `count` connections at once. Return the answers, with their starts and ends: times of
    time.monotonic_ns()."""

    async def timed(connection: Connection) -> tuple[Answer, int, int]:
        start = time.monotonic_ns()
        return await send(connection), start, time.monotonic_ns()

    async with asyncio.timeout(LIMIT), AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(http_connection(url)) for _ in range(count)]
        return await asyncio.gather(*map(timed, connections))

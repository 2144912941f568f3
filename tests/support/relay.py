"""A relay in front of PostgreSQL, which counts round trips and which tests can stop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from urllib.parse import parse_qs, urlsplit

from support.ports import next_port


class Relay:
    """Relays a TCP port to the socket of PostgreSQL while it is open. Clearing `passing` stops the data."""

    def __init__(self, database_url: str) -> None:
        parts = urlsplit(database_url)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self._target = f"{query['host']}/.s.PGSQL.{query['port']}"
        self._port = next_port()
        self.url = f"postgresql://{parts.username}:{parts.password}@127.0.0.1:{self._port}{parts.path}?sslmode=disable"
        self.round_trips = 0
        """Number of round trips between client and server."""
        self._answered = True
        self.passing = asyncio.Event()
        self.passing.set()
        self.answering = True
        """Connections that are opened while it is False are accepted, and never answered."""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        relayed: set[asyncio.Task[None]] = set()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with closing(writer):
                if not self.answering:
                    await reader.read()
                    return
                server_reader, server_writer = await asyncio.open_unix_connection(self._target)
                # A task that is cancelled before its first step closes nothing.
                with closing(server_writer):
                    async with asyncio.TaskGroup() as group:
                        for source, target in ((reader, server_writer), (server_reader, writer)):
                            from_client = source is reader
                            relayed.add(group.create_task(self._pass(source, target, source_is_client=from_client)))

        async with await asyncio.start_server(serve, "127.0.0.1", self._port) as server:
            yield
            server.close()
            for task in relayed:
                task.cancel()

    def _count(self, *, from_client: bool) -> None:
        self.round_trips += from_client and self._answered
        self._answered = not from_client

    async def _pass(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, source_is_client: bool
    ) -> None:
        with suppress(OSError):
            try:
                while data := await source.read(65536):
                    await self.passing.wait()
                    self._count(from_client=source_is_client)
                    target.write(data)
            finally:
                target.close()

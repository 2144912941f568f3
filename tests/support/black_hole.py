"""A relay in front of a TCP port that can swallow all data, as a network does that loses a route."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from support.ports import free_port

DEADLINE = 30.0
"""Timeout of the start in seconds."""


class BlackHole:
    """Runs in its own thread. Connections stay open, and those that have lost data never pass data again."""

    def __init__(self, target_port: int) -> None:
        self.port = free_port()
        self._target_port = target_port
        self._swallowed: set[bool] = set()
        """The directions whose data are swallowed; True: from the client."""

    @contextmanager
    def swallowing(self, *, requests: bool) -> Iterator[None]:
        """Swallow the answers, and the requests too if `requests`; new connections are accepted."""
        self._swallowed = {True, False} if requests else {False}
        try:
            yield
        finally:
            self._swallowed = set()

    async def run(self, started: threading.Event) -> None:
        """Relay until `stop()`."""
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        started.set()
        await self._stopped.wait()
        server.close()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # CancelledError is raised when `run` ends.
        with suppress(OSError, asyncio.CancelledError):
            try:
                # While the target is stopped, the connection is closed.
                server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
                lost = asyncio.Event()
                try:
                    await asyncio.gather(
                        self._relay(reader, server_writer, lost, from_client=True),
                        self._relay(server_reader, writer, lost, from_client=False),
                    )
                finally:
                    server_writer.transport.abort()
            finally:
                writer.transport.abort()

    async def _relay(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, lost: asyncio.Event, *, from_client: bool
    ) -> None:
        while data := await source.read(65536):
            if from_client in self._swallowed:
                lost.set()
            if not lost.is_set():
                target.write(data)
        if lost.is_set() and not from_client:
            # The client is not informed that the server has ended.
            await self._stopped.wait()
        target.close()


@contextmanager
def black_hole(target_port: int) -> Iterator[BlackHole]:
    """Start a relay to a port of this machine."""
    relay, started = BlackHole(target_port), threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(relay.run(started)), daemon=True)
    thread.start()
    try:
        assert started.wait(DEADLINE), "the relay did not start"
        yield relay
    finally:
        relay.stop()
        thread.join(DEADLINE)

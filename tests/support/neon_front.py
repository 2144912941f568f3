"""A substitute for Neon's proxy: filter of startup parameters, suspend and wake, error messages. PgBouncer lacks these.

It accepts TLS connections and relays them to the embedded PostgreSQL. Tests can read the startup parameters of each.
"""

import asyncio
import shutil
import ssl
import struct
import tempfile
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from support import certificates

DEADLINE = 30.0
"""Timeout in seconds for the start, and for each change."""

COMPUTE_UNREACHABLE = "Couldn't connect to compute node"
CONTROL_PLANE_FAILED = "Control plane request failed"
TOO_MANY_CONNECTIONS = "Too many connections attempts"
NO_PERMIT = "Failed to acquire permit to connect to the database. Too many database connection attempts are ongoing."

UNSUPPORTED_OPTIONS = (
    "unsupported startup parameter in options: {}. "
    "Please use unpooled connection or remove this parameter from the startup package."
)
FORWARDED = {"user", "database", "application_name", "replication", "options"}

SSL_REQUEST = 80877103
PROTOCOL_3 = 196608


class NeonFront:
    """Runs in its own thread. Every method may be called from another thread."""

    def __init__(self, database_url: str, directory: Path, *, pooled: bool) -> None:
        target = urlsplit(database_url)
        query = {name: values[0] for name, values in parse_qs(target.query).items()}
        issued = certificates.issue(directory)
        self._user = f"{target.username}:{target.password}@"
        self._path = f"{target.path}?sslmode=verify-full&sslrootcert={issued.authority}"
        self._backend = f"{query['host']}/.s.PGSQL.{query['port']}"
        self._pooled = pooled
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._tls.load_cert_chain(issued.chain, issued.key)
        self._clients: set[asyncio.StreamWriter] = set()
        self._transient_errors: deque[str] = deque()
        self._permanent_error: str | None = None
        self._asleep = False
        self._waking = asyncio.Lock()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._stopped = asyncio.Event()
        self._port = 0
        self.wake_delay = 0.0
        """Delay in seconds of the first connection after `suspend()`."""
        self.startups: list[dict[str, str]] = []
        """The startup parameters of each connection, as the client sent them."""

    @property
    def url(self) -> str:
        """The URL as in Neon's console, with the certificate authority added."""
        pooler = "&pgbouncer=true" if self._pooled else ""
        return f"postgresql://{self._user}localhost:{self._port}{self._path}&channel_binding=require{pooler}"

    def suspend(self) -> None:
        """Abort all connections. The next connection wakes the compute."""
        self._asleep = True
        self._call(self._end_all)

    def fail_next(self, count: int, message: str) -> None:
        """Reject the next `count` connections with a transient error."""
        self._transient_errors.extend([message] * count)

    def reject_all(self, message: str | None) -> None:
        """Reject all connections with a permanent error. None accepts connections again."""
        self._permanent_error = message

    def freeze(self) -> None:
        """Stop relaying. Connections stay open, and new ones are accepted."""
        self._call(self._flowing.clear)

    def thaw(self) -> None:
        self._call(self._flowing.set)

    async def run(self, started: threading.Event) -> None:
        """Serve until `stop()`."""
        self._loop = asyncio.get_running_loop()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._port = server.sockets[0].getsockname()[1]
        started.set()
        await self._stopped.wait()
        server.close()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)

    def _call(self, change: Callable[[], Awaitable[object] | None]) -> None:
        """Run a change in the event loop of the thread, and wait for its end."""

        async def call() -> None:
            if (ending := change()) is not None:
                await ending

        asyncio.run_coroutine_threadsafe(call(), self._loop).result(DEADLINE)

    async def _end_all(self) -> None:
        clients = list(self._clients)
        for client in clients:
            client.transport.abort()
        await asyncio.gather(*(client.wait_closed() for client in clients), return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        self._clients.add(client)
        try:
            # CancelledError is raised when `run` ends.
            with suppress(OSError, EOFError, asyncio.CancelledError):
                await self._accept(reader, client)
        finally:
            self._clients.discard(client)
            client.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        await self._flowing.wait()
        code, _ = await _read_startup(reader)
        assert code == SSL_REQUEST, "Neon accepts only TLS"
        client.write(b"S")
        await client.start_tls(self._tls)
        code, content = await _read_startup(reader)
        # Another code is a cancel request, which is forwarded unchanged.
        if code == PROTOCOL_3:
            parameters = _parse(content)
            self.startups.append(parameters)
            if message := self._next_error(parameters):
                client.write(_error(message))
                await client.drain()
                client.close()
                return
            await self._wake()
            content = _format({name: value for name, value in parameters.items() if name in FORWARDED})
        backend_reader, backend = await asyncio.open_unix_connection(self._backend)
        try:
            backend.write(_startup(code, content))
            await self._relay_both_directions((reader, client), (backend_reader, backend))
        finally:
            backend.transport.abort()

    def _next_error(self, parameters: dict[str, str]) -> str | None:
        if self._permanent_error is not None:
            return self._permanent_error
        if self._pooled and "options" in parameters:
            return UNSUPPORTED_OPTIONS.format(parameters["options"])
        return self._transient_errors.popleft() if self._transient_errors else None

    async def _wake(self) -> None:
        async with self._waking:
            if self._asleep:
                await asyncio.sleep(self.wake_delay)
                self._asleep = False

    async def _relay_both_directions(
        self,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        backend: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        """Relay until one of the two closes its connection."""
        directions = self._relay(client[0], backend[1]), self._relay(backend[0], client[1])
        tasks = [asyncio.create_task(direction) for direction in directions]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                await self._flowing.wait()
                writer.write(data)
                await writer.drain()


@contextmanager
def neon_front(database_url: str, *, pooled: bool = True) -> Iterator[NeonFront]:
    """Start a front for a database of the embedded server."""
    directory = Path(tempfile.mkdtemp(prefix="todo-api-neon-"))
    front, started = NeonFront(database_url, directory, pooled=pooled), threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(front.run(started)), daemon=True)
    thread.start()
    try:
        assert started.wait(DEADLINE), "the front did not start"
        yield front
    finally:
        front.stop()
        thread.join(DEADLINE)
        shutil.rmtree(directory)


async def _read_startup(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    length, code = struct.unpack("!II", await reader.readexactly(8))
    return code, await reader.readexactly(length - 8)


def _startup(code: int, content: bytes) -> bytes:
    return struct.pack("!II", len(content) + 8, code) + content


def _parse(content: bytes) -> dict[str, str]:
    words = content.decode().split("\0")
    return {name: value for name, value in zip(words[::2], words[1::2], strict=False) if name}


def _format(parameters: dict[str, str]) -> bytes:
    return b"".join(f"{name}\0{value}\0".encode() for name, value in parameters.items()) + b"\0"


def _error(message: str) -> bytes:
    """Return an ErrorResponse with the severity and SQLSTATE that Neon's proxy uses for every error."""
    fields = f"SERROR\0VERROR\0CXX000\0M{message}\0\0".encode()
    return b"E" + struct.pack("!I", len(fields) + 4) + fields

"""The end of the service: no acknowledged write is lost, and SIGTERM completes the running requests."""

import asyncio
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import asyncpg
import httpx
import pytest

from fastapi_contract.serving.server import SHUTDOWN_TIMEOUT
from fastapi_contract.serving.shutdown import ignore_new_handshakes
from support.service import SECRET
from support.serving import LIMIT, Serving, serving, wait_for
from support.traffic import Traffic
from todo_api.auth.tokens import sign

CLIENTS = 10
"""Fewer than the connections of the pool, so all requests reach the database."""

WAITING_STATEMENTS = "SELECT count(*) FROM pg_locks WHERE relation = 'task'::regclass AND NOT granted"


@pytest.fixture
def service(tmp_path: Path, database_url: str) -> Iterator[Serving]:
    with serving(tmp_path, DATABASE_URL=database_url, BETTER_AUTH_SECRET=SECRET) as service:
        yield service


@pytest.fixture
def traffic(service: Serving, user: str, request: pytest.FixtureRequest) -> Iterator[Traffic]:
    traffic = Traffic(f"http://127.0.0.1:{service.port}", user, clients=CLIENTS)
    yield traffic
    name = request.node.name.removeprefix("test_").replace("_", " ")
    request.node.user_properties.append(("faults", f"End of the service, {name}: {traffic.summary()}"))


def test_kill_9_loses_no_acknowledged_write(service: Serving, traffic: Traffic, database_url: str) -> None:
    with traffic.running():
        traffic.wait_until(lambda: traffic.succeeded() >= 500)
        service.process.kill()
        service.process.wait(LIMIT)
    assert {each.status for each in traffic.sent} <= {200, 201, None}
    assert asyncio.run(traffic.discrepancies(database_url)) == []


@contextmanager
def locked_table(database_url: str, clients: int) -> Iterator[None]:
    """Locks the table until the block ends. The block begins when a statement of each client is waiting."""
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(database_url))
        try:
            runner.run(connection.execute("BEGIN"))
            runner.run(connection.execute("LOCK TABLE task"))
            wait_for(lambda: runner.run(connection.fetchval(WAITING_STATEMENTS)) == clients, "statement of each client")
            yield
        finally:
            runner.run(connection.close())


def rejects_connections(service: Serving) -> bool:
    try:
        httpx.get(f"http://127.0.0.1:{service.port}/health")
    except httpx.ConnectError:
        return True
    return False


def test_sigterm_completes_running_requests(service: Serving, traffic: Traffic, database_url: str) -> None:
    with traffic.running():
        traffic.wait_until(lambda: traffic.succeeded() >= 500)
        with locked_table(database_url, CLIENTS):
            before = traffic.succeeded()
            service.process.terminate()
            started = time.monotonic()
            wait_for(lambda: rejects_connections(service), "end of the listener")
    assert service.process.wait(LIMIT) == 0
    assert time.monotonic() - started < SHUTDOWN_TIMEOUT
    assert traffic.succeeded() == before + CLIENTS
    assert {each.status for each in traffic.sent} <= {200, 201, None}, "a request sent after the end has no status"
    assert asyncio.run(traffic.discrepancies(database_url)) == []


class Clients:
    """Send one request after the other until no connection is accepted any more. Half of the clients keep their
    connection, the others open one for each request."""

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        self._requests = (
            b"GET /api/demo/tasks?limit=1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n" % token.encode(),
            b"POST /api/demo/tasks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
            b"Content-Type: application/json\r\nContent-Length: 13\r\n" % token.encode(),
        )
        self.answered = 0
        self.lost: list[str] = []

    async def run(self, count: int, stop_after: int, process: subprocess.Popen[str]) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(count):
                group.create_task(self._send(keep=number % 2 == 0))
            while self.answered < stop_after:
                await asyncio.sleep(0.01)
            process.terminate()

    async def _send(self, *, keep: bool) -> None:
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            except OSError:
                return
            try:
                await self._use(reader, writer, keep=keep)
            except (OSError, asyncio.IncompleteReadError) as error:
                self.lost.append(repr(error))
            finally:
                writer.close()

    async def _use(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, keep: bool) -> None:
        head = b""
        while b"connection: close" not in head:
            request, body = self._requests[self.answered % 2], b'{"title":"x"}' if self.answered % 2 else b""
            writer.write(request + (b"" if keep else b"Connection: close\r\n") + b"\r\n" + body)
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head)
            assert length is not None
            await reader.readexactly(int(length[1]))
            assert head.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 201 "))
            self.answered += 1


@pytest.mark.parametrize("workers", [1, 2], ids=["one worker", "two workers"])
def test_sigterm_resets_no_request(
    tmp_path: Path, database_url: str, workers: int, record_property: Callable[[str, object], None]
) -> None:
    """Four shutdowns per number of workers. Closing the listener with its queue had reset 69 of 4,823 requests."""
    answered = 0
    for _ in range(4):
        settings = {"DATABASE_URL": database_url, "BETTER_AUTH_SECRET": SECRET}
        with serving(tmp_path, "--workers", str(workers), **settings) as service:
            clients = Clients(service.port, sign(SECRET, "demo", lifetime=600))
            asyncio.run(clients.run(16, 500, service.process))
            assert clients.lost == []
            assert service.process.wait(SHUTDOWN_TIMEOUT) == 0
            answered += clients.answered
    record_property("faults", f"4 shutdowns with {workers} workers under 16 clients: {answered} answered, 0 reset")


@pytest.mark.parametrize(("platform", "accepted"), [("linux", 0), ("other", 1)], ids=["filter", "backlog"])
def test_listener_accepts_no_new_connection_during_a_shutdown(
    platform: str, accepted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as connections:
        address = listener.getsockname()
        connections.enter_context(socket.create_connection(address))
        listener.accept()[0].close()
        monkeypatch.setattr(sys, "platform", platform)
        ignore_new_handshakes([listener])
        for _ in range(accepted):
            connections.enter_context(socket.create_connection(address))
        with pytest.raises(TimeoutError):
            socket.create_connection(address, timeout=0.2)


def test_sigterm_does_not_wait_for_a_response_that_never_comes(
    service: Serving, traffic: Traffic, database_url: str
) -> None:
    with traffic.running():
        traffic.wait_until(lambda: traffic.succeeded() >= 50)
        with locked_table(database_url, CLIENTS):
            service.process.terminate()
            assert service.process.wait(SHUTDOWN_TIMEOUT) == 0
    assert {each.status for each in traffic.sent} <= {200, 201, 503, None}
    cancelled = [each for each in traffic.sent if each.status == 503]
    assert len(cancelled) == CLIENTS
    assert all(("may have been carried out" in each.error) is (each.method != "GET") for each in cancelled)
    assert asyncio.run(traffic.discrepancies(database_url)) == []

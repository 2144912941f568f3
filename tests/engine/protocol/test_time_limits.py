"""Clients that are slow or silent, and handlers that do not end, have limited time; others are not affected."""

import asyncio
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import cast

import asyncpg
import pytest
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

import todo_api.app
from fastapi_contract.serving import shutdown
from fastapi_contract.serving.limits import ConnectionLimits
from support.raw import connect, exchange, read_to_end, statuses
from support.service import Service, running, settings_for
from support.serving import LIMIT
from support.targets import END, problem

SHORT = 0.5
"""Seconds of the limit that a test exceeds. All others are long."""
HEALTH = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"

Serve = Callable[..., AbstractContextManager[Service]]


@pytest.fixture
def serve(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Serve:
    """Serve with the given limits, compared every 0.1 s."""
    monkeypatch.setattr(shutdown, "TICKS_PER_CHECK", 1)
    app = todo_api.app.create_app(settings_for(database_url))
    return lambda **limits: running(app, ConnectionLimits(**limits))


def trickle(connection: socket.socket, packet: bytes) -> None:
    """Send a packet every 50 ms until the server answers or closes the connection."""
    deadline = time.monotonic() + LIMIT
    while not select.select([connection], [], [], 0.05)[0]:
        assert time.monotonic() < deadline, "the server waits for ever"
        connection.sendall(packet)


def ask(connection: socket.socket) -> bool:
    """Return whether a connection is open, and the server answers on it."""
    try:
        connection.sendall(HEALTH)
        return connection.recv(65536).startswith(b"HTTP/1.1 200 ")
    except ConnectionError:
        return False


class TestHeaders:
    def test_incomplete_headers_are_408_after_the_timeout(self, serve: Serve) -> None:
        """All connections wait at the same time."""
        answers = {
            b"": [],
            b"\r\n" * 10: [],
            b"GET /hea": [408],
            b"GET /health HTTP/1.1\r\nHost: x\r\nX-Part": [408],
            HEALTH + b"GET /he": [200, 408],
        }
        with serve(headers_timeout=SHORT) as service, ExitStack() as stack:
            connections = [stack.enter_context(connect(service.url, 30)) for _ in answers]
            for connection, sent in zip(connections, answers, strict=True):
                connection.sendall(sent)
            assert [statuses(read_to_end(connection)) for connection in connections] == list(answers.values())

    def test_headers_that_trickle_are_408(self, serve: Serve) -> None:
        with serve(headers_timeout=SHORT) as service, connect(service.url, 30) as connection:
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n")
            trickle(connection, b"A: b\r\n")
            received = read_to_end(connection)
        assert (statuses(received), problem(received)) == ([408], "/problems/request-timeout")


class TestBody:
    def head(self, service: Service, user: str, *headers: str) -> bytes:
        token = f"Authorization: Bearer {service.token(user)}"
        lines = [f"POST /api/{user}/tasks HTTP/1.1", "Host: x", token, "Content-Type: application/json", *headers]
        return "\r\n".join([*lines, "", ""]).encode()

    @pytest.mark.parametrize(
        ("header", "packet"),
        [
            ("Content-Length: 60000", b" "),
            ("Transfer-Encoding: chunked", b"1\r\n \r\n"),
            ("Transfer-Encoding: chunked", b"1;a=b"),
            ("Content-Length: 60000", b""),
        ],
        ids=["length", "chunks", "chunk extension", "silence"],
    )
    @pytest.mark.parametrize("earlier", [0, 2], ids=["first request", "third request"])
    def test_body_that_trickles_is_408_and_stores_nothing(
        self, serve: Serve, user: str, header: str, packet: bytes, earlier: int
    ) -> None:
        with serve(body_timeout=SHORT) as service, connect(service.url, 30) as connection:
            for _ in range(earlier):
                assert ask(connection)
            connection.sendall(self.head(service, user, header))
            trickle(connection, packet)
            received = read_to_end(connection)
            assert service.client(user).get(f"/api/{user}/tasks").json()["items"] == []
        assert (statuses(received), problem(received)) == ([408], "/problems/request-timeout")
        assert b"connection: close" in received

    def test_body_of_a_request_that_was_answered_is_not_waited_for(self, serve: Serve) -> None:
        with serve(body_timeout=SHORT) as service:
            received = exchange(
                service.url, b"POST /api/a/tasks HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n", timeout=30
            )
        assert statuses(received) == [401]

    @pytest.mark.parametrize("expects", [False, True], ids=["paused", "expects 100"])
    def test_body_that_the_handler_does_not_read_yet_is_not_408(self, serve: Serve, expects: bool) -> None:
        reading = threading.Event()

        async def late(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["path"] != "/health":
                await asyncio.to_thread(reading.wait)
                while (await receive())["more_body"]:
                    pass
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body"})

        head = b"POST /late HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 262144\r\n"
        # The limits are compared every 0.1 s, as `serve` has set.
        with (
            running(cast("FastAPI", late), ConnectionLimits(body_timeout=SHORT)) as service,
            connect(service.url, 30) as connection,
            connect(service.url) as other,
        ):
            connection.sendall(head + (b"Expect: 100-continue\r\n\r\n" if expects else b"\r\n" + bytes(262144)))
            start = time.monotonic()
            while time.monotonic() - start < 3 * SHORT:
                assert ask(other)
            reading.set()
            if expects:
                assert statuses(connection.recv(65536)) == [100]
                connection.sendall(bytes(262144))
            assert statuses(read_to_end(connection)) == [200]

    def test_slow_body_within_the_timeout_is_read(self, serve: Serve, user: str) -> None:
        body = b'{"title": "slow"}'
        with serve() as service:
            head = self.head(service, user, f"Content-Length: {len(body)}")
            packets = [body[at : at + 1] for at in range(len(body))]
            assert statuses(exchange(service.url, head, *packets, END)) == [201, 200]


class TestUnreadAnswer:
    REQUEST = b"GET /openapi.yaml HTTP/1.1\r\nHost: x\r\n\r\n"
    """Its answer has 67 KB. A hundred are larger than the buffers of sockets."""

    def client(self, service: Service) -> socket.socket:
        host, port = service.url.removeprefix("http://").split(":")
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(30)
        connection.connect((host, int(port)))
        return connection

    def test_client_that_never_reads_is_cut_off(self, serve: Serve) -> None:
        with serve(write_timeout=SHORT) as service, self.client(service) as connection:
            connection.sendall(self.REQUEST * 100)
            poll = select.poll()
            poll.register(connection, 0)
            [(_, event)] = poll.poll(30_000)
        assert event & (select.POLLHUP | select.POLLERR)

    @pytest.mark.parametrize("count", [2000, 1], ids=["many answers", "one large answer"])
    def test_client_that_reads_slowly_is_not_cut_off(self, serve: Serve, count: int) -> None:
        """It reads 400 KiB/s, three times as fast as it must."""

        async def large(scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": bytes(10**7) if scope["path"] != "/health" else b""})

        limits = ConnectionLimits(write_timeout=SHORT)
        context = serve(write_timeout=SHORT) if count > 1 else running(cast("FastAPI", large), limits)
        with context as service, self.client(service) as connection, connect(service.url) as other:
            connection.sendall(self.REQUEST * count)
            start, received = time.monotonic(), 0
            while (elapsed := time.monotonic() - start) < 4 * SHORT:
                if received < elapsed * 400 * 1024:
                    chunk = connection.recv(4096)
                    assert chunk
                    received += len(chunk)
                else:
                    assert ask(other)


@contextmanager
def locked_tasks(database_url: str) -> Iterator[None]:
    """No statement on the table of tasks ends meanwhile."""
    release, locked = threading.Event(), threading.Event()

    async def lock() -> None:
        connection = await asyncpg.connect(database_url)
        async with connection.transaction():
            await connection.execute("LOCK TABLE task")
            locked.set()
            await asyncio.to_thread(release.wait)
        await connection.close()

    thread = threading.Thread(target=lambda: asyncio.run(lock()))
    thread.start()
    assert locked.wait(30)
    try:
        yield
    finally:
        release.set()
        thread.join()


class TestHandler:
    def test_handler_that_does_not_end_is_503_with_retry_after(
        self, serve: Serve, database_url: str, user: str
    ) -> None:
        with serve(request_timeout=SHORT) as service:
            client = service.client(user)
            with locked_tasks(database_url):
                answer = client.get(f"/api/{user}/tasks")
                assert client.get("/health").status_code == 200
            assert answer.status_code == 503
            assert int(answer.headers["Retry-After"]) > 0
            assert client.post(f"/api/{user}/tasks", json={"title": "later"}).status_code == 201

    def test_write_that_does_not_end_is_503_and_stores_nothing(
        self, serve: Serve, database_url: str, user: str
    ) -> None:
        with serve(request_timeout=SHORT) as service:
            client = service.client(user)
            with locked_tasks(database_url):
                assert client.post(f"/api/{user}/tasks", json={"title": "lost"}).status_code == 503
            assert client.get(f"/api/{user}/tasks").json()["items"] == []

    def test_stream_is_not_cut_off(self, serve: Serve) -> None:
        """A response that has begun may take any time."""
        ending = threading.Event()

        async def stream(scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"begin", "more_body": True})
            if scope["path"] == "/stream":
                await asyncio.to_thread(ending.wait)
            await send({"type": "http.response.body", "body": b"end"})

        limits = ConnectionLimits(request_timeout=SHORT, write_timeout=SHORT, body_timeout=SHORT, idle_timeout=SHORT)
        with (
            running(cast("FastAPI", stream), limits) as service,
            connect(service.url) as streaming,
            connect(service.url) as other,
        ):
            streaming.sendall(HEALTH.replace(b"/health", b"/stream"))
            start = time.monotonic()
            while time.monotonic() - start < 3 * SHORT:
                other.sendall(HEALTH)
                received = b""
                while not received.endswith(b"0\r\n\r\n"):
                    received += other.recv(65536)
            ending.set()
            assert read_to_end(streaming).endswith(b"begin\r\n3\r\nend\r\n0\r\n\r\n")


class TestIdle:
    @pytest.mark.parametrize("packet", [b"", b"\r\n"], ids=["silent", "empty lines"])
    def test_idle_connection_is_closed(self, serve: Serve, packet: bytes) -> None:
        with serve(idle_timeout=SHORT) as service, connect(service.url, 30) as connection:
            assert ask(connection)
            trickle(connection, packet)
            assert read_to_end(connection) == b""

    def test_connection_in_use_stays_open(self, serve: Serve) -> None:
        with serve(idle_timeout=SHORT) as service, connect(service.url) as connection:
            start = time.monotonic()
            while time.monotonic() - start < 3 * SHORT:
                assert ask(connection)


class TestNumber:
    @pytest.mark.parametrize(
        ("sent", "received"),
        [(HEALTH, 200), (b"GET /hea", None), (b"POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n", 405)],
        ids=["idle", "in headers", "in a body"],
    )
    def test_connection_that_waits_longest_is_closed_for_a_new_one(
        self, serve: Serve, sent: bytes, received: int | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Nothing is known from a check.
        monkeypatch.setattr(shutdown, "TICKS_PER_CHECK", 10**9)
        with serve(connections=10) as service, ExitStack() as stack:
            connections = [stack.enter_context(connect(service.url)) for _ in range(10)]
            for connection in reversed(connections):
                connection.sendall(sent)
                if received is not None:
                    assert statuses(connection.recv(65536)) == [received]
            new = [stack.enter_context(connect(service.url)) for _ in range(5)]
            assert all(ask(connection) for connection in new)
            closed, _, _ = select.select(connections, [], [], 30)
            # In the order of their last responses, or of their starts.
            assert closed == (connections[:5] if received is None else connections[5:])

    def test_connection_with_a_running_request_is_not_closed(self, serve: Serve, database_url: str, user: str) -> None:
        with serve(connections=10) as service, ExitStack() as stack:
            request = (
                f"GET /api/{user}/tasks HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                f"Authorization: Bearer {service.token(user)}\r\n\r\n"
            ).encode()
            with locked_tasks(database_url):
                connections = [stack.enter_context(connect(service.url, 30)) for _ in range(10)]
                for connection in connections:
                    connection.sendall(request)
                assert not ask(stack.enter_context(connect(service.url)))
            assert [statuses(read_to_end(connection)) for connection in connections] == [[200]] * 10

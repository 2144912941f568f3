"""Many slow clients at once: others are served all the while, and the service needs little memory for them."""

import select
import selectors
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from support.load import latency, memory
from support.raw import connect, read_to_end, statuses
from support.service import SECRET
from support.serving import LIMIT, serving
from support.targets import Target
from todo_api.auth.tokens import sign

SETTINGS = {"HEADERS_TIMEOUT": "1", "BODY_TIMEOUT": "1", "WRITE_TIMEOUT": "1", "IDLE_TIMEOUT": "1"}
GIB, MIB = 1024**3, 1024**2

Ends = Counter[str]
"""How many connections of an attack ended in which way."""


@pytest.fixture(scope="module")
def slow_target(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with target_of(database_url, tmp_path_factory.mktemp("server"), "1") as target:
        yield target


@contextmanager
def target_of(database_url: str, directory: Path, workers: str) -> Iterator[Target]:
    settings = {"DATABASE_URL": database_url, "BETTER_AUTH_SECRET": SECRET, **SETTINGS}
    with serving(directory, "--workers", workers, **settings) as running:
        url, user = f"http://127.0.0.1:{running.port}", "slow"
        yield Target(url, user, sign(SECRET, user, lifetime=600), 0, running.process.pid)


def trickle(target: Target, count: int, begin: bytes, more: bytes) -> Ends:
    """Send `begin` on each of `count` connections, and then `more` every 50 ms, until the server has closed all."""
    ends: Ends = Counter()
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        for _ in range(count):
            connection = stack.enter_context(connect(target.url, 30))
            connection.sendall(begin)
            selector.register(connection, selectors.EVENT_READ)
        deadline = time.monotonic() + LIMIT
        while waiting := selector.get_map():
            assert time.monotonic() < deadline, f"{len(waiting)} connections are still open"
            readable = [connection_of(key) for key, _ in selector.select(0.05)]
            for connection in readable:
                selector.unregister(connection)
                ends[end_of(connection)] += 1
            for key in waiting.values():
                # A reset is read next.
                with suppress(ConnectionError):
                    connection_of(key).sendall(more)
    return ends


def never_read(target: Target, count: int) -> Ends:
    """Request 2 MB on each of `count` connections, and read nothing until the server has closed all."""
    ends: Ends = Counter()
    poll = select.poll()
    with ExitStack() as stack:
        for _ in range(count):
            connection = stack.enter_context(connect(target.url, 30))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(b"GET /openapi.yaml HTTP/1.1\r\nHost: x\r\n\r\n" * 30)
            # Of no event but an error and the end of the connection, which are always reported.
            poll.register(connection, 0)
        while ends.total() < count:
            closed = poll.poll(LIMIT * 1000)
            assert closed, f"{count - ends.total()} connections are still open"
            for descriptor, event in closed:
                poll.unregister(descriptor)
                ends["reset" if event & select.POLLERR else "closed"] += 1
    return ends


def send_without_end(target: Target) -> Ends:
    """Send a body of 1 GiB in chunks, or as much as the server accepts."""
    head = target.head(f"POST /api/{target.user}/tasks", "Content-Type: application/json", "Transfer-Encoding: chunked")
    with connect(target.url, 30) as connection:
        with suppress(ConnectionError):
            connection.sendall(head)
            for _ in range(GIB // MIB):
                connection.sendall(b"%x\r\n%s\r\n" % (MIB, bytes(MIB)))
        return Counter({end_of(connection): 1})


def connection_of(key: selectors.SelectorKey) -> socket.socket:
    assert isinstance(key.fileobj, socket.socket)
    return key.fileobj


def end_of(connection: socket.socket) -> str:
    return " and ".join(map(str, statuses(read_to_end(connection)))) or "closed"


HEAD = b"POST /api/slow/tasks HTTP/1.1\r\nHost: x\r\n"
ATTACKS: dict[str, tuple[Callable[[Target], Ends], set[str]]] = {
    "500 headers that trickle": (partial(trickle, count=500, begin=HEAD, more=b"A: b\r\n"), {"408"}),
    "500 bodies that trickle": (
        lambda target: trickle(
            target,
            500,
            target.head("POST /api/slow/tasks", "Content-Type: application/json", "Content-Length: 60000"),
            b" ",
        ),
        {"408"},
    ),
    "1,000 idle connections": (
        partial(trickle, count=1000, begin=b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n", more=b""),
        {"200"},
    ),
    "1,000 silent connections": (partial(trickle, count=1000, begin=b"", more=b""), {"closed"}),
    "200 clients that never read": (partial(never_read, count=200), {"reset"}),
    "a chunked body of 1 GiB": (send_without_end, {"413"}),
}


@pytest.mark.parametrize(("attack", "ends"), ATTACKS.values(), ids=ATTACKS)
def test_others_are_served_while_slow_clients_are_cut_off(
    slow_target: Target,
    attack: Callable[[Target], Ends],
    ends: set[str],
    record_property: Callable[[str, object], None],
    request: pytest.FixtureRequest,
) -> None:
    """Prints memory and the latency of other clients."""
    before, quiet = memory(slow_target.process), latency(slow_target.url, lambda: True)
    found, peak = Ends(), [before]
    thread = threading.Thread(target=lambda: found.update(attack(slow_target)))
    thread.start()

    def is_over() -> bool:
        peak.append(memory(slow_target.process))
        return not thread.is_alive()

    busy = latency(slow_target.url, is_over)
    thread.join()
    growth = (max(peak) - before) / 1e6
    record_property(
        "slow clients",
        f"{request.node.callspec.id}: {', '.join(f'{count} × {end}' for end, count in found.items())}, "
        f"{growth:.0f} MB more memory, others' p99 {quiet:.1f} ms before and {busy:.1f} ms meanwhile",
    )
    assert found.keys() == ends
    assert growth < 100


def test_each_of_several_workers_has_the_limits(database_url: str, tmp_path: Path) -> None:
    with target_of(database_url, tmp_path, "2") as target:
        assert trickle(target, 20, HEAD, b"A: b\r\n") == {"408": 20}

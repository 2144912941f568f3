"""A real Redis or Valkey, which a test can stop and pause."""

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from support import debian
from support.ports import free_port

LIMIT = 30
"""Timeout of the start in seconds."""


@dataclass
class Redis:
    port: int
    directory: Path
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start without persistence, and return when it accepts connections."""
        program = debian.require("redis-server", "valkey-server", "redis-server", "usr/bin/redis-server")
        arguments = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self.directory)]
        self._process = subprocess.Popen(
            [program, *arguments], env=debian.libraries(program), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + LIMIT
        while not self._listens():
            assert self._process.poll() is None, "Redis did not start"
            assert time.monotonic() < deadline, f"Redis does not answer within {LIMIT} s"
            time.sleep(0.01)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(LIMIT)
            self._process = None

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Connections are accepted, and nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def _listens(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False


@contextmanager
def redis() -> Iterator[Redis]:
    directory = Path(tempfile.mkdtemp(prefix="todo-api-redis-"))
    server = Redis(free_port(), directory)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory)

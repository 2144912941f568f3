"""`todo-api serve` and the other commands as processes."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from support.ports import next_port
from support.service import NO_TLS
from todo_api.contract import load_contract

COMMAND = [sys.executable, "-m", "todo_api"]
LIMIT = 60
"""Timeout of a start or a stop in seconds, for a busy machine."""


def environment(directory: Path, **settings: str) -> dict[str, str]:
    defaults = {
        "PATH": os.environ["PATH"],
        "DATA_DIR": str(directory / "data"),
        "LOG_FORMAT": "json",
        "RATE_LIMIT_USER": "0",
    }
    return {**defaults, **settings}


def run(directory: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=directory,
        env=environment(directory, **settings),
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )


def wait_for(condition: Callable[[], object], description: str) -> None:
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, f"no {description} within {LIMIT} s"
        time.sleep(0.02)


def is_answering(url: str) -> bool:
    try:
        httpx.get(f"{url}/health", verify=NO_TLS)
    except httpx.TransportError:
        return False
    return True


@dataclass
class Serving:
    process: subprocess.Popen[str]
    directory: Path
    port: int
    host: str = "127.0.0.1"
    clients: ExitStack = field(default_factory=ExitStack)

    @property
    def output(self) -> str:
        return (self.directory / "output").read_text()

    def answers(self) -> bool:
        assert self.process.poll() is None, self.output
        return is_answering(f"http://{self.host}:{self.port}")

    def client(self, user: str = "demo") -> httpx.Client:
        token = run(self.directory, "token", user).stdout.strip()
        url = f"http://127.0.0.1:{self.port}{load_contract().base_path}/api/{user}"
        client = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"})
        return self.clients.enter_context(client)

    def stop(self) -> int:
        """Send SIGTERM and return the exit code. A client that keeps its connection open must not delay it."""
        self.process.terminate()
        return self.process.wait(LIMIT)


@contextmanager
def serving(directory: Path, *arguments: str, **settings: str) -> Iterator[Serving]:
    """Run `todo-api serve` on a free port of 127.0.0.1, or on the address in its log if `arguments` contain a port."""
    port = next_port()
    with (directory / "output").open("w") as output:
        process = subprocess.Popen(
            [*COMMAND, "serve", "--port", str(port), *arguments],
            cwd=directory,
            env=environment(directory, **settings),
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )
    service = Serving(process, directory, port)
    try:
        if "--port" in arguments:
            wait_for(lambda: '"serving"' in service.output or process.poll() is not None, "port")
            address = re.search(r'"url":"http://([^"]+):([0-9]+)"', service.output)
            assert address is not None, service.output
            service.host, service.port = address[1], int(address[2])
        wait_for(service.answers, "answer")
        yield service
    finally:
        if process.poll() is None:
            service.stop()
        service.clients.close()

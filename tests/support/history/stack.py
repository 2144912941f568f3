"""Two services on one database, one of them through PgBouncer, and the faults of everything between them."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from support import ROOT
from support.black_hole import BlackHole, black_hole
from support.pgbouncer import PgBouncer, pgbouncer
from support.ports import free_port
from support.postgres import Postgres, new_postgres
from support.service import SECRET
from support.serving import COMMAND, LIMIT, environment, is_answering, wait_for
from todo_api.database import migrate

# Short, so that a fault takes seconds.
TIMEOUTS = {
    "DATABASE_CONNECT_TIMEOUT": "1",
    "DATABASE_WAIT_TIMEOUT": "2",
    "DATABASE_STATEMENT_TIMEOUT": "2",
}
OUTAGE = 2.5
"""Duration of a black hole in seconds, longer than each timeout."""


class ServiceProcess:
    """`todo-api serve` on a port that it keeps when it is killed and started again."""

    def __init__(self, command: Sequence[str], directory: Path, database_url: str) -> None:
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._command = [*command, "serve", "--port", str(self._port)]
        self._directory = directory
        self._environment = environment(
            directory, DATABASE_URL=database_url, BETTER_AUTH_SECRET=SECRET, PYTHONPATH=str(ROOT / "tests"), **TIMEOUTS
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and return when it answers."""
        with (self._directory / "output").open("ab") as output:
            process = self._process = subprocess.Popen(
                self._command, cwd=self._directory, env=self._environment, stdout=output, stderr=output
            )

        def answers() -> bool:
            assert process.poll() is None, (self._directory / "output").read_text()
            return is_answering(self.url)

        wait_for(answers, "answer")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(LIMIT)
            self._process = None

    def restart(self) -> None:
        self.kill()
        self.start()


@dataclass
class Databases:
    postgres: Postgres
    pooler: PgBouncer
    holes: list[BlackHole]
    """In front of PostgreSQL, and of the pooler."""

    @property
    def urls(self) -> list[str]:
        """URLs of the same database: of PostgreSQL and of the pooler, through the black holes."""
        return [
            _with_port(url, hole.port)
            for url, hole in zip((self.postgres.url, self.pooler.url), self.holes, strict=True)
        ]


@contextmanager
def new_databases() -> Iterator[Databases]:
    with ExitStack() as stack:
        postgres = stack.enter_context(new_postgres())
        migrate.upgrade(postgres.url)
        pooler = stack.enter_context(pgbouncer(postgres.socket_url))
        ports = [urlsplit(url).port or 0 for url in (postgres.url, pooler.url)]
        yield Databases(postgres, pooler, [stack.enter_context(black_hole(port)) for port in ports])


@dataclass
class Stack:
    databases: Databases
    services: list[ServiceProcess]
    """On PostgreSQL, and on the pooler."""

    @property
    def urls(self) -> list[str]:
        return [service.url for service in self.services]


@contextmanager
def serving_stack(databases: Databases, directory: Path, command: Sequence[str] = COMMAND) -> Iterator[Stack]:
    """Start both services with a command in place of `todo-api`."""
    with ExitStack() as stack:
        services = []
        for number, url in enumerate(databases.urls):
            own = directory / str(number)
            own.mkdir()
            service = ServiceProcess(command, own, url)
            stack.callback(service.kill)
            service.start()
            services.append(service)
        yield Stack(databases, services)


def _with_port(url: str, port: int) -> str:
    parts = urlsplit(url)
    account, _, address = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{account}@{address.partition(':')[0]}:{port}"))


def _stop_postgres(stack: Stack) -> None:
    with stack.databases.postgres.stopped(signal.SIGINT):
        pass


def _kill_postgres(stack: Stack) -> None:
    stack.databases.postgres.kill()
    stack.databases.postgres.start()


def _lose_confirmations(stack: Stack) -> None:
    with stack.databases.postgres.unconfirmed_commits(4):
        stack.databases.postgres.end_connections()


def _swallow(stack: Stack, *, requests: bool) -> None:
    with ExitStack() as swallowing:
        for hole in stack.databases.holes:
            swallowing.enter_context(hole.swallowing(requests=requests))
        time.sleep(OUTAGE)


FAULTS: Mapping[str, Callable[[Stack], None]] = {
    "PostgreSQL stopped": _stop_postgres,
    "PostgreSQL killed": _kill_postgres,
    "connections ended after the commit": _lose_confirmations,
    "pooler killed": lambda stack: stack.databases.pooler.restart(),
    "black hole": lambda stack: _swallow(stack, requests=True),
    "black hole for answers": lambda stack: _swallow(stack, requests=False),
    "service killed": lambda stack: stack.services[0].restart(),
    "pooled service killed": lambda stack: stack.services[1].restart(),
}
"""Each returns when everything runs again. Clients also leave without waiting for their answers, all the time."""

"""A real PostgreSQL, a real server, and clients that hold every response against the contract.

One embedded PostgreSQL serves the whole run; every worker of pytest-xdist has a database of its own and a server
of its own in a thread. Every test uses users of its own, so that none sees another's tasks.
"""

import asyncio
import functools
import itertools
import logging
import os
import shutil
import ssl
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import httpx
import pytest
import structlog
from contract_watch import ContractWatch
from fastapi import FastAPI
from pgbouncer import PgBouncer, pgbouncer
from waivers import WAIVERS

import todo_api.app
from fastapi_contract.server import bind, configuration
from fastapi_contract.shutdown import Server
from todo_api import logs
from todo_api.auth.tokens import sign
from todo_api.database import migrate
from todo_api.embedded import embedded_postgres
from todo_api.settings import Settings

SECRET = "a secret of the tests, 32 bytes or more"
WATCH = ContractWatch()

Promise = tuple[str, int]
_cluster = ExitStack()
_seen: set[Promise] = set()


# --- the run: one PostgreSQL for all workers, and every promise of the contract seen at its end


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--no-shortcut",
        action="store_true",
        help="FastAPI alone answers in every service that the tests make, apart from tests of the shortcut itself",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.option.no_shortcut:
        # The modules of the tests import it later than this.
        todo_api.app.create_app = functools.partial(todo_api.app.create_app, shortcut=False)
    logs.configure("console", "info")
    # By way of logging, and to pytest alone: it shows the lines of a test that fails, and no others.
    structlog.configure(logger_factory=structlog.stdlib.LoggerFactory())
    logging.getLogger().handlers.clear()
    if _is_worker(config) or config.option.collectonly:
        return
    # Directly under the system's: as root the server runs as another user, who can't reach pytest's own.
    directory = Path(tempfile.mkdtemp(prefix="todo-api-tests-"))
    _cluster.callback(shutil.rmtree, directory, ignore_errors=True)
    server = _cluster.enter_context(embedded_postgres(directory / "postgres"))
    os.environ["TEST_DATABASE_URL"] = server.url
    os.environ["TEST_ADMIN_URL"] = server.admin_url


def pytest_unconfigure() -> None:
    _cluster.close()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    _seen.update((operation, status) for operation, status in node.workeroutput.get("seen", ()))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    config = session.config
    if _is_worker(config):
        config.workeroutput["seen"] = sorted(WATCH.seen)  # type: ignore[attr-defined]
        return
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS and not (
        config.option.keyword
        or config.option.markexpr
        or config.option.collectonly
        or getattr(config.option, "lf", False)
    )
    if whole and session.exitstatus == pytest.ExitCode.OK:
        config.stash[_UNSEEN] = WATCH.unseen(_seen | WATCH.seen, WAIVERS)
        if config.stash[_UNSEEN]:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


_UNSEEN = pytest.StashKey[list[str]]()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash.get(_UNSEEN, []):
        terminalreporter.write_line(f"contract: {line}", red=True)
    for report in itertools.chain.from_iterable(terminalreporter.stats.values()):
        # The last report of a test has all that it noted.
        if getattr(report, "when", None) == "teardown":
            for name, value in report.user_properties:
                terminalreporter.write_line(f"{name}: {value}")


# --- databases


def _with_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def execute(url: str, statement: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())


@contextmanager
def new_database() -> Iterator[str]:
    name, admin = f"test_{uuid.uuid4().hex}", os.environ["TEST_ADMIN_URL"]
    url = os.environ["TEST_DATABASE_URL"]
    execute(admin, f"CREATE DATABASE {name} OWNER {urlsplit(url).username}")
    try:
        yield _with_database(url, name)
    finally:
        execute(admin, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def empty_database_url() -> Iterator[str]:
    """A database of this test alone, without a schema."""
    with new_database() as url:
        yield url


@pytest.fixture(scope="session")
def database_url() -> Iterator[str]:
    """The migrated database of this worker."""
    with new_database() as url:
        migrate.upgrade(url)
        yield url


# --- services and clients


# httpx makes a context for each client otherwise: 60 ms, for a server that speaks no TLS.
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@dataclass
class Service:
    """A running service. Its clients hold every response against the contract."""

    url: str
    app: FastAPI
    _clients: ExitStack = field(default_factory=ExitStack)

    def token(self, user_id: str) -> str:
        return sign(SECRET, user_id, lifetime=600)

    def client(self, user_id: str | None = None, **headers: str) -> httpx.Client:
        """Sends the token of the user, where one is named."""
        if user_id is not None:
            headers["Authorization"] = f"Bearer {self.token(user_id)}"
        client = httpx.Client(
            base_url=self.url,
            headers=headers,
            event_hooks={"response": [WATCH.observe]},
            timeout=30,
            verify=_NO_TLS,
        )
        return self._clients.enter_context(client)

    def close(self) -> None:
        self._clients.close()


@contextmanager
def running(app: FastAPI) -> Iterator[Service]:
    """Serves an app over HTTP, as `todo-api serve` does, on a free port of the loopback."""
    server = Server(configuration(app))
    listener = bind("127.0.0.1", 0)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started:
        assert thread.is_alive(), "the service did not start"
        assert time.monotonic() < deadline, "the service does not answer"
        time.sleep(0.01)
    host, port = listener.getsockname()
    service = Service(f"http://{host}:{port}", app)
    try:
        yield service
    finally:
        service.close()
        server.should_exit = True
        thread.join(30)


def settings_for(database_url: str, **others: Any) -> Settings:
    values = {"database_url": database_url, "better_auth_secret": SECRET, **others}
    return Settings(_env_file=None, **values)


@pytest.fixture(scope="session")
def service(database_url: str) -> Iterator[Service]:
    with running(todo_api.app.create_app(settings_for(database_url))) as service:
        yield service


@pytest.fixture(scope="session")
def pooler(database_url: str) -> Iterator[PgBouncer]:
    """In front of the database of this worker."""
    with pgbouncer(database_url) as pooler:
        yield pooler


@pytest.fixture(scope="session")
def pooled_service(pooler: PgBouncer) -> Iterator[Service]:
    with running(todo_api.app.create_app(settings_for(pooler.url))) as service:
        yield service


@pytest.fixture
def user() -> str:
    """A user of this test alone."""
    return f"user-{uuid.uuid4().hex}"


@pytest.fixture
def client(service: Service, user: str) -> httpx.Client:
    """Calls as `user`."""
    return service.client(user)

"""A real PostgreSQL, a real server, and clients that hold every response against the contract.

One embedded PostgreSQL serves the whole run; every worker of pytest-xdist has a database of its own and a server
of its own in a thread. Every test uses users of its own, so that none sees another's tasks.
"""

import functools
import itertools
import logging
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog

import todo_api.app
from support.databases import new_database
from support.pgbouncer import PgBouncer, pgbouncer
from support.service import WATCH, Service, running, settings_for
from support.waivers import WAIVERS
from todo_api import logs
from todo_api.database import migrate
from todo_api.embedded import embedded_postgres

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

"""A real PostgreSQL, a real server, and clients that check every response against the contract.

One embedded PostgreSQL serves the whole run. Each worker of pytest-xdist has its own database, and its own server in a
thread. Each test has its own users, so that no test sees the tasks of another.
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
from support.contract_watch import Promise
from support.databases import new_database
from support.mutations import try_all
from support.operations import OPERATIONS, without_creator
from support.pgbouncer import PgBouncer, pgbouncer
from support.service import WATCH, Service, running, settings_for
from support.waivers import MUTANT_WAIVERS, PART_WAIVERS, WAIVERS
from todo_api import logs
from todo_api.database import migrate
from todo_api.embedded import embedded_postgres

_cluster = ExitStack()
_seen: set[Promise] = set()
_parts: set[str] = set()
_exchanges: list[str] = []


# --- the run: one PostgreSQL for all workers, and a check at its end that each promise of the contract was seen


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--no-shortcut",
        action="store_true",
        help="run every service of the tests without the shortcut, except in the tests of the shortcut itself",
    )
    parser.addoption("--record", type=Path, help="write the requests and responses of the run to a file")


def pytest_configure(config: pytest.Config) -> None:
    if config.option.no_shortcut:
        # Test modules import create_app later than this.
        todo_api.app.create_app = functools.partial(todo_api.app.create_app, shortcut=False)
    logs.configure("console", "info")
    # Log through logging, so that pytest captures the lines and shows them only if a test fails.
    structlog.configure(logger_factory=structlog.stdlib.LoggerFactory())
    logging.getLogger().handlers.clear()
    if _is_worker(config) or config.option.collectonly:
        return
    if lines := without_creator(OPERATIONS):
        raise pytest.UsageError("\n".join(lines))
    # Not in pytest's directory: under root, PostgreSQL runs as another user, which cannot read that directory.
    directory = Path(tempfile.mkdtemp(prefix="todo-api-tests-"))
    _cluster.callback(shutil.rmtree, directory, ignore_errors=True)
    server = _cluster.enter_context(embedded_postgres(directory / "postgres"))
    os.environ["TEST_DATABASE_URL"] = server.url
    os.environ["TEST_ADMIN_URL"] = server.admin_url


def pytest_unconfigure() -> None:
    _cluster.close()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    _seen.update(map(tuple, node.workeroutput.get("seen", ())))
    _parts.update(node.workeroutput.get("parts", ()))
    _exchanges.extend(node.workeroutput.get("exchanges", ()))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    config = session.config
    if _is_worker(config):
        config.workeroutput["seen"] = sorted(WATCH.seen)  # type: ignore[attr-defined]
        config.workeroutput["parts"] = sorted(WATCH.parts)  # type: ignore[attr-defined]
        config.workeroutput["exchanges"] = WATCH.recording.exchanges  # type: ignore[attr-defined]
        return
    exchanges = _exchanges + WATCH.recording.exchanges
    if config.option.record:
        config.option.record.parent.mkdir(exist_ok=True)
        config.option.record.write_text("\n".join(exchanges), encoding="utf-8")
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS and not (
        config.option.keyword
        or config.option.markexpr
        or config.option.collectonly
        or getattr(config.option, "lf", False)
    )
    if whole and session.exitstatus == pytest.ExitCode.OK:
        unseen = WATCH.unseen(_seen | WATCH.seen, WAIVERS)
        unseen += WATCH.unseen_parts(_parts | WATCH.parts, PART_WAIVERS)
        if not unseen:
            # Otherwise each unseen promise would be reported again, as several mutants.
            mutation = try_all(exchanges)
            config.stash[_MUTATION] = mutation.lines
            unseen = mutation.errors(MUTANT_WAIVERS)
        config.stash[_UNSEEN] = unseen
        if config.stash[_UNSEEN]:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


_MUTATION = pytest.StashKey[list[str]]()
_UNSEEN = pytest.StashKey[list[str]]()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash.get(_MUTATION, []):
        terminalreporter.write_line(f"contract: {line}")
    for line in config.stash.get(_UNSEEN, []):
        terminalreporter.write_line(f"contract: {line}", red=True)
    for report in itertools.chain.from_iterable(terminalreporter.stats.values()):
        # The last report of a test has all its properties.
        if getattr(report, "when", None) == "teardown":
            for name, value in report.user_properties:
                terminalreporter.write_line(f"{name}: {value}")


@pytest.fixture
def empty_database_url() -> Iterator[str]:
    """The URL of a new database without a schema, for one test."""
    with new_database() as url:
        yield url


@pytest.fixture(scope="session")
def database_url() -> Iterator[str]:
    """The URL of the migrated database of this worker."""
    with new_database() as url:
        migrate.upgrade(url)
        yield url


@pytest.fixture(scope="session")
def service(database_url: str) -> Iterator[Service]:
    """The service on the database of this worker."""
    with running(todo_api.app.create_app(settings_for(database_url))) as service:
        yield service


@pytest.fixture(scope="session")
def pooler(database_url: str) -> Iterator[PgBouncer]:
    """PgBouncer in front of the database of this worker."""
    with pgbouncer(database_url) as pooler:
        yield pooler


@pytest.fixture(scope="session")
def pooled_service(pooler: PgBouncer) -> Iterator[Service]:
    """The service on the database of this worker, through PgBouncer."""
    with running(todo_api.app.create_app(settings_for(pooler.url))) as service:
        yield service


@pytest.fixture
def user() -> str:
    """A new user id for one test."""
    return f"user-{uuid.uuid4().hex}"


@pytest.fixture
def client(service: Service, user: str) -> httpx.Client:
    """A client of `service` with the token of `user`."""
    return service.client(user)

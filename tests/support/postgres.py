"""A PostgreSQL for one test, on a TCP port, which the test can stop, start and pause.

todo_api.embedded creates the cluster, but does not run it, because its supervisor would start a stopped server again.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import psutil

from support.databases import execute
from support.ports import free_port
from todo_api.embedded import embedded_postgres
from todo_api.embedded.cluster import SETTINGS

LIMIT = 60
"""Timeout of a start or a stop in seconds, for a busy machine."""

_HOST = "127.0.0.1"


@dataclass
class Postgres:
    """Runs between `start` and `stop`, and keeps its data."""

    url: str = field(repr=False)
    """URL of the application's role."""
    socket_url: str = field(repr=False)
    """The same through the Unix socket, for a pooler."""
    admin_url: str = field(repr=False)
    _program: Path
    _cluster: Path
    _port: int
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and return when it accepts connections."""
        settings = SETTINGS | {"listen_addresses": _HOST, "port": str(self._port)}
        # Without fsync, recovery takes less than a second, and the kernel keeps what a killed process has written.
        settings |= {"unix_socket_directories": str(self._cluster), "fsync": "off"}
        owner = self._cluster.stat()
        # PostgreSQL does not run as root.
        account = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if os.geteuid() == 0 else {}
        with (self._cluster.parent / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, "-D", self._cluster, *(f"--{name}={value}" for name, value in settings.items())],
                cwd=self._cluster,
                env={"PATH": os.environ["PATH"]},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **account,  # type: ignore[call-overload]
            )
        self.wait_until_ready()

    def stop(self, ending: signal.Signals) -> None:
        """Stop with SIGINT (fast shutdown) or SIGQUIT (immediate shutdown, and recovery at the next start)."""
        if self._process is not None:
            self._process.send_signal(ending)
            self._process.wait(LIMIT)
            self._process = None

    def kill(self) -> None:
        """Kill all processes of the server at once."""
        with self.paused() as processes:
            for process in processes:
                process.kill()
            psutil.wait_procs(processes, LIMIT)
        assert self._process is not None
        self._process.wait(LIMIT)
        self._process = None

    def wait_until_ready(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + LIMIT
        while True:
            assert self._process.poll() is None, (self._cluster.parent / "server.log").read_text()
            with suppress(OSError, asyncpg.PostgresError):
                return execute(self.url, "SELECT")
            assert time.monotonic() < deadline, f"PostgreSQL does not answer within {LIMIT} s"
            time.sleep(0.01)

    def query(self, statement: str) -> Any:
        """Return the value of a query that the superuser runs."""

        async def query() -> Any:
            connection = await asyncpg.connect(self.admin_url)
            try:
                return await connection.fetchval(statement)
            finally:
                await connection.close()

        return asyncio.run(query())

    def end_connections(self) -> None:
        self.query(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )

    @contextmanager
    def unconfirmed_commits(self, count: int) -> Iterator[None]:
        """Enter when at least `count` transactions are committed whose clients have not received the confirmation."""
        self._wait_for_standby("missing")
        try:
            deadline = time.monotonic() + LIMIT
            while self.query("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'") < count:
                assert time.monotonic() < deadline, f"no {count} commits within {LIMIT} s"
            yield
        finally:
            self._wait_for_standby("")

    def _wait_for_standby(self, name: str) -> None:
        self.query(f"ALTER SYSTEM SET synchronous_standby_names = '{name}'")
        self.query("SELECT pg_reload_conf()")

    @contextmanager
    def stopped(self, ending: signal.Signals) -> Iterator[None]:
        self.stop(ending)
        try:
            yield
        finally:
            self.start()

    @contextmanager
    def paused(self) -> Iterator[list[psutil.Process]]:
        """Suspend all server processes, and yield them: connections stay open, and no query is answered."""
        assert self._process is not None
        processes = [psutil.Process(self._process.pid)]
        try:
            # The parent first, because it would start new children.
            processes[0].suspend()
            processes += processes[0].children(recursive=True)
            for process in processes[1:]:
                process.suspend()
            yield processes
        finally:
            for process in processes:
                with suppress(psutil.NoSuchProcess):
                    process.resume()


@contextmanager
def new_postgres() -> Iterator[Postgres]:
    """Start a server with the application's role and its empty database."""
    # Not in pytest's directory: under root, PostgreSQL runs as another user, which cannot read that directory.
    directory = Path(tempfile.mkdtemp(prefix="todo-api-tests-"))
    try:
        server = _make(directory)
        try:
            server.start()
            yield server
        finally:
            server.stop(signal.SIGQUIT)
    finally:
        shutil.rmtree(directory)


def _make(directory: Path) -> Postgres:
    cluster, port = directory / "cluster", free_port()
    with embedded_postgres(directory) as embedded:
        postmaster = (cluster / "postmaster.pid").read_text().splitlines()[0]
        program = Path(psutil.Process(int(postmaster)).exe())
        url, admin_url = (
            urlunsplit(parts._replace(netloc=f"{parts.username}:{parts.password}@{_HOST}:{port}", query=""))
            for parts in map(urlsplit, (embedded.url, embedded.admin_url))
        )
        socket_url = urlsplit(embedded.url)._replace(query=f"host={cluster}&port={port}").geturl()
    directory.chmod(0o711)
    with (cluster / "pg_hba.conf").open("a") as rules:
        rules.write(f"host all all {_HOST}/32 scram-sha-256\n")
    return Postgres(url, socket_url, admin_url, program, cluster, port)

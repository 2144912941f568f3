"""The cluster of a data directory, with its roles and passwords, and the server that runs on it."""

import ctypes
import fcntl
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .directory import DataDirectory, lock_file, sync, try_lock
from .errors import EmbeddedPostgresError
from .installation import Installation

SUPERUSER = "postgres"
APPLICATION = "todo"
"""The application's role, and the database that it owns."""

PORT = 5432
"""There is no TCP listener; the port is only a part of the socket's name."""

STATUS_LINE = 7
"""The index of the line of postmaster.pid that says whether the server is ready."""

SOCKET_BASE_LIMIT = 60
"""Bytes. A socket's address has room for about 100, which include the names that PostgreSQL and this module add."""

CREATION_TIMEOUT = 60.0
FORMER_SERVER_TIMEOUT = 30.0
"""Seconds."""

SETTINGS = {
    # Only the socket in a private directory accepts connections.
    "listen_addresses": "",
    "port": str(PORT),
    # The default, which initdb lowers on machines with few semaphores: the pool relies on it.
    "max_connections": "100",
    # Half the default: a small database, and often several servers on one machine.
    "shared_buffers": "64MB",
    # The machine's time zone must not appear in results or in the log.
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Clients receive the errors of their statements; the log would only repeat them, with users' data.
    "log_min_messages": "log",
    # A line for each checkpoint says nothing about so small a database.
    "log_checkpoints": "off",
}


class Cluster:
    """A cluster and its server.

    `wait_until(condition, seconds)` returns the condition's last value. It returns early if the supervisor must end.
    """

    def __init__(
        self,
        directory: DataDirectory,
        installation: Installation,
        wait_until: Callable[[Callable[[], bool], float], bool],
    ) -> None:
        self._directory = directory
        self._installation = installation
        self._wait_until = wait_until
        self._server: subprocess.Popen[bytes] | None = None

    def create_or_check(self) -> None:
        """Create the cluster; if there is one, check that its passwords and its version fit."""
        directory = self._directory
        if not directory.cluster.exists():
            if not directory.passwords.exists():
                directory.write_passwords({role: secrets.token_hex(32) for role in (SUPERUSER, APPLICATION)})
            self._create()
            return
        if not directory.passwords.exists():
            raise EmbeddedPostgresError(
                f"{directory.passwords}, which holds the passwords of the database beside it, is "
                f"missing. Restore it, or move {directory.cluster} away to start with an empty database."
            )
        found = (directory.cluster / "PG_VERSION").read_text().strip()
        installed = self._installation.version.split(".")[0]
        if found != installed:
            raise EmbeddedPostgresError(
                f"{directory.root} holds a database of PostgreSQL {found}, but the installed "
                f"server is PostgreSQL {installed}, which cannot read it. Use another data "
                f"directory, or move the data with pg_dump of PostgreSQL {found}."
            )

    def _create(self) -> None:
        """Create the cluster under another name and rename it: a cluster that exists is complete."""
        new = self._directory.cluster.with_suffix(".new")
        passwords = self._directory.read_passwords()
        with self._exclusive() as lock:
            if new.exists():
                shutil.rmtree(new)
            new.mkdir(mode=0o700)
            self._give_to_account(new)
            # The locale is Neon's. All logins are rejected until the superuser has a password.
            self._run(
                new,
                lock,
                *("initdb", f"--username={SUPERUSER}", "--auth=reject", "--encoding=utf8"),
                *("--locale-provider=builtin", "--locale=C.UTF-8", "--no-sync"),
            )
            (new / "pg_hba.conf").write_text("local all all scram-sha-256\n")
            # Single-user mode requires no password, so no server ever runs without one. One statement a line.
            self._run(
                new,
                lock,
                *("postgres", "--single", "-c", "exit_on_error=on"),
                # Otherwise the log would show the password of a statement that fails.
                *("-c", "log_min_error_statement=panic", "-c", "log_checkpoints=off", "postgres"),
                script=(
                    f"ALTER ROLE {SUPERUSER} PASSWORD '{passwords[SUPERUSER]}'\n"
                    f"CREATE ROLE {APPLICATION} LOGIN PASSWORD '{passwords[APPLICATION]}'\n"
                    f"CREATE DATABASE {APPLICATION} OWNER {APPLICATION}\n"
                ),
            )
            self._run(new, lock, "initdb", "--sync-only")
            new.rename(self._directory.cluster)
            sync(self._directory.root)

    def _run(self, new: Path, lock: int, program: str, *arguments: str, script: str = "") -> None:
        """Run one step of the creation."""
        try:
            subprocess.run(
                [self._installation.program(program), *arguments],
                input=script.encode(),
                stdout=subprocess.DEVNULL,
                timeout=CREATION_TIMEOUT,
                check=True,
                **self._process_options(new, lock),
            )
        except subprocess.SubprocessError:
            raise EmbeddedPostgresError(
                f"{program} could not create a database. {self._directory.end_of_log()}"
            ) from None

    def make_socket_directory(self) -> Path:
        """Make a private directory whose path is short enough for a socket's address."""
        for base in (Path(tempfile.gettempdir()), Path("/tmp")):  # noqa: S108 (mkdtemp)
            if len(os.fsencode(base)) > SOCKET_BASE_LIMIT:
                continue
            if self._installation.account and not _is_open_to_all(base):
                continue
            path = Path(tempfile.mkdtemp(prefix="todo-api-", dir=base))
            self._give_to_account(path)
            return path
        raise EmbeddedPostgresError("no temporary directory is fit for a socket: /tmp must exist, open to all.")

    def _give_to_account(self, path: Path) -> None:
        if account := self._installation.account:
            os.chown(path, account["user"], account["group"])

    def start(self, socket_directory: Path) -> bool:
        """Start the server and wait until it is ready; return False if the supervisor must end before."""
        cluster = self._directory.cluster
        settings = SETTINGS | {"unix_socket_directories": f'"{socket_directory}"'}
        with self._exclusive() as lock:
            # If a server finds its own old files, it takes any process with that pid for itself.
            for stale in (cluster / "postmaster.pid", *socket_directory.iterdir()):
                stale.unlink(missing_ok=True)
            self._server = subprocess.Popen(
                [
                    self._installation.program("postgres"),
                    *(f"--{name}={value}" for name, value in settings.items()),
                ],
                **self._process_options(cluster, lock),
            )
        self._wait_until(lambda: self._is_ready() or self.has_died(), float("inf"))
        if self.has_died():
            raise EmbeddedPostgresError(f"PostgreSQL could not start. {self._directory.end_of_log()}")
        return self._is_ready()

    def _is_ready(self) -> bool:
        """Read the status that the server writes to postmaster.pid, without a connection, as pg_ctl does."""
        try:
            lines = (self._directory.cluster / "postmaster.pid").read_bytes().splitlines()
        except FileNotFoundError:
            return False
        return (
            self._server is not None
            and len(lines) > STATUS_LINE
            and lines[0] == str(self._server.pid).encode()
            and lines[STATUS_LINE].strip() == b"ready"
        )

    def has_died(self) -> bool:
        return self._server is None or self._server.poll() is not None

    def stop(self) -> None:
        """Stop the server: by a fast shutdown, then an immediate shutdown, then SIGKILL."""
        if self._server is None:
            return
        for ending, timeout in ((signal.SIGINT, 10), (signal.SIGQUIT, 5), (signal.SIGKILL, None)):
            self._server.send_signal(ending)
            with suppress(subprocess.TimeoutExpired):
                self._server.wait(timeout)
                return

    @contextmanager
    def _exclusive(self) -> Iterator[int]:
        """Hold the lock that all processes of a server inherit, so that no former server is left.

        Two servers on one cluster would destroy it. A former server is left if its supervisor
        was killed, or for a moment if its postmaster was.
        """
        cluster = self._directory.cluster
        with lock_file(self._directory.server_lock) as lock:
            if not try_lock(lock, fcntl.LOCK_EX):
                if postmaster := _find_postmaster(cluster):
                    with suppress(ProcessLookupError):
                        os.kill(postmaster, signal.SIGQUIT)
                if not self._wait_until(lambda: try_lock(lock, fcntl.LOCK_EX), FORMER_SERVER_TIMEOUT):
                    raise EmbeddedPostgresError(
                        f"a former PostgreSQL server in {cluster} does not end. "
                        f"End the processes that have {self._directory.server_lock} open."
                    )
            if postmaster := _find_postmaster(cluster):
                raise EmbeddedPostgresError(
                    f"process {postmaster}, which we did not start, runs PostgreSQL in {cluster}. Stop it first."
                )
            yield lock

    def _process_options(self, cluster: Path, lock: int) -> dict[str, Any]:
        """Return the options with which processes of PostgreSQL are started.

        On Linux PGDATA is the working directory: so the path of the cluster may have any length and
        any characters, and the account that PostgreSQL runs as need not be able to enter the
        directories above, such as root's home. On other systems that account must.
        """
        path = "/proc/self/cwd" if sys.platform == "linux" else str(cluster)
        return {
            "cwd": cluster,
            "env": {**os.environ, "PGDATA": path},
            "pass_fds": [lock],
            # Safe although there is a second thread, because that thread only waits in flock.
            "preexec_fn": _make_end_with_parent(),
            **self._installation.account,
        }


def _is_open_to_all(path: Path) -> bool:
    return all(each.stat().st_mode & 0o001 for each in (path, *path.parents))


def _make_end_with_parent() -> Callable[[], None] | None:
    """Return a function that a child runs first, so that it ends if the supervisor is killed.

    It ends by an immediate shutdown, which loses no committed row: a fast shutdown that arrives
    during recovery may hang, and no supervisor would be left to send another signal.
    """
    if sys.platform != "linux":
        return None
    prctl, pr_set_pdeathsig = ctypes.CDLL(None).prctl, 1
    parent = os.getpid()

    def end_with_parent() -> None:
        prctl(pr_set_pdeathsig, signal.SIGQUIT)
        if os.getppid() != parent:
            os._exit(1)

    return end_with_parent


def _find_postmaster(cluster: Path) -> int | None:
    """Return the pid in postmaster.pid if that process runs in this cluster.

    The pid alone proves nothing, because it may belong to another process by now. But a
    postmaster's working directory is its cluster.
    """
    try:
        pid = abs(int((cluster / "postmaster.pid").read_bytes().split(b"\n", 1)[0]))
        if sys.platform == "linux":
            runs_here = Path(f"/proc/{pid}/cwd").samefile(cluster)
        else:
            answer = subprocess.run(
                ["/usr/sbin/lsof", "-a", "-d", "cwd", "-p", str(pid), "-Fn"],
                capture_output=True,
                check=False,
            )
            runs_here = b"n" + os.fsencode(cluster) in answer.stdout.splitlines()
    except (OSError, ValueError):
        return None
    return pid if runs_here else None

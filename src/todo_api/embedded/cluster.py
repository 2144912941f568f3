"""Creates the PostgreSQL cluster of a data directory, with its roles and passwords, and runs the server on it."""

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
"""Only a part of the socket's file name, because the server does not listen on TCP."""

STATUS_LINE = 7
"""Index of the line in postmaster.pid that contains the server's status."""

SOCKET_BASE_LIMIT = 60
"""Bytes. A socket's path may have about 100, including the names that PostgreSQL and this module append."""

# Seconds.
CREATION_TIMEOUT = 60.0
PREVIOUS_SERVER_TIMEOUT = 30.0

SETTINGS = {
    # No TCP: the server accepts connections only at the socket in a private directory.
    "listen_addresses": "",
    "port": str(PORT),
    # PostgreSQL's default. Set because initdb lowers it on machines with few semaphores, and the pool requires it.
    "max_connections": "100",
    # Half the default: the database is small, and several servers often run on one machine.
    "shared_buffers": "64MB",
    # Otherwise the machine's time zone appears in results and in the log.
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Otherwise the log repeats each error that a client has received, with users' data.
    "log_min_messages": "log",
    # A line for each checkpoint is of no use for so small a database.
    "log_checkpoints": "off",
}


class Cluster:
    """A cluster and its server.

    `wait_until(condition, seconds)` returns the condition's last value, early if the supervisor must stop.
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
        """Create the cluster. If it exists, check that its passwords exist and that the programs have its version.

        Raises EmbeddedPostgresError.
        """
        directory = self._directory
        if not directory.cluster.exists():
            if not directory.passwords.exists():
                directory.write_passwords({role: secrets.token_hex(32) for role in (SUPERUSER, APPLICATION)})
            self._create()
            return
        if not directory.passwords.exists():
            raise EmbeddedPostgresError(
                f"{directory.passwords}, which contains the passwords of {directory.cluster}, is "
                f"missing. Restore it, or move {directory.cluster} away to start with an empty database."
            )
        found = (directory.cluster / "PG_VERSION").read_text().strip()
        installed = self._installation.version.split(".")[0]
        if found != installed:
            raise EmbeddedPostgresError(
                f"{directory.root} contains a database of PostgreSQL {found}, but PostgreSQL {installed} is "
                f"installed, which cannot read it. Use another data directory, or move the data with pg_dump of "
                f"PostgreSQL {found}."
            )

    def _create(self) -> None:
        """Create the cluster under another name, then rename it, so that an existing cluster is always complete."""
        new = self._directory.cluster.with_suffix(".new")
        passwords = self._directory.read_passwords()
        with self._exclusive() as lock:
            if new.exists():
                shutil.rmtree(new)
            new.mkdir(mode=0o700)
            self._change_owner(new)
            # The locale is that of Neon. All logins are rejected until the superuser has a password.
            self._run(
                new,
                lock,
                *("initdb", f"--username={SUPERUSER}", "--auth=reject", "--encoding=utf8"),
                *("--locale-provider=builtin", "--locale=C.UTF-8", "--no-sync"),
            )
            (new / "pg_hba.conf").write_text("local all all scram-sha-256\n")
            # Single-user mode requires no password, so no server ever runs without one. It reads a statement per line.
            self._run(
                new,
                lock,
                *("postgres", "--single", "-c", "exit_on_error=on"),
                # Otherwise a statement that fails is logged with its password.
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
        """Run one program for the creation. Raises EmbeddedPostgresError if it fails or exceeds CREATION_TIMEOUT."""
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
        """Make a private directory whose path is short enough for a socket. Raises EmbeddedPostgresError."""
        for base in (Path(tempfile.gettempdir()), Path("/tmp")):  # noqa: S108 (mkdtemp)
            if len(os.fsencode(base)) > SOCKET_BASE_LIMIT:
                continue
            if self._installation.account and not _is_open_to_all(base):
                continue
            path = Path(tempfile.mkdtemp(prefix="todo-api-", dir=base))
            self._change_owner(path)
            return path
        raise EmbeddedPostgresError(
            "No temporary directory is suitable for a socket. Create /tmp, with permissions for all users (mode 1777)."
        )

    def _change_owner(self, path: Path) -> None:
        if account := self._installation.account:
            os.chown(path, account["user"], account["group"])

    def start(self, socket_directory: Path) -> bool:
        """Start the server and wait until it is ready. Return False if the supervisor must stop before that.

        Raises EmbeddedPostgresError if the server does not start.
        """
        cluster = self._directory.cluster
        settings = SETTINGS | {"unix_socket_directories": f'"{socket_directory}"'}
        with self._exclusive() as lock:
            # PostgreSQL does not start if the pid in an old file belongs to a process, even to an unrelated one.
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
        """Return whether the server has written "ready" to postmaster.pid: as pg_ctl does, without a connection."""
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
        """Stop the server: fast shutdown, after 10 s immediate shutdown, after 5 s more SIGKILL."""
        if self._server is None:
            return
        for stop_signal, timeout in ((signal.SIGINT, 10), (signal.SIGQUIT, 5), (signal.SIGKILL, None)):
            self._server.send_signal(stop_signal)
            with suppress(subprocess.TimeoutExpired):
                self._server.wait(timeout)
                return

    @contextmanager
    def _exclusive(self) -> Iterator[int]:
        """Hold the lock that all processes of a server inherit; before that, end a previous server.

        Two servers on one cluster would destroy it. A previous server still runs if its supervisor was killed, or
        for a moment after its postmaster was killed. Raises EmbeddedPostgresError if it does not end.
        """
        cluster = self._directory.cluster
        with lock_file(self._directory.server_lock) as lock:
            if not try_lock(lock, fcntl.LOCK_EX):
                if postmaster := _find_postmaster(cluster):
                    with suppress(ProcessLookupError):
                        os.kill(postmaster, signal.SIGQUIT)
                if not self._wait_until(lambda: try_lock(lock, fcntl.LOCK_EX), PREVIOUS_SERVER_TIMEOUT):
                    raise EmbeddedPostgresError(
                        f"A previous PostgreSQL server in {cluster} does not end. "
                        f"End the processes that have {self._directory.server_lock} open."
                    )
            if postmaster := _find_postmaster(cluster):
                raise EmbeddedPostgresError(
                    f"Process {postmaster}, which todo-api did not start, runs PostgreSQL in {cluster}. Stop it first."
                )
            yield lock

    def _process_options(self, cluster: Path, lock: int) -> dict[str, Any]:
        """Return the arguments of `subprocess` for processes of PostgreSQL.

        On Linux PGDATA is the working directory: the path of the cluster may have any length and any characters, and
        the account that PostgreSQL runs as needs no access to the directories above, such as root's home. On other
        systems the account needs that access.
        """
        path = "/proc/self/cwd" if sys.platform == "linux" else str(cluster)
        return {
            "cwd": cluster,
            "env": {**os.environ, "PGDATA": path},
            "pass_fds": [lock],
            # Safe with a second thread, because that thread only waits in flock.
            "preexec_fn": _make_end_with_parent(),
            **self._installation.account,
        }


def _is_open_to_all(path: Path) -> bool:
    return all(each.stat().st_mode & 0o001 for each in (path, *path.parents))


def _make_end_with_parent() -> Callable[[], None] | None:
    """Return a function that a child runs first, so that the child ends if the supervisor is killed.

    The kernel sends SIGQUIT, an immediate shutdown, which loses no committed row. A fast shutdown (SIGINT) during
    recovery may hang, and without a supervisor no further signal would follow.
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

    The pid alone is no proof, because it may belong to another process by now. So its working directory is checked,
    which is the cluster for a postmaster.
    """
    try:
        pid = abs(int((cluster / "postmaster.pid").read_bytes().split(b"\n", 1)[0]))
        if sys.platform == "linux":
            runs_here = Path(f"/proc/{pid}/cwd").samefile(cluster)
        else:
            listed = subprocess.run(
                ["/usr/sbin/lsof", "-a", "-d", "cwd", "-p", str(pid), "-Fn"],
                capture_output=True,
                check=False,
            )
            runs_here = b"n" + os.fsencode(cluster) in listed.stdout.splitlines()
    except (OSError, ValueError):
        return None
    return pid if runs_here else None

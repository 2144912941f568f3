"""The PostgreSQL server that the service starts itself if no other is configured.

`embedded_postgres()` starts the server of a data directory, or joins the one that is running. A process
within its block is a user of the server. The server's parent process (`supervisor.py`) does everything
that must continue after a user has left or was killed.

A pid file does not prove that a process is alive, because its pid may belong to another process by
now. A `flock` does, because the kernel releases it however the process ends:

    start.lock       exclusive, by a user that joins or leaves: one at a time
    users.lock       shared, by every user; exclusive, by the supervisor when no user is left
    supervisor.lock  exclusive, by the supervisor; inherited from the user that started it
    server.lock      exclusive, by the processes of PostgreSQL, which inherit it
"""

import fcntl
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlencode

from .cluster import APPLICATION, PORT, SUPERUSER
from .directory import DataDirectory, lock_file, try_lock
from .errors import EmbeddedPostgresError
from .installation import find_installation

__all__ = ["EmbeddedPostgresError", "EmbeddedServer", "embedded_postgres"]

# Seconds.
START_TIMEOUT = 60.0
STOP_TIMEOUT = 30.0
POLL_INTERVAL = 0.01

# Run by its path, because its isolated interpreter finds no installed package.
SUPERVISOR = Path(__file__).with_name("__main__.py")

# The only variables that the server inherits: no locale, no PG* variable, no secret.
ENVIRONMENT = ("PATH", "TMPDIR", "LD_LIBRARY_PATH")

# Not structlog, because this folder imports only the standard library.
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EmbeddedServer:
    """The URLs of the server. The repr does not show them, because they contain passwords."""

    url: str = field(repr=False)
    """For the application's role, which owns its database and is not a superuser."""
    admin_url: str = field(repr=False)
    """For the superuser: tests create databases with it."""


@contextmanager
def embedded_postgres(data_dir: Path) -> Iterator[EmbeddedServer]:
    """Start or join the server of a data directory, which is created if it does not exist.

    Within the block the server accepts connections. When the last user leaves, the block ends only after the server
    has stopped, so no process is left.

    A forked child of this process keeps the server running, because it inherits the lock; a child that executes
    another program does not. Raises EmbeddedPostgresError.
    """
    directory = DataDirectory(data_dir.resolve())
    with _explain_errors(directory):
        directory.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        users = directory.open_lock(directory.users_lock)
    try:
        with _explain_errors(directory):
            server = _join(directory, users)
        yield server
    finally:
        os.close(users)
        _wait_until_stopped(directory)


def _join(directory: DataDirectory, users: int) -> EmbeddedServer:
    """Become a user, start a supervisor if none is running, and wait until the server is ready."""
    deadline = time.monotonic() + START_TIMEOUT
    with lock_file(directory.start_lock) as start:
        # A supervisor without users holds the second lock until it has stopped its server.
        for lock, operation in ((start, fcntl.LOCK_EX), (users, fcntl.LOCK_SH)):
            while not try_lock(lock, operation):
                _sleep_until(deadline)
        started = False
        while True:
            with lock_file(directory.supervisor_lock) as supervised:
                if try_lock(supervised, fcntl.LOCK_EX):
                    if started:
                        raise EmbeddedPostgresError(_failure(directory))
                    _start_supervisor(directory, supervised)
                    started = True
                elif (state := directory.read_state()).get("status") == "ready":
                    return _server(directory, state["socket_directory"])
            _sleep_until(deadline)


def _start_supervisor(directory: DataDirectory, lock: int) -> None:
    """Start a supervisor that inherits the given lock, so the lock is never free in between.

    Its interpreter is isolated: neither this process's environment nor installed packages affect it.
    """
    installation = find_installation()
    directory.discard_state()
    if directory.log.exists():
        directory.log.replace(directory.log.with_suffix(".log.1"))
    log = os.open(directory.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        subprocess.run(
            [
                *(sys.executable, "-I", "-S", SUPERVISOR),
                *(directory.root, installation),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env={name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
            # A new session, because Ctrl-C signals every process of the terminal's session.
            start_new_session=True,
            pass_fds=[lock],
            check=False,
        )
    finally:
        os.close(log)


def _server(directory: DataDirectory, socket_directory: str) -> EmbeddedServer:
    passwords = directory.read_passwords()
    query = urlencode({"host": socket_directory, "port": PORT}, safe="/", quote_via=quote)

    def url(role: str, database: str) -> str:
        return f"postgresql://{role}:{passwords[role]}@/{database}?{query}"

    return EmbeddedServer(
        url=url(APPLICATION, APPLICATION),
        admin_url=url(SUPERUSER, "postgres"),
    )


def _wait_until_stopped(directory: DataDirectory) -> None:
    """Wait until the supervisor has ended if no other user is left.

    No new user can join meanwhile, because this function holds the start lock.
    """
    deadline = time.monotonic() + STOP_TIMEOUT
    try:
        with (
            lock_file(directory.start_lock) as start,
            lock_file(directory.users_lock) as users,
            lock_file(directory.supervisor_lock) as supervised,
        ):
            while not try_lock(start, fcntl.LOCK_EX):
                _sleep_until(deadline)
            while not try_lock(supervised, fcntl.LOCK_EX):
                if _is_shared(users):
                    return
                _sleep_until(deadline)
    except FileNotFoundError:
        # The data directory was removed while the server ran. The supervisor stops the server anyway.
        return
    except TimeoutError:
        _log.warning("embedded server still stopping: %s", directory.root)


def _is_shared(lock: int) -> bool:
    """Return whether another process holds a shared lock on the file; False for an exclusive lock or none."""
    free = try_lock(lock, fcntl.LOCK_EX)
    shared = not free and try_lock(lock, fcntl.LOCK_SH)
    fcntl.flock(lock, fcntl.LOCK_UN)
    return shared


def _sleep_until(deadline: float) -> None:
    """Sleep for POLL_INTERVAL. Raises TimeoutError if the deadline has passed."""
    if time.monotonic() > deadline:
        raise TimeoutError
    time.sleep(POLL_INTERVAL)


def _failure(directory: DataDirectory) -> str:
    """Return why the supervisor ended: its error message or, if it was killed, the end of the log."""
    return directory.read_state().get("error") or (
        f"The supervisor of PostgreSQL in {directory.root} ended unexpectedly. {directory.end_of_log()}"
    )


@contextmanager
def _explain_errors(directory: DataDirectory) -> Iterator[None]:
    """Turn OSError and TimeoutError into EmbeddedPostgresError, whose message says what to do."""
    try:
        yield
    except TimeoutError:
        raise EmbeddedPostgresError(
            f"PostgreSQL in {directory.root} is not ready after {START_TIMEOUT:.0f} s. {directory.end_of_log()}"
        ) from None
    except OSError as error:
        raise EmbeddedPostgresError(
            f"The data directory {directory.root} cannot be used: {error.strerror}. It must be on a local "
            "disk with free space, and be owned by the user that runs the service."
        ) from error

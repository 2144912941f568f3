"""The PostgreSQL server that the service starts itself if no other is configured.

`embedded_postgres()` starts the server of a data directory, or joins the one that is running, and
leaves it again. The server's parent process (`supervisor.py`) does everything that must outlive a
user, or survive a user that is killed.

A pid file never proves that a process is alive, because the pid may belong to another process by
now. A `flock` does, because the kernel releases it however the process ends:

    start.lock       exclusive, by a user while it joins or leaves: one at a time
    users.lock       shared, by every user; exclusive, by the supervisor once no user is left
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

# Run by its path, because its interpreter finds no package.
SUPERVISOR = Path(__file__).with_name("__main__.py")

# All variables that the server inherits: no locale, no PG* variable and no secret.
ENVIRONMENT = ("PATH", "TMPDIR", "LD_LIBRARY_PATH")

# Standard library alone, as everything in this folder.
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EmbeddedServer:
    """The URLs of the server. They contain passwords, so the repr does not show them."""

    url: str = field(repr=False)
    """The application's role, which owns its database but is no superuser."""
    admin_url: str = field(repr=False)
    """The superuser, for tests that create databases."""


@contextmanager
def embedded_postgres(data_dir: Path) -> Iterator[EmbeddedServer]:
    """Use the server of a data directory, which is created if it does not exist.

    Within the block the server accepts connections. When the last user leaves, the server is
    stopped before the block ends, so that no process is left.

    A child that this process forks keeps the server alive, because it inherits the lock; a child
    that executes another program does not. Raises EmbeddedPostgresError.
    """
    directory = DataDirectory(data_dir.resolve())
    with _errors_explained(directory):
        directory.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        users = directory.open_lock(directory.users_lock)
    try:
        with _errors_explained(directory):
            server = _join(directory, users)
        yield server
    finally:
        os.close(users)
        _wait_until_stopped(directory)


def _join(directory: DataDirectory, users: int) -> EmbeddedServer:
    """Become a user, start a supervisor unless there is one, and wait until the server is ready."""
    deadline = time.monotonic() + START_TIMEOUT
    with lock_file(directory.start_lock) as start:
        # The second lock is free only after a supervisor that had no user left has stopped its server.
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
    """Start a supervisor that holds the given lock from its first instruction on.

    Its interpreter is isolated: it depends neither on this process's environment nor on installed packages.
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
            # Ctrl-C in a terminal reaches the terminal's session only.
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
    """Wait for the end of the supervisor if no other user is left.

    While the start lock is held, no new user can join.
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
        # The data directory was removed while the server ran; the supervisor stops the server all the same.
        return
    except TimeoutError:
        _log.warning("embedded server still stopping: %s", directory.root)


def _is_shared(lock: int) -> bool:
    """Return whether another process holds the lock shared; False if it is free or held exclusively."""
    free = try_lock(lock, fcntl.LOCK_EX)
    shared = not free and try_lock(lock, fcntl.LOCK_SH)
    fcntl.flock(lock, fcntl.LOCK_UN)
    return shared


def _sleep_until(deadline: float) -> None:
    """Sleep for one interval; raise TimeoutError after the deadline."""
    if time.monotonic() > deadline:
        raise TimeoutError
    time.sleep(POLL_INTERVAL)


def _failure(directory: DataDirectory) -> str:
    """Return why the supervisor ended: its own error or, if it was killed, the end of the log."""
    return directory.read_state().get("error") or (
        f"the supervisor of PostgreSQL in {directory.root} ended unexpectedly. {directory.end_of_log()}"
    )


@contextmanager
def _errors_explained(directory: DataDirectory) -> Iterator[None]:
    """Turn errors of the system into messages that say what the user can do."""
    try:
        yield
    except TimeoutError:
        raise EmbeddedPostgresError(
            f"PostgreSQL in {directory.root} is not ready after {START_TIMEOUT:.0f} s. {directory.end_of_log()}"
        ) from None
    except OSError as error:
        raise EmbeddedPostgresError(
            f"the data directory {directory.root} cannot be used: {error.strerror}. It must be on a local "
            "disk with room and belong to the user that runs the service."
        ) from error

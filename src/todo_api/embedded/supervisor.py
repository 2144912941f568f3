"""The parent process of an embedded PostgreSQL server.

It creates the cluster if there is none, starts the server, restarts it if it dies, and stops it
when no user is left. Users come and go, and may be killed at any instant; each of them holds a
shared lock, and only that lock shows that there are users.

`__main__.py` runs it in an isolated interpreter, so it imports the standard library and this folder alone.
"""

import fcntl
import os
import shutil
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue

from .cluster import Cluster
from .directory import DataDirectory
from .errors import EmbeddedPostgresError
from .installation import prepare_installation

POLL_INTERVAL = 0.01
RESTARTS, RESTART_WINDOW = 5, 60.0
"""The supervisor gives up if the server dies this many times within so many seconds."""


class Supervisor:
    """The life of one server."""

    def __init__(self, directory: DataDirectory, installation: Path) -> None:
        self._directory = directory
        self._cluster = Cluster(directory, prepare_installation(installation, directory.cluster), self._wait_until)
        self._ending = False
        # Signal handlers and the thread below wake the main thread: put() may be called from a signal handler.
        self._wake: SimpleQueue[None] = SimpleQueue()

    def run(self) -> None:
        """Keep the server running until no user is left."""
        for ending in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(ending, lambda *_: self._end())
        signal.signal(signal.SIGCHLD, lambda *_: self._wake.put(None))
        threading.Thread(target=self._wait_for_last_user, daemon=True).start()

        self._cluster.create_or_check()
        socket_directory = self._cluster.make_socket_directory()
        starts: deque[float] = deque(maxlen=RESTARTS)
        try:
            while not self._ending:
                if len(starts) == RESTARTS and time.monotonic() - starts[0] < RESTART_WINDOW:
                    raise EmbeddedPostgresError(f"PostgreSQL died {RESTARTS} times. {self._directory.end_of_log()}")
                starts.append(time.monotonic())
                # Written before the start, so that the next supervisor can remove the socket if this one is killed.
                self._announce("starting", socket_directory)
                if self._cluster.start(socket_directory):
                    self._announce("ready", socket_directory)
                    self._wait_until(self._cluster.has_died, poll=None)
                if not self._ending:
                    _log("PostgreSQL died; it is started again.")
        finally:
            self._cluster.stop()
            shutil.rmtree(socket_directory, ignore_errors=True)
            self._directory.state.unlink(missing_ok=True)

    def _announce(self, status: str, socket_directory: Path) -> None:
        self._directory.write_state(status=status, socket_directory=str(socket_directory))

    def _wait_for_last_user(self) -> None:
        """Block until no user holds the lock any more, then end.

        This process keeps the lock until it has ended: a new user waits for that, and then finds
        that there is no supervisor.
        """
        fcntl.flock(DataDirectory.open_lock(self._directory.users_lock), fcntl.LOCK_EX)
        self._end()

    def _end(self) -> None:
        self._ending = True
        self._wake.put(None)

    def _wait_until(
        self, condition: Callable[[], bool], seconds: float = float("inf"), *, poll: float | None = POLL_INTERVAL
    ) -> bool:
        """Wait for a condition and return its last value; return early if this process must end.

        Without `poll` the condition is checked only after a signal.
        """
        deadline = time.monotonic() + seconds
        while not (fulfilled := condition()) and not self._ending:
            if time.monotonic() > deadline:
                break
            try:
                self._wake.get(timeout=poll)
            except Empty:
                continue
        return fulfilled


def _log(message: str) -> None:
    """Add a line to the server's log, which is this process's standard error."""
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()


def main() -> None:
    """Supervise the server of a data directory. This process inherited the supervisor's lock, held."""
    root, installation = sys.argv[1:]
    # The parent need not wait for the supervisor, nor is it left with a child that it did not expect.
    if os.fork():
        os._exit(0)
    directory = DataDirectory(Path(root))
    try:
        Supervisor(directory, Path(installation)).run()
    except (EmbeddedPostgresError, OSError) as error:
        message = str(error)
        if isinstance(error, OSError):
            message = f"PostgreSQL in {root} cannot be run: {error}"
        _log(message)
        directory.write_state(error=message)

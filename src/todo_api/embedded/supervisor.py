"""The parent process of an embedded PostgreSQL server.

The supervisor creates the cluster if it does not exist, starts the server, restarts it if it dies, and
stops it when no user is left. A user may be killed at any time, so each user holds a shared lock, which
the kernel then releases.

`__main__.py` runs it in an isolated interpreter, so it can import only the standard library and this folder.
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
MAX_STARTS, START_WINDOW = 5, 60.0
"""The supervisor ends with an error if the server dies after this many starts within this many seconds."""


class Supervisor:
    """Runs one server. `installation` is the folder of PostgreSQL. Raises EmbeddedPostgresError."""

    def __init__(self, directory: DataDirectory, installation: Path) -> None:
        self._directory = directory
        self._cluster = Cluster(directory, prepare_installation(installation, directory.cluster), self._wait_until)
        self._stopping = False
        # Signal handlers and the thread below wake the main thread with put(), which signal handlers may call.
        self._wake: SimpleQueue[None] = SimpleQueue()

    def run(self) -> None:
        """Run the server until no user is left. Raises EmbeddedPostgresError."""
        for stop_signal in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(stop_signal, lambda *_: self._stop())
        signal.signal(signal.SIGCHLD, lambda *_: self._wake.put(None))
        threading.Thread(target=self._wait_for_last_user, daemon=True).start()

        self._cluster.create_or_check()
        socket_directory = self._cluster.make_socket_directory()
        starts: deque[float] = deque(maxlen=MAX_STARTS)
        try:
            while not self._stopping:
                if len(starts) == MAX_STARTS and time.monotonic() - starts[0] < START_WINDOW:
                    raise EmbeddedPostgresError(f"PostgreSQL died {MAX_STARTS} times. {self._directory.end_of_log()}")
                starts.append(time.monotonic())
                # Written before the start, so that the next supervisor can delete the socket if this one is killed.
                self._write_status("starting", socket_directory)
                if self._cluster.start(socket_directory):
                    self._write_status("ready", socket_directory)
                    self._wait_until(self._cluster.has_died, poll=None)
                if not self._stopping:
                    _log("PostgreSQL died; restarting it.")
        finally:
            self._cluster.stop()
            shutil.rmtree(socket_directory, ignore_errors=True)
            self._directory.state.unlink(missing_ok=True)

    def _write_status(self, status: str, socket_directory: Path) -> None:
        self._directory.write_state(status=status, socket_directory=str(socket_directory))

    def _wait_for_last_user(self) -> None:
        """Block until no user holds the lock any more, then stop.

        This process keeps the lock until it has ended, so a new user waits until then, and starts a new supervisor.
        """
        fcntl.flock(DataDirectory.open_lock(self._directory.users_lock), fcntl.LOCK_EX)
        self._stop()

    def _stop(self) -> None:
        self._stopping = True
        self._wake.put(None)

    def _wait_until(
        self, condition: Callable[[], bool], seconds: float = float("inf"), *, poll: float | None = POLL_INTERVAL
    ) -> bool:
        """Wait until a condition is true, at most `seconds`, and return its last value. Return early if this process
        must stop.

        The condition is checked every `poll` seconds and after each signal; if `poll` is None, only after a signal.
        """
        deadline = time.monotonic() + seconds
        while not (fulfilled := condition()) and not self._stopping:
            if time.monotonic() > deadline:
                break
            try:
                self._wake.get(timeout=poll)
            except Empty:
                continue
        return fulfilled


def _log(message: str) -> None:
    """Write a line to the server's log, which is this process's standard error."""
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()


def main() -> None:
    """Supervise the server of a data directory. This process has inherited the supervisor's lock."""
    root, installation = sys.argv[1:]
    # Fork, so that the user that starts the supervisor neither waits for it nor has it as a child.
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

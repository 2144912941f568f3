"""The data directory: the files in it, its locks, and JSON files that only their owner can read."""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def try_lock(lock: int, operation: int) -> bool:
    """Acquire a lock without waiting; return whether that succeeded."""
    try:
        fcntl.flock(lock, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def lock_file(path: Path) -> Iterator[int]:
    """Open a lock file. Closing it releases the lock, unless another process inherited it."""
    lock = DataDirectory.open_lock(path)
    try:
        yield lock
    finally:
        os.close(lock)


class DataDirectory:
    """The files of a data directory, by name."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.cluster = root / "cluster"
        """PostgreSQL's own files. It exists only when it is complete."""
        self.passwords = root / "passwords.json"
        self.state = root / "server.json"
        """The socket's directory and whether the server is ready; or the error if there is no server."""
        self.log = root / "server.log"
        self.start_lock = root / "start.lock"
        self.users_lock = root / "users.lock"
        self.supervisor_lock = root / "supervisor.lock"
        self.server_lock = root / "server.lock"

    @staticmethod
    def open_lock(path: Path) -> int:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    def read_passwords(self) -> dict[str, str]:
        """Return the password of each role."""
        return _read_json(self.passwords)

    def write_passwords(self, passwords: dict[str, str]) -> None:
        """Write the passwords so that they survive a power failure."""
        _write_private(self.passwords, passwords)
        sync(self.passwords)

    def read_state(self) -> dict[str, str]:
        """Return the state that the supervisor wrote last."""
        try:
            return _read_json(self.state)
        except FileNotFoundError:
            return {}

    def write_state(self, **state: str) -> None:
        _write_private(self.state, state)

    def discard_state(self) -> None:
        """Remove the state of a former server, and the directory of its socket."""
        if socket_directory := self.read_state().get("socket_directory"):
            shutil.rmtree(socket_directory, ignore_errors=True)
        self.state.unlink(missing_ok=True)

    def end_of_log(self) -> str:
        """Return the last lines of the log, as the last part of an error message."""
        try:
            lines = self.log.read_text(errors="replace").splitlines()[-15:]
        except FileNotFoundError:
            lines = []
        return f"The end of {self.log}:\n" + "\n".join(lines)


def sync(path: Path) -> None:
    """Make a file, or the names in a directory, survive a power failure."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _read_json(path: Path) -> dict[str, str]:
    content: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _write_private(path: Path, content: dict[str, str]) -> None:
    """Write a file that others cannot read, whole or not at all."""
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(content, file)
    new.replace(path)

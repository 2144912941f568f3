"""The data directory: paths of its files, its locks, and its JSON files (mode 600)."""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def try_lock(lock: int, operation: int) -> bool:
    """Try to acquire a `flock` without waiting, and return whether this succeeded.

    `operation` is LOCK_SH or LOCK_EX of `fcntl`.
    """
    try:
        fcntl.flock(lock, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def lock_file(path: Path) -> Iterator[int]:
    """Open a lock file, and close it at the end of the block. This releases the lock unless a process inherited it."""
    lock = DataDirectory.open_lock(path)
    try:
        yield lock
    finally:
        os.close(lock)


class DataDirectory:
    """Paths of the files in a data directory, and functions that read and write them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.cluster = root / "cluster"
        """PostgreSQL's own files. It exists only if it is complete."""
        self.passwords = root / "passwords.json"
        self.state = root / "server.json"
        """The status (starting, ready) and the socket's directory, or the error that ended the supervisor."""
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
        """Write the passwords durably: they survive a power failure."""
        _write_private(self.passwords, passwords)
        sync(self.passwords)

    def read_state(self) -> dict[str, str]:
        """Return the state that the supervisor has written, or an empty dict."""
        try:
            return _read_json(self.state)
        except FileNotFoundError:
            return {}

    def write_state(self, **state: str) -> None:
        _write_private(self.state, state)

    def discard_state(self) -> None:
        """Remove the state of a previous server, and the directory of its socket."""
        if socket_directory := self.read_state().get("socket_directory"):
            shutil.rmtree(socket_directory, ignore_errors=True)
        self.state.unlink(missing_ok=True)

    def end_of_log(self) -> str:
        """Return the last 15 lines of the log, as the last part of an error message."""
        try:
            lines = self.log.read_text(errors="replace").splitlines()[-15:]
        except FileNotFoundError:
            lines = []
        return f"The end of {self.log}:\n" + "\n".join(lines)


def sync(path: Path) -> None:
    """Flush a file, or the entries of a directory, to disk (fsync)."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _read_json(path: Path) -> dict[str, str]:
    content: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _write_private(path: Path, content: dict[str, str]) -> None:
    """Write a file atomically, readable only by its owner."""
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(content, file)
    new.replace(path)

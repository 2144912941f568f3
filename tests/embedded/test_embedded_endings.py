"""The embedded server survives the end of any of its processes, and ends with its last user."""

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import asyncpg
import pytest

from support.embedded import (
    USER,
    is_deserted,
    postmaster_of,
    processes_of,
    query,
    running_user,
    socket_directory_of,
    wait_for,
)
from todo_api.embedded import embedded_postgres


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

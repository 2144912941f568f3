"""The embedded server survives the crash of any of its processes, and stops when its last user ends."""

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
    has_no_processes,
    postmaster_of,
    processes_of,
    query,
    running_user,
    socket_directory_of,
    wait_for,
)
from todo_api.embedded import embedded_postgres


def test_concurrent_users_share_a_server_that_starts_and_stops(existing: Path) -> None:
    """Most users join while the server stops."""
    answers: list[object] = []

    def start_and_stop() -> None:
        for _ in range(4):
            with embedded_postgres(existing) as server:
                answers.append(query(server.url, "SELECT number FROM kept"))

    users = [threading.Thread(target=start_and_stop) for _ in range(5)]
    for user in users:
        user.start()
    for user in users:
        user.join()
    assert answers == [7] * 20


@pytest.mark.parametrize(
    ("ending", "status"),
    [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, -signal.SIGTERM), (signal.SIGINT, None)],
    ids=["SIGKILL", "SIGTERM", "SIGINT"],
)
def test_server_stops_when_its_user_is_ended_by_a_signal(
    existing: Path, ending: signal.Signals, status: int | None
) -> None:
    """The signal goes to the user's process group, as Ctrl-C in a terminal does."""
    with running_user(existing) as (user, url):
        assert query(url, "SELECT number FROM kept") == 7
        os.killpg(user.pid, ending)
        user.wait(timeout=60)
        if status is None:
            # The user ended normally, which includes the wait until the server has stopped.
            wait_for(lambda: has_no_processes(existing), "the server has stopped", 2)
        else:
            assert user.returncode == status
            wait_for(lambda: has_no_processes(existing), "the server has stopped")
    assert "shut down" in (existing / "server.log").read_text()


def test_killed_creation_of_the_database_starts_again(data_dir: Path) -> None:
    user = subprocess.Popen(
        [sys.executable, "-c", USER, str(data_dir)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
    )
    with user:
        wait_for((data_dir / "cluster.new" / "global").exists, "initdb runs")
        user.kill()
        for process in processes_of(data_dir)["supervisor"]:
            process.kill()
    assert not (data_dir / "cluster").exists()
    with embedded_postgres(data_dir) as server:
        assert query(server.url, "SELECT 1") == 1
    assert not (data_dir / "cluster.new").exists()


def test_new_server_starts_if_the_supervisor_is_killed(existing: Path) -> None:
    with running_user(existing) as (_, url):
        query(url, "CREATE TABLE written AS SELECT 8 AS number")
        (process,) = processes_of(existing)["supervisor"]
        process.kill()
        process.wait()
        # A new server is started, although the other user still runs.
        with embedded_postgres(existing) as server:
            assert query(server.url, "DELETE FROM written RETURNING number") == 8
            query(server.url, "DROP TABLE written")
            assert server.url != url
            assert not socket_directory_of(url).exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux sends a signal to a child when its parent ends")
def test_server_stops_if_its_supervisor_is_killed(existing: Path) -> None:
    with running_user(existing):
        (process,) = processes_of(existing)["supervisor"]
        process.kill()
        wait_for(lambda: has_no_processes(existing), "the server has ended with its supervisor")
    assert "immediate shutdown" in (existing / "server.log").read_text()


def test_server_stops_if_its_supervisor_is_terminated(existing: Path) -> None:
    with running_user(existing):
        (process,) = processes_of(existing)["supervisor"]
        process.terminate()
        wait_for(lambda: has_no_processes(existing), "both have ended")
    assert "database system is shut down" in (existing / "server.log").read_text()


def test_killed_server_restarts_at_the_same_address_with_its_data(existing: Path) -> None:
    def answers() -> bool:
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return query(server.url, "SELECT number FROM written") == 8
        return False

    with embedded_postgres(existing) as server:
        query(server.url, "CREATE TABLE written AS SELECT 8 AS number")
        killed = postmaster_of(existing)
        os.kill(killed, signal.SIGKILL)
        wait_for(answers, "the server answers at the same address, with its data")
        assert postmaster_of(existing) != killed
        query(server.url, "DROP TABLE written")
        with embedded_postgres(existing) as joined:
            assert joined == server


def test_server_that_is_killed_repeatedly_is_given_up(existing: Path) -> None:
    """The supervisor ends, and the next user starts a new server."""
    with embedded_postgres(existing):
        killed = 0
        while processes_of(existing)["supervisor"]:
            with suppress(OSError, ValueError, IndexError):
                if (postmaster := postmaster_of(existing)) != killed:
                    os.kill(postmaster, signal.SIGKILL)
                    killed = postmaster
        wait_for(lambda: has_no_processes(existing), "its children have ended")
        with embedded_postgres(existing) as server:
            assert query(server.url, "SELECT number FROM kept") == 7

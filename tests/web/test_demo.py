"""`make demo` starts everything with one command, and leaves no process."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

import support.demo
from support.demo import COMMAND, Demo
from support.node import require_packages
from support.serving import LIMIT, wait_for

ACCOUNT = {"name": "Ada", "email": "ada@example.com", "password": "correct horse battery"}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared by the starts of this module, so that only the first one creates a database."""
    return tmp_path_factory.mktemp("demo")


@pytest.fixture
def own_demo(directory: Path) -> Iterator[Demo]:
    with support.demo.demo(directory) as running:
        yield running


def test_demo_serves_the_page_and_accepts_its_tokens(demo: Demo) -> None:
    page = httpx.get(demo.page_url)
    assert f'<meta name="todo-api" content="{demo.api_url}"' in page.text
    with httpx.Client(base_url=demo.page_url, headers={"Origin": demo.page_url}) as browser:
        user = browser.post("/api/auth/sign-up/email", json=ACCOUNT).raise_for_status().json()["user"]["id"]
        token = browser.get("/api/auth/token").raise_for_status().json()["token"]

    tasks = httpx.get(f"{demo.api_url}/api/{user}/tasks", headers={"Authorization": f"Bearer {token}"})

    assert (tasks.status_code, tasks.json()["items"]) == (200, [])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda each: each.name)
def test_demo_ends_on_a_signal_and_leaves_no_process(own_demo: Demo, number: signal.Signals) -> None:
    processes = own_demo.processes()
    assert {"node", "postgres"} <= {Path(each.exe()).name for each in processes}

    assert own_demo.stop(number) == 0

    assert [each for each in processes if is_alive(each)] == []


def test_demo_reads_no_settings_of_the_shell_and_no_file_of_settings(directory: Path) -> None:
    """Otherwise it would write into another database."""
    elsewhere = {"DATABASE_URL": "postgresql://127.0.0.1:1/other", "BETTER_AUTH_URL": "https://other.example.com"}
    (directory / ".env").write_text("".join(f"{name}={value}\n" for name, value in elsewhere.items()))
    with support.demo.demo(directory, **elsewhere) as running:
        readiness = httpx.get(f"{running.api_url}/health/ready", params={"check": "true"})

    assert readiness.status_code == 200


def test_demo_keeps_the_accounts(directory: Path) -> None:
    statuses = []
    for path in ("sign-up", "sign-in"):
        with support.demo.demo(directory) as running:
            headers = {"Origin": running.page_url}
            statuses.append(httpx.post(f"{running.page_url}/api/auth/{path}/email", json=ACCOUNT, headers=headers))

    assert [each.status_code for each in statuses] == [200, 200]


@pytest.mark.parametrize("name", ["service", "page"])
def test_demo_ends_if_one_of_its_servers_dies(own_demo: Demo, name: str) -> None:
    processes = own_demo.processes()
    url = own_demo.page_url if name == "page" else own_demo.api_url
    server_on(urlsplit(url).port, processes).kill()

    assert own_demo.process.wait(LIMIT) == 1

    assert f"demo: the {name} has ended with status -9" in own_demo.output
    assert "Traceback" not in own_demo.output
    # PostgreSQL notices by itself that its user is gone.
    wait_for(lambda: not any(map(is_alive, processes)), "end of all processes")


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="only Linux ends the children of a killed process")
def test_killed_demo_leaves_no_process(own_demo: Demo) -> None:
    processes = own_demo.processes()

    own_demo.process.kill()
    own_demo.process.wait(LIMIT)

    wait_for(lambda: not any(map(is_alive, processes)), "end of all processes")


@pytest.mark.parametrize("option", ["--port", "--api-port"])
def test_demo_names_a_port_that_is_in_use_in_one_line(tmp_path: Path, option: str) -> None:
    require_packages(support.demo.WEB)
    ports = {"--port": "0", "--api-port": "0"}
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        given = [each for pair in {**ports, option: str(port)}.items() for each in pair]
        result = subprocess.run(
            [*COMMAND, *given, "--data-dir", tmp_path],
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT,
        )

    assert (result.returncode, result.stdout) == (1, "")
    [line] = result.stderr.splitlines()
    assert line.startswith(f"demo: cannot use port {port}: Address already in use.")
    assert option in line


def server_on(port: int | None, processes: list[psutil.Process]) -> psutil.Process:
    [found] = [
        each
        for each in processes
        if any(c.status == psutil.CONN_LISTEN and c.laddr.port == port for c in each.net_connections("tcp"))
    ]
    return found


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False

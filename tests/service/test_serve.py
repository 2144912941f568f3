"""`todo-api serve | migrate | token` as processes: what a newcomer and an operator see."""

import json
import re
import signal
import socket
import stat
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from support.issuer import issuer
from support.ports import next_port
from support.service import SECRET
from support.serving import LIMIT, run, serving, wait_for
from todo_api.migrations import HEAD


def processes_in(directory: Path) -> list[psutil.Process]:
    """Processes whose working directory or arguments contain the data directory."""
    found = []
    for process in psutil.process_iter():
        try:
            texts = [*process.cmdline(), process.cwd()]
        except psutil.Error:
            continue
        if any(str(directory) in text for text in texts):
            found.append(process)
    return found


class TestEmbedded:
    def test_embedded_database_needs_no_setting(self, tmp_path: Path) -> None:
        with serving(tmp_path) as service:
            assert f"http://127.0.0.1:{service.port}/docs" in service.output
            (command,) = re.findall(r"curl .*", service.output)
            request = re.fullmatch(r'curl (\S+) -H "Authorization: (Bearer \S+)" -H "(.*): (.*)" -d \'(.*)\'', command)
            assert request is not None
            url, authorization, name, value, body = request.groups()
            created = httpx.post(url, content=body, headers={"Authorization": authorization, name: value})
            assert created.status_code == 201
            assert service.stop() == 0
        assert processes_in(tmp_path) == []

    def test_data_and_secret_survive_a_restart(self, tmp_path: Path) -> None:
        with serving(tmp_path) as service:
            task = service.client().post("/tasks", json={"title": "Buy milk"}).json()
            secret = (tmp_path / "data" / "secret").read_bytes()
            assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
        with serving(tmp_path) as service:
            assert service.client().get(f"/tasks/{task['id']}").json() == task
        assert (tmp_path / "data" / "secret").read_bytes() == secret
        assert len(secret) >= 32

    def test_secrets_are_readable_by_their_owner_only(self, tmp_path: Path) -> None:
        assert run(tmp_path, "token", "demo").returncode == 0
        assert stat.S_IMODE((tmp_path / "data" / "secret").stat().st_mode) == 0o600
        assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
        assert [path.name for path in (tmp_path / "data").iterdir()] == ["secret"]

    def test_killed_service_leaves_no_process_and_starts_again(self, tmp_path: Path) -> None:
        with serving(tmp_path) as service:
            task = service.client().post("/tasks", json={"title": "Buy milk"}).json()
            service.process.kill()
            service.process.wait(LIMIT)
            wait_for(lambda: not processes_in(tmp_path), "end of the database")
        with serving(tmp_path) as service:
            assert service.client().get(f"/tasks/{task['id']}").json() == task

    def test_two_services_run_in_two_directories(self, tmp_path: Path) -> None:
        one, two = tmp_path / "one", tmp_path / "two"
        one.mkdir()
        two.mkdir()
        with serving(one) as first, serving(two) as second:
            first.client().post("/tasks", json={"title": "first"})
            assert first.client().get("/tasks").json()["items"][0]["title"] == "first"
            assert second.client().get("/tasks").json()["items"] == []
            foreign = first.client().headers["Authorization"]
            rejected = httpx.get(f"http://127.0.0.1:{second.port}/api/demo/tasks", headers={"Authorization": foreign})
            assert rejected.status_code == 401


class TestWorkers:
    def test_workers_share_one_database(self, tmp_path: Path) -> None:
        with serving(tmp_path, "--workers", "2") as service:
            client = service.client()
            created = [client.post("/tasks", json={"title": "x"}).json()["id"] for _ in range(5)]
            answers = [service.client().get("/tasks").json()["items"] for _ in range(5)]
            assert all(sorted(task["id"] for task in items) == sorted(created) for items in answers)
            assert service.stop() == 0
        # multiprocessing's resource tracker exits shortly after the process that started it.
        wait_for(lambda: not processes_in(tmp_path), "end of all processes")

    def test_workers_end_if_their_parent_is_killed(self, tmp_path: Path) -> None:
        with serving(tmp_path, "--workers", "2") as service:
            workers = psutil.Process(service.process.pid).children(recursive=True)
            assert len(workers) >= 2
            service.process.kill()
            service.process.wait(LIMIT)
            wait_for(lambda: not any(worker.is_running() for worker in workers), "end of the workers")
            wait_for(lambda: not processes_in(tmp_path), "end of the database")


class TestOwnDatabase:
    def test_own_database_requires_the_migrate_command(self, tmp_path: Path, empty_database_url: str) -> None:
        settings = {"DATABASE_URL": empty_database_url, "BETTER_AUTH_SECRET": SECRET}
        rejected = run(tmp_path, "serve", **settings)
        assert rejected.returncode == 1
        assert "The database's schema has no revision" in rejected.stderr
        assert "Run: todo-api migrate" in rejected.stderr
        for _ in range(2):
            migrated = run(tmp_path, "migrate", **settings)
            assert (migrated.returncode, migrated.stderr) == (0, "")
            assert migrated.stdout == f"The schema is at {HEAD}.\n"
        with serving(tmp_path, **settings) as service:
            assert "curl" not in service.output, "a token is printed for the embedded database only"
        assert not (tmp_path / "data").exists()

    def test_own_database_requires_a_secret(self, tmp_path: Path, database_url: str) -> None:
        for command in (["serve"], ["token", "demo"]):
            rejected = run(tmp_path, *command, DATABASE_URL=database_url)
            assert rejected.returncode == 1
            assert re.match(r"todo-api: (BETTER_AUTH_JWKS_URL or )?BETTER_AUTH_SECRET: ", rejected.stderr)
            assert rejected.stderr.count("\n") == 1

    def test_own_database_needs_no_secret_with_published_keys(self, tmp_path: Path, database_url: str) -> None:
        with issuer() as frontend:
            key = frontend.new_key()
            settings = {
                "DATABASE_URL": database_url,
                "BETTER_AUTH_JWKS_URL": frontend.jwks_url,
                "BETTER_AUTH_ISSUER": frontend.url,
                "BETTER_AUTH_AUDIENCE": frontend.url,
            }
            with serving(tmp_path, "--workers", "2", **settings) as service:
                for _ in range(5):
                    headers = {"Authorization": f"Bearer {key.token('demo')}"}
                    listed = httpx.get(f"http://127.0.0.1:{service.port}/api/demo/tasks", headers=headers)
                    assert listed.status_code == 200
            rejected = run(tmp_path, "token", "demo", **settings)
            assert rejected.stderr.startswith("todo-api: BETTER_AUTH_SECRET: is required to sign a token")

    def test_service_starts_while_its_own_database_is_unreachable(self, tmp_path: Path) -> None:
        url = f"postgresql://todo:hunter2@127.0.0.1:{next_port()}/todo"
        with serving(tmp_path, DATABASE_URL=url, BETTER_AUTH_SECRET=SECRET, DATABASE_WAIT_TIMEOUT="0.5") as service:
            ready = httpx.get(f"http://127.0.0.1:{service.port}/health/ready")
            assert ready.status_code == 503
            assert "hunter2" not in service.output

    def test_migration_bypasses_the_pooler(self, tmp_path: Path, empty_database_url: str) -> None:
        pooled = f"postgresql://todo:hunter2@127.0.0.1:{next_port()}/todo?pgbouncer=true"
        rejected = run(tmp_path, "migrate", DATABASE_URL=pooled)
        assert rejected.returncode == 1
        assert rejected.stderr.startswith("todo-api: DATABASE_URL_UNPOOLED: is required")
        assert rejected.stderr.count("\n") == 1
        migrated = run(tmp_path, "migrate", DATABASE_URL=pooled, DATABASE_URL_UNPOOLED=empty_database_url)
        assert (migrated.returncode, migrated.stderr) == (0, "")

    @pytest.mark.parametrize("command", ["serve", "migrate"])
    def test_wrong_database_password_is_reported(self, tmp_path: Path, database_url: str, command: str) -> None:
        wrong = database_url.replace(f":{urlsplit(database_url).password}@", ":hunter2@")
        rejected = run(tmp_path, command, DATABASE_URL=wrong, BETTER_AUTH_SECRET=SECRET)
        assert rejected.returncode == 1
        (line,) = [line for line in rejected.stderr.splitlines() if not line.startswith("{")]
        assert line.startswith("todo-api: Cannot connect to the database at ")
        assert line.endswith(": the user or the password is wrong. Check DATABASE_URL.")
        assert "hunter2" not in rejected.stderr + rejected.stdout


class TestSettings:
    def test_wrong_setting_is_named_in_one_line(self, tmp_path: Path) -> None:
        rejected = run(tmp_path, "serve", BETTER_AUTH_SECRET="hunter2")
        assert rejected.returncode == 1
        assert rejected.stderr.startswith("todo-api: BETTER_AUTH_SECRET: must have at least 32 bytes")
        assert rejected.stderr.count("\n") == 1

    def test_settings_are_read_from_the_env_file(self, tmp_path: Path) -> None:
        (tmp_path / ".env").write_text("LOG_LEVEL=loud\n")
        assert run(tmp_path, "serve").stderr.startswith("todo-api: LOG_LEVEL: ")


class TestRequests:
    def test_request_is_one_json_log_line_without_secrets(self, tmp_path: Path) -> None:
        with serving(tmp_path) as service:
            client = service.client()
            client.post("/tasks?x=hunter2", json={"title": "hunter2"}, headers={"X-Request-ID": "mine"})
            wait_for(lambda: '"mine"' in service.output, "line")
            lines = [json.loads(line) for line in service.output.splitlines() if line.startswith("{")]
            (line,) = [line for line in lines if line.get("request_id") == "mine"]
            assert (
                line.items()
                >= {
                    "event": "request",
                    "level": "info",
                    "operation": "createTask",
                    "method": "POST",
                    "status": 422,
                }.items()
            )
            assert line["duration_ms"] > 0
            log = "\n".join(line for line in service.output.splitlines() if line.startswith("{"))
            assert "hunter2" not in log
            assert client.headers["Authorization"].removeprefix("Bearer ") not in log

    def test_client_that_disconnects_is_logged_without_traceback(self, tmp_path: Path) -> None:
        with serving(tmp_path) as service:
            token = service.client().headers["Authorization"]
            head = f"POST /api/demo/tasks HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\nContent-Length: 9\r\n\r\n"
            with socket.create_connection(("127.0.0.1", service.port)) as connection:
                connection.sendall(head.encode() + b"{")
            wait_for(lambda: '"createTask"' in service.output, "line")
            assert '"status":null' in service.output
            assert "Traceback" not in service.output

    def test_sigterm_completes_a_request_whose_body_is_incomplete(self, tmp_path: Path) -> None:
        with serving(tmp_path) as service:
            with socket.create_connection(("127.0.0.1", service.port)) as connection:
                token = service.client().headers["Authorization"]
                head = (
                    f"POST /api/demo/tasks HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\nContent-Length: 14\r\n"
                    "Content-Type: application/json\r\n\r\n"
                )
                connection.sendall(head.encode() + b'{"title"')
                client = service.client()
                assert client.get("/tasks").status_code == 200
                service.process.send_signal(signal.SIGTERM)
                wait_for(lambda: "Shutting down" in service.output, "shutdown")
                connection.sendall(b': "x"}')
                assert connection.recv(100).startswith(b"HTTP/1.1 201 ")
            assert service.process.wait(LIMIT) == 0

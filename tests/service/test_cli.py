"""A failed `todo-api` command prints one line, with its prefix, that says what to do."""

import re
import socket
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest

from support.databases import execute
from support.ports import next_port
from support.service import SECRET
from support.serving import run, serving

CLASS_NAME = re.compile(r"Error\b|Exception|Traceback|<class|\[Errno|object at 0x")


def failure(directory: Path, *arguments: str, code: int = 1, **settings: str) -> str:
    """The error line of the command. Log lines may come before it."""
    failed = run(directory, *arguments, **settings)
    lines = [line for line in failed.stderr.splitlines() if not line.startswith("{")]
    assert failed.returncode == code, failed.stderr
    assert failed.stdout == ""
    assert all(line.startswith("todo-api: ") for line in lines), lines
    assert not CLASS_NAME.search("\n".join(lines)), lines
    (line,) = lines
    return line.removeprefix("todo-api: ")


@pytest.fixture
def dead_url() -> str:
    """URL of a database that is down."""
    return f"postgresql://todo:hunter2@127.0.0.1:{next_port()}/todo"


class TestArguments:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["serve", "--port", "65536"], "argument --port: must be a number from 0 to 65535"),
            (["serve", "--port", "-1"], "argument --port: must be a number from 0 to 65535"),
            (["serve", "--port", "http"], "argument --port: must be a number from 0 to 65535"),
            (["serve", "--port", ""], "argument --port: must be a number from 0 to 65535"),
            (["serve", "--port", "1_0"], "argument --port: must be a number from 0 to 65535"),
            (["serve", "--port", "9" * 5000], "argument --port: must be a number from 0 to 65535"),
            (["serve", "--workers", "0"], "argument --workers: must be a number from 1 to 256"),
            (["serve", "--workers", "-2"], "argument --workers: must be a number from 1 to 256"),
            (["serve", "--workers", "two"], "argument --workers: must be a number from 1 to 256"),
            (["serve", "--prot", "8000"], "unrecognized arguments: --prot 8000"),
            (["token"], "the following arguments are required: USER"),
            ([], "the following arguments are required: COMMAND"),
            (["start"], "argument COMMAND: invalid choice"),
        ],
        ids=[
            "port too high",
            "negative port",
            "port that is no number",
            "empty port",
            "port with underscore",
            "port of 5000 digits",
            "no workers",
            "negative workers",
            "workers that are no number",
            "unknown option",
            "no user",
            "no command",
            "unknown command",
        ],
    )
    def test_wrong_arguments_are_named_in_one_line(self, tmp_path: Path, arguments: list[str], message: str) -> None:
        line = failure(tmp_path, *arguments, code=2)
        assert line.startswith(message)
        assert re.search(r"\. Run: todo-api( serve| token)? --help$", line)

    def test_version_is_that_of_the_package(self, tmp_path: Path) -> None:
        printed = run(tmp_path, "--version")
        assert (printed.returncode, printed.stderr) == (0, "")
        assert printed.stdout == f"todo-api {version('todo-api')}\n"


class TestSettingsFirst:
    """A command that connected to the database first would log that it is down, and these tests would fail."""

    @pytest.mark.parametrize("command", ["serve", "token demo"], ids=str)
    def test_missing_secret_is_reported_before_connecting_to_the_database(
        self, tmp_path: Path, dead_url: str, command: str
    ) -> None:
        failed = run(tmp_path, *command.split(), DATABASE_URL=dead_url)
        assert re.fullmatch(r"todo-api: (BETTER_AUTH_JWKS_URL or )?BETTER_AUTH_SECRET: .*\n", failed.stderr)

    def test_port_in_use_is_reported_before_connecting_to_the_database(self, tmp_path: Path, dead_url: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = str(other.getsockname()[1])
            failed = run(tmp_path, "serve", "--port", port, DATABASE_URL=dead_url, BETTER_AUTH_SECRET=SECRET)
        assert failed.stderr.startswith(f"todo-api: Cannot listen on port {port} of 127.0.0.1: ")

    def test_missing_direct_url_is_reported_before_connecting_to_the_database(
        self, tmp_path: Path, dead_url: str
    ) -> None:
        failed = run(tmp_path, "migrate", DATABASE_URL=f"{dead_url}?pgbouncer=true")
        assert re.fullmatch(r"todo-api: DATABASE_URL_UNPOOLED: .*\n", failed.stderr)

    def test_each_wrong_setting_has_a_line_with_the_prefix(self, tmp_path: Path, dead_url: str) -> None:
        wrong = {"LOG_LEVEL": "loud", "ALLOWED_ORIGINS": "x", "BETTER_AUTH_SECRET": "ssh-rsa ".ljust(40, "A")}
        failed = run(tmp_path, "serve", DATABASE_URL=dead_url, **wrong)
        lines = failed.stderr.splitlines()
        assert [re.match(r"todo-api: ([A-Z_]+): ", line)[1] for line in lines] == [  # type: ignore[index]
            "BETTER_AUTH_SECRET",
            "ALLOWED_ORIGINS",
            "LOG_LEVEL",
        ]


class TestListener:
    @pytest.mark.parametrize("workers", ["1", "2"], ids=["one worker", "two workers"])
    def test_port_in_use_is_named(self, tmp_path: Path, workers: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = str(other.getsockname()[1])
            line = failure(tmp_path, "serve", "--port", port, "--workers", workers)
        assert line.startswith(f"Cannot listen on port {port} of 127.0.0.1: Address already in use. Stop the process")
        assert not (tmp_path / "data" / "postgres").exists(), "PostgreSQL was started although the port is in use"

    @pytest.mark.parametrize(
        ("host", "message"),
        [
            ("192.0.2.1", "Cannot listen on port 8000 of 192.0.2.1: Cannot assign requested address. Give an address"),
            ("host.invalid", "--host: there is no address for the name host.invalid. Give an address"),
            ("", "--host: there is no address for the name "),
            ("a" * 64, "--host: "),
            ("1.2.3.4.5", "--host: there is no address for the name 1.2.3.4.5. "),
        ],
        ids=["address of another machine", "unknown name", "empty", "name too long", "five numbers"],
    )
    def test_host_that_cannot_be_bound_is_named(self, tmp_path: Path, host: str, message: str) -> None:
        assert failure(tmp_path, "serve", "--host", host).startswith(message)

    @pytest.mark.parametrize("workers", ["1", "2"], ids=["one worker", "two workers"])
    def test_port_0_is_logged_as_the_selected_port(self, tmp_path: Path, database_url: str, workers: str) -> None:
        settings = {"DATABASE_URL": database_url, "BETTER_AUTH_SECRET": SECRET}
        with serving(tmp_path, "--port", "0", "--workers", workers, **settings) as service:
            assert service.port != 0
            assert httpx.get(f"http://127.0.0.1:{service.port}/health").status_code == 200

    def test_welcome_has_the_selected_port(self, tmp_path: Path) -> None:
        with serving(tmp_path, "--port", "0") as service:
            assert f"http://127.0.0.1:{service.port}/docs" in service.output
            assert ":0/" not in service.output

    @pytest.mark.parametrize(
        ("host", "url"),
        [("localhost", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::1", "[::1]"), ("[::1]", "[::1]"), ("::", "[::1]")],  # noqa: S104
        ids=str,
    )
    def test_address_is_logged_as_a_url_that_clients_can_use(
        self, tmp_path: Path, database_url: str, host: str, url: str
    ) -> None:
        settings = {"DATABASE_URL": database_url, "BETTER_AUTH_SECRET": SECRET}
        with serving(tmp_path, "--port", "0", "--host", host, **settings) as service:
            assert f'"url":"http://{url}:{service.port}"' in service.output
            assert httpx.get(f"http://{url}:{service.port}/health").status_code == 200

    def test_port_can_be_used_again_right_after_a_stop(self, tmp_path: Path, database_url: str) -> None:
        settings = {"DATABASE_URL": database_url, "BETTER_AUTH_SECRET": SECRET}
        with serving(tmp_path, **settings) as first:
            # The side that closes first keeps the port in TIME_WAIT for a minute. Here that is the service.
            answered = httpx.get(f"http://127.0.0.1:{first.port}/health", headers={"Connection": "close"})
            assert answered.status_code == 200
        with serving(tmp_path, "--port", str(first.port), **settings):
            pass


class TestDataDirectory:
    @pytest.mark.parametrize("command", ["serve", "token demo"], ids=str)
    @pytest.mark.parametrize("place", ["file", "file/below", "link"], ids=["a file", "below a file", "a symlink loop"])
    def test_unwritable_data_directory_is_named(self, tmp_path: Path, command: str, place: str) -> None:
        (tmp_path / "file").write_text("")
        (tmp_path / "link").symlink_to(tmp_path / "link")
        line = failure(tmp_path, *command.split(), DATA_DIR=str(tmp_path / place))
        assert line.startswith("DATA_DIR: cannot be written: ")
        assert "set DATABASE_URL" in line

    def test_unwritable_secret_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "data" / "secret").mkdir(parents=True)
        assert failure(tmp_path, "token", "demo").startswith("DATA_DIR: cannot be written: Is a directory")

    def test_unusable_data_directory_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "postgres").write_text("")
        line = failure(tmp_path, "serve", "--port", "0")
        assert str(tmp_path / "data" / "postgres") in line


class TestMigrate:
    def test_rejected_migration_prints_the_reason(self, tmp_path: Path, empty_database_url: str) -> None:
        """The reason is PostgreSQL's message without its DETAIL, which may quote a row."""
        execute(empty_database_url, "CREATE TABLE task (title text)")
        line = failure(tmp_path, "migrate", DATABASE_URL=empty_database_url)
        assert line == (
            'The database rejects the migration: relation "task" already exists (SQLSTATE 42P07). '
            "Remove the cause, and run it again."
        )

    def test_migration_of_a_newer_schema_is_rejected(self, tmp_path: Path, empty_database_url: str) -> None:
        execute(empty_database_url, "CREATE TABLE alembic_version (version_num text)")
        execute(empty_database_url, "INSERT INTO alembic_version VALUES ('9999')")
        line = failure(tmp_path, "migrate", DATABASE_URL=empty_database_url)
        assert line.startswith("The database's schema has a revision that this version does not know")

    def test_rejected_revision_check_prints_the_reason(self, tmp_path: Path, empty_database_url: str) -> None:
        execute(empty_database_url, "CREATE TABLE alembic_version (version text)")
        line = failure(tmp_path, "serve", "--port", "0", DATABASE_URL=empty_database_url, BETTER_AUTH_SECRET=SECRET)
        assert re.match(r"The database rejects .*SQLSTATE 42703\)", line)


class TestUnexpectedError:
    def test_unexpected_error_is_one_log_line_and_one_line_of_the_command(self, tmp_path: Path) -> None:
        """sitecustomize.py replaces a function of the command with one that raises RuntimeError."""
        broken = tmp_path / "broken"
        broken.mkdir()
        (broken / "sitecustomize.py").write_text(
            "import todo_api.cli\ndef fail(*_): raise RuntimeError('hunter2')\ntodo_api.cli.secret = fail\n"
        )
        line = failure(tmp_path, "token", "demo", PYTHONPATH=str(broken))
        assert line.startswith("Unexpected error")


class TestWorkers:
    def test_workers_have_the_settings_of_their_parent(self, tmp_path: Path) -> None:
        """The default of ALLOWED_ORIGINS depends on DATABASE_URL, which the parent sets for its workers."""
        with serving(tmp_path, "--workers", "2") as service:
            preflight = {"Origin": "http://localhost:5173", "Access-Control-Request-Method": "GET"}
            answers = [httpx.options(f"http://127.0.0.1:{service.port}/", headers=preflight) for _ in range(8)]
            assert {answer.status_code for answer in answers} == {200}

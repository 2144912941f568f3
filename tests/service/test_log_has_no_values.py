"""PostgreSQL quotes values of rows and parameters in its errors. No log line contains them, in either format."""

import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest

from support.databases import execute, new_database
from support.service import SECRET
from support.serving import Serving, environment, serving, wait_for
from todo_api.auth.tokens import sign
from todo_api.database import migrate

VALUE = "hunter2"

# By SQLSTATE: a statement that prepares the table, the first word of the titles that fail (some in the trigger below),
# and the name in the log line. Each error quotes the title.
FAULTS = {
    "23514": (
        "ALTER TABLE task ADD CONSTRAINT no_check CHECK (title NOT LIKE 'check%')",
        "check",
        "constraint no_check",
    ),
    "23505": ("CREATE UNIQUE INDEX no_twin ON task (title) WHERE title LIKE 'twin%'", "twin", "constraint no_twin"),
    "22P02": ("ALTER TABLE task ADD COLUMN parsed integer", "parse", ""),
    "P0001": ("", "raise", "constraint no_raise"),
    "42703": ("", "execute", ""),
}
TRIGGER = """
    CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF NEW.title LIKE 'parse%' THEN NEW.parsed := NEW.title::integer; END IF;
        IF NEW.title LIKE 'raise%' THEN
            RAISE EXCEPTION 'bad %', NEW.title USING DETAIL = NEW.title, HINT = NEW.title, CONSTRAINT = 'no_raise';
        END IF;
        IF NEW.title LIKE 'execute%' THEN EXECUTE 'SELECT "' || NEW.title || '"'; END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER fail BEFORE INSERT ON task FOR EACH ROW EXECUTE FUNCTION fail();
"""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with new_database() as url:
        migrate.upgrade(url)
        execute(url, ";".join(statement for statement, *_ in FAULTS.values() if statement) + ";" + TRIGGER)
        yield url


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_failed_statement_is_logged_by_sqlstate_and_sql(url: str, tmp_path: Path, log_format: str) -> None:
    settings = {"DATABASE_URL": url, "BETTER_AUTH_SECRET": SECRET, "LOG_FORMAT": log_format, "LOG_LEVEL": "debug"}
    with serving(tmp_path, **settings) as service:
        for sqlstate, (_, title, name) in FAULTS.items():
            # Two requests, because only a second title violates the unique index.
            failed = [_create(service.port, f"{title} {VALUE} {log_format}") for _ in range(2)]
            assert failed[-1].status_code == 500
            assert VALUE not in failed[-1].text
            message = f"SQLSTATE {sqlstate}; {name}"
            wait_for(partial(_has_line, service, message), message)
        assert service.stop() == 0
        assert VALUE not in service.output


def _has_line(service: Serving, message: str) -> bool:
    return any(message in line and "statement WITH list AS" in line for line in service.output.splitlines())


def _create(port: int, title: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {sign(SECRET, 'demo', 600)}"}
    body = {"title": title, "description": VALUE}
    return httpx.post(f"http://127.0.0.1:{port}/api/demo/tasks", json=body, headers=headers)


# Logs errors through each library's logger. Runs in its own process, because it configures all logging.
SCRIPT = """
import asyncio, logging, sys
import asyncpg, structlog
from sqlalchemy.exc import IntegrityError
from todo_api import logs

logs.configure(sys.argv[1], "debug")

def postgres_error():
    fields = {"C": "23505", "M": "hunter2", "D": "hunter2", "H": "hunter2", "n": "the_constraint"}
    return asyncpg.PostgresError.new(fields, "UPDATE task")

def raised(error, cause=None):
    try:
        raise error from cause
    except Exception as caught:
        return caught

def in_context():
    try:
        try:
            raise postgres_error()
        except Exception:
            raise RuntimeError("outer")
    except Exception as caught:
        return caught

chained = raised(RuntimeError("outer"), raised(postgres_error()))
errors = {
    "itself": raised(postgres_error()),
    "a cause": chained,
    "a context": in_context(),
    "a group": raised(ExceptionGroup("outer", [raised(postgres_error()), chained])),
    "SQLAlchemy's": raised(IntegrityError("UPDATE task", ("hunter2",), raised(postgres_error()))),
}
log = structlog.get_logger()
for name, error in errors.items():
    log.error(name, exc_info=error)
    for library in "uvicorn.error", "asyncpg", "asyncio":
        logging.getLogger(library).error(name, exc_info=error)
    logging.getLogger("uvicorn.error").error("%s: %s", name, error)
log.error("a member", error=errors["itself"])
log.error("asyncpg's own", exc_info=raised(asyncpg.DataError("invalid input for query argument $1: 'hunter2'")))
"""


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_libraries_and_chained_errors_log_no_values(tmp_path: Path, log_format: str) -> None:
    completed = subprocess.run(
        [sys.executable, "-c", SCRIPT, log_format],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    lines = completed.stderr
    assert VALUE not in lines + completed.stdout
    # Four loggers write five errors each, and the group contains two.
    assert lines.count("SQLSTATE 23505; constraint the_constraint; statement UPDATE task") >= 6 * 4
    assert lines.count("outer") >= 3 * 4
    assert ("Traceback (most recent call last)" in lines) is (log_format == "console")

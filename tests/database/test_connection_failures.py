"""The message of a failed connection names the address, the cause and the remedy, and contains no credentials."""

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from support.pgbouncer import PgBouncer
from support.ports import next_port
from support.postgres import Postgres, new_postgres
from todo_api.database import migrate
from todo_api.database.database import Database
from todo_api.database.failures import DatabaseUnavailableError, connection_failure
from todo_api.database.limits import Limits
from todo_api.database.statement import Statement

LIMITS = Limits(wait_timeout=0.5, connect_timeout=0.2)


def connect_service(url: str) -> None:
    async def run() -> None:
        async with Database(url, LIMITS) as database:
            await database.session().fetch_one(Statement("SELECT 1"))

    asyncio.run(run())


def connect_migration(url: str) -> None:
    migrate.upgrade(url, LIMITS)


service_and_migration = pytest.mark.parametrize(
    "connect", [connect_service, connect_migration], ids=["service", "migration"]
)


def message(connect: Callable[[str], None], url: str) -> str:
    with pytest.raises(DatabaseUnavailableError) as failed:
        connect(url)
    text = str(failed.value)
    for forbidden in ("hunter2", "Error", "Exception", "Errno", "<", "PoolStats"):
        assert forbidden not in text
    password = urlsplit(url).password
    assert not password or password not in text
    return text


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@service_and_migration
class TestConnectionFailureMessage:
    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
    def test_message_names_connection_refused(self, connect: Callable[[str], None], host: str) -> None:
        port = next_port()
        expected = (
            f"Cannot connect to the database at {host}:{port} within 0.5 s: connection refused. Check DATABASE_URL."
        )
        assert message(connect, f"postgresql://todo:hunter2@{host}:{port}/todo") == expected

    def test_message_names_unknown_host(self, connect: Callable[[str], None]) -> None:
        text = message(connect, "postgresql://todo:hunter2@nothing.invalid/todo")
        assert text.startswith("Cannot connect to the database at nothing.invalid:5432 within 0.5 s: ")
        assert "there is no such host" in text or "cannot be resolved now" in text

    def test_message_names_silent_server(self, connect: Callable[[str], None], silent_port: int) -> None:
        text = message(connect, f"postgresql://todo:hunter2@127.0.0.1:{silent_port}/todo")
        assert text.endswith(f"at 127.0.0.1:{silent_port} within 0.5 s: no answer. Check DATABASE_URL.")

    def test_message_names_missing_socket(self, connect: Callable[[str], None], tmp_path: Path) -> None:
        text = message(connect, f"postgresql://todo:hunter2@/todo?host={tmp_path}")
        assert "/.s.PGSQL.5432 within 0.5 s: there is no such socket. " in text

    def test_message_names_wrong_password(self, connect: Callable[[str], None], database_url: str) -> None:
        wrong = database_url.replace(f":{urlsplit(database_url).password}@", ":hunter2@")
        assert message(connect, wrong).endswith(": the user or the password is wrong. Check DATABASE_URL.")

    def test_message_names_unknown_database(self, connect: Callable[[str], None], database_url: str) -> None:
        wrong = urlsplit(database_url)._replace(path="/nothing").geturl()
        assert message(connect, wrong).endswith(": there is no such database. Check DATABASE_URL.")

    def test_message_names_server_without_tls(
        self, connect: Callable[[str], None], server_without_tls: Postgres
    ) -> None:
        text = message(connect, f"{server_without_tls.url}?sslmode=require")
        address = urlsplit(server_without_tls.url).netloc.rpartition("@")[2]
        assert text.startswith(f"Cannot connect to the database at {address}: the server offers no TLS. ")

    def test_message_names_required_tls(self, connect: Callable[[str], None], pooler: PgBouncer) -> None:
        text = message(connect, pooler.url.partition("?")[0] + "?sslmode=disable")
        assert "the server requires TLS. Add sslmode=require" in text

    def test_message_names_unverified_certificate(self, connect: Callable[[str], None], pooler: PgBouncer) -> None:
        text = message(connect, pooler.url.partition("?")[0] + "?sslmode=verify-full")
        assert "the server's certificate is not verified (" in text
        assert "sslrootcert" in text
        authority = parse_qs(urlsplit(pooler.url).query)["sslrootcert"][0]
        other = pooler.url.partition("?")[0].replace("@localhost", "@127.0.0.1")
        assert "127.0.0.1" in message(connect, f"{other}?sslmode=verify-full&sslrootcert={authority}")


@pytest.fixture(scope="module")
def server_without_tls() -> Iterator[Postgres]:
    """A server on a TCP port."""
    with new_postgres() as server:
        yield server


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (OSError(errno.EHOSTUNREACH, "hunter2"), os.strerror(errno.EHOSTUNREACH).lower()),
        (OSError("Multiple exceptions: [Errno 111] hunter2, [Errno 111] hunter2"), "connection refused"),
        (OSError("hunter2"), "the connection failed"),
        (socket.gaierror(socket.EAI_AGAIN, "hunter2"), "the host's name cannot be resolved now"),
        (ssl.SSLError(1, "hunter2"), "the TLS handshake failed"),
        (asyncpg.TooManyConnectionsError("hunter2"), "the server has too many connections"),
        (asyncpg.CannotConnectNowError("hunter2"), "the server is starting or shutting down"),
        (asyncpg.ConnectionDoesNotExistError("hunter2"), "the connection was closed"),
        (asyncpg.InvalidAuthorizationSpecificationError('no pg_hba.conf entry for "x", SSL off'), "requires TLS"),
        (asyncpg.InternalServerError("password authentication failed for user 'hunter2'"), "password is wrong"),
        (KeyError("hunter2"), "the connection failed"),
    ],
    ids=[
        "host unreachable", "several addresses", "unknown OSError", "temporary DNS failure", "TLS handshake",
        "too many connections", "starting up", "connection closed", "TLS required", "wrong password at Neon",
        "unexpected error",
    ],
)  # fmt: skip
def test_cause_is_named_without_the_text_of_the_error(error: Exception, cause: str) -> None:
    text = connection_failure("the.host:5432", error)
    assert cause in text
    assert "hunter2" not in text

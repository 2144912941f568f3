"""The command line: `todo-api serve | migrate | token`."""

import argparse
import asyncio
import errno
import os
import secrets
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from ipaddress import ip_address
from pathlib import Path
from typing import NoReturn

import asyncpg
import structlog
from pydantic import SecretStr

from fastapi_contract.contract import ContractError
from todo_api import logs
from todo_api.auth.tokens import sign
from todo_api.contract import load_contract
from todo_api.database.database import Database
from todo_api.database.failures import DatabaseRefusedError, DatabaseUnavailableError
from todo_api.database.url import unpooled
from todo_api.embedded import EmbeddedPostgresError, embedded_postgres
from todo_api.migrations import HEAD
from todo_api.settings import Settings, SettingsError, load_settings

TOKEN_LIFETIME = 3600
"""Seconds."""

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class CommandError(Exception):
    """The command can't be carried out. The message says why and what to do."""


class Parser(argparse.ArgumentParser):
    """argparse's, but an error is one line like all others."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, _prefixed(f"{message}. Run: {self.prog} --help") + "\n")


def main() -> None:
    arguments = _parser().parse_args()
    # Without a handler of ours SIGTERM would end the process before the embedded server is left.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        settings = load_settings()
        logs.configure(settings.log_format, settings.log_level)
        arguments.command(settings, arguments)
    except (SettingsError, ContractError, EmbeddedPostgresError, DatabaseUnavailableError, CommandError) as error:
        sys.exit(_prefixed(str(error)))
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception:
        log.exception("fault")
        sys.exit(_prefixed("an unexpected error, which is a fault of todo-api. The log line above has its traceback."))


def _prefixed(message: str) -> str:
    return "\n".join(f"todo-api: {line}" for line in message.splitlines())


def _number(least: int, most: int) -> Callable[[str], int]:
    """A type of argument, for an error that says what is allowed."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdecimal() and least <= int(text[:9]) <= most):
            raise argparse.ArgumentTypeError(f"must be a number from {least} to {most}")
        return int(text)

    return parse


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="todo-api", description="A task service that is driven by its contract.")
    parser.add_argument("--version", action="version", version=f"todo-api {version('todo-api')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="serve the API; without DATABASE_URL on a PostgreSQL of its own")
    serve.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    serve.add_argument("--port", type=_number(0, 65535), default=8000, help="0: any free one; default: %(default)s")
    serve.add_argument("--workers", type=_number(1, 256), default=1, help="processes; default: %(default)s")
    serve.set_defaults(command=_serve)

    upgrade = commands.add_parser("migrate", help="bring the database's schema to what this version needs")
    upgrade.set_defaults(command=_migrate)

    token = commands.add_parser("token", help="print a token for trying things out, valid for an hour")
    token.add_argument("user", metavar="USER", help="the user_id that the token is for")
    token.set_defaults(command=_token)
    return parser


def _serve(settings: Settings, arguments: argparse.Namespace) -> None:
    # Here, for handlers are bound when they are imported: what they get wrong is told by main(), in one message.
    from todo_api.app import create_app
    from todo_api.server import run

    # All that can be wrong here is found before the database is asked, which may take DATABASE_WAIT_TIMEOUT.
    if settings.database_url is None:
        settings = settings.model_copy(update={"better_auth_secret": SecretStr(_secret(settings))})
    elif not settings.better_auth_secret and not settings.better_auth_jwks_url:
        raise SettingsError("BETTER_AUTH_JWKS_URL or BETTER_AUTH_SECRET: one of them is needed with DATABASE_URL.")
    with _listener(arguments.host, arguments.port) as listener, _database(settings) as serving:
        embedded = settings.database_url is None
        if not embedded:
            _refuse_old_schema(settings)
        _export(serving)
        app = create_app(serving)
        url = _url(listener)
        if embedded:
            _print_welcome(url, _sign(settings, "demo"))
        log.info("serving", url=url, workers=arguments.workers)
        run(app, listener, arguments.workers)


def _export(settings: Settings) -> None:
    """Workers are new processes, and read their settings from the environment."""
    for name, value in (("DATABASE_URL", settings.database_url), ("BETTER_AUTH_SECRET", settings.better_auth_secret)):
        if value is not None:
            os.environ[name] = value.get_secret_value()
    # The default depends on DATABASE_URL, which is set by now. A comma alone is an empty list; nothing is the default.
    os.environ["ALLOWED_ORIGINS"] = ",".join(settings.allowed_origins) or ","


def _listener(host: str, port: int) -> socket.socket:
    from fastapi_contract.server import bind

    try:
        return bind(host, port)
    except socket.gaierror:
        raise CommandError(
            f"--host: there is no address for the name {host}. Give an address such as 0.0.0.0."
        ) from None
    except UnicodeError:
        raise CommandError("--host: is no name of a host. Give an address such as 0.0.0.0.") from None
    except OSError as error:
        remedies = {
            errno.EADDRINUSE: "Stop the process that uses it, or choose another with --port (0: any free one).",
            errno.EACCES: "Ports below 1024 need privileges. Choose another with --port.",
            errno.EADDRNOTAVAIL: "Give an address of this machine: 127.0.0.1, or 0.0.0.0 for all that it has.",
        }
        remedy = remedies.get(error.errno or 0, "Give another --host or --port.")
        raise CommandError(f"cannot listen on port {port} of {host}: {_reason(error)}. {remedy}") from None


def _url(listener: socket.socket) -> str:
    """Where this machine reaches the service. The port is the one that the system chose for port 0."""
    address, port = listener.getsockname()[:2]
    host = ip_address(address)
    if host.is_unspecified:
        host = ip_address("127.0.0.1" if host.version == 4 else "::1")
    return f"http://{host}:{port}" if host.version == 4 else f"http://[{host}]:{port}"


def _migrate(settings: Settings, arguments: argparse.Namespace) -> None:
    with _database(settings):
        if settings.database_url is not None:
            _upgrade(_unpooled(settings), settings)
    print(f"The schema is at {HEAD}.")


def _token(settings: Settings, arguments: argparse.Namespace) -> None:
    print(_sign(settings, arguments.user))


@contextmanager
def _database(settings: Settings) -> Iterator[Settings]:
    """The settings with a database: if they name none, the embedded one, started and migrated."""
    if settings.database_url is not None:
        yield settings
        return
    with embedded_postgres(_data_dir(settings) / "postgres") as server:
        _upgrade(server.url, settings)
        yield settings.model_copy(update={"database_url": SecretStr(server.url)})


def _upgrade(url: str, settings: Settings) -> None:
    from alembic.util import CommandError as AlembicError

    from todo_api.database import migrate

    try:
        migrate.upgrade(url, settings.limits)
    except AlembicError:
        raise CommandError(
            f"the database's schema is at a revision that this version does not know: its newest is {HEAD}. "
            "Install the version of todo-api that migrated it, or a newer one."
        ) from None


def _reason(error: OSError) -> str:
    return error.strerror or "the system gives no reason"


def _unpooled(settings: Settings) -> str:
    if settings.database_url_unpooled is not None:
        return settings.database_url_unpooled.get_secret_value()
    assert settings.database_url is not None
    direct = unpooled(settings.database_url.get_secret_value())
    if direct is None:
        raise SettingsError(
            "DATABASE_URL_UNPOOLED: is needed to migrate, because DATABASE_URL names a pooler. "
            "Set it to the URL of the same database without the pooler."
        )
    return direct


def _refuse_old_schema(settings: Settings) -> None:
    async def revision(url: str) -> str | None:
        async with Database(url, settings.limits) as database:
            return await database.revision()

    assert settings.database_url is not None
    try:
        found = asyncio.run(revision(settings.database_url.get_secret_value()))
    except DatabaseRefusedError:
        raise
    except asyncpg.PostgresError as error:
        raise CommandError(
            # Never its DETAIL, which quotes rows.
            f"the database rejects the check of its schema: {error.message} (SQLSTATE {error.sqlstate}). "
            "Grant the role that serves what it needs."
        ) from None
    except DatabaseUnavailableError:
        log.warning("database unavailable", hint="the schema is not checked; requests are answered 503 until it is up")
        return
    if found != HEAD:
        raise CommandError(
            f"the database's schema is at {found or 'nothing'}, this version needs {HEAD}. Run: todo-api migrate"
        )


def _sign(settings: Settings, user: str) -> str:
    issuer, audience = settings.better_auth_issuer, settings.better_auth_audience
    return sign(_secret(settings), user, TOKEN_LIFETIME, issuer, audience)


def _secret(settings: Settings) -> str:
    """The configured secret; with the embedded database, one of its own, made once and kept with mode 600."""
    if settings.better_auth_secret is not None:
        return settings.better_auth_secret.get_secret_value()
    if settings.database_url is not None:
        raise SettingsError("BETTER_AUTH_SECRET: is needed to sign a token. Make one with: openssl rand -base64 32")
    path = _data_dir(settings) / "secret"
    # Written aside and linked: two that start at once read the same whole secret.
    draft = path.with_name(f"secret.{os.getpid()}")
    with _data_dir_needed():
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(32))
        with suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink()
        return path.read_text()


def _data_dir(settings: Settings) -> Path:
    with _data_dir_needed():
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    return settings.data_dir


@contextmanager
def _data_dir_needed() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SettingsError(
            f"DATA_DIR: cannot be written: {_reason(error)}. Set it to a directory that this user may write, "
            "or set DATABASE_URL and BETTER_AUTH_SECRET."
        ) from None


def _print_welcome(url: str, token: str) -> None:
    tasks = load_contract().operations["createTask"].url(user_id="demo")
    print(
        f"\n  Documentation  {url}/docs"
        f"\n  Contract       {url}/openapi.yaml"
        f'\n  Try            curl {url}{tasks} -H "Authorization: Bearer {token}"'
        f' -H "Content-Type: application/json" -d \'{{"title": "Buy milk"}}\'\n',
        flush=True,
    )

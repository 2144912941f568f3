"""The command line: `todo-api serve | migrate | token | check | routes`."""

import argparse
import asyncio
import errno
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from ipaddress import ip_address
from typing import NoReturn

import asyncpg
import structlog
from pydantic import SecretStr

from fastapi_contract.contract import ContractError
from todo_api import logs
from todo_api.auth.tokens import sign
from todo_api.contract import load_contract
from todo_api.data_dir import data_dir, reason, secret
from todo_api.database.database import Database
from todo_api.database.failures import DatabaseUnavailableError, PermanentDatabaseError
from todo_api.database.url import unpooled
from todo_api.embedded import EmbeddedPostgresError, embedded_postgres
from todo_api.migrations import HEAD
from todo_api.settings import Settings, SettingsError, load_settings

TOKEN_LIFETIME = 3600
"""Seconds."""

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class CommandError(Exception):
    """The command failed. The message says why and what to do."""


class Parser(argparse.ArgumentParser):
    """Prints an error as one line with the prefix of all messages, without the usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, _prefixed(f"{message}. Run: {self.prog} --help") + "\n")


def main() -> None:
    arguments = _parser().parse_args()
    # Python's default for SIGTERM ends the process at once, before the embedded server has stopped.
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
        sys.exit(_prefixed("Unexpected error: this is a fault of todo-api. The log line above has the traceback."))


def _prefixed(message: str) -> str:
    return "\n".join(f"todo-api: {line}" for line in message.splitlines())


def _integer(minimum: int, maximum: int) -> Callable[[str], int]:
    """Returns an argument type whose error message names the bounds, both inclusive."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdecimal() and minimum <= int(text[:9]) <= maximum):
            raise argparse.ArgumentTypeError(f"must be a number from {minimum} to {maximum}")
        return int(text)

    return parse


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="todo-api", description="A task service that is driven by its contract.")
    parser.add_argument("--version", action="version", version=f"todo-api {version('todo-api')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="serve the API; without DATABASE_URL, with an embedded PostgreSQL")
    serve.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    serve.add_argument("--port", type=_integer(0, 65535), default=8000, help="0: any free port; default: %(default)s")
    serve.add_argument("--workers", type=_integer(1, 256), default=1, help="number of processes; default: %(default)s")
    serve.add_argument(
        "--mock", action="store_true", help="answer operations without a handler from their examples in openapi.yaml"
    )
    serve.set_defaults(command=_serve)

    upgrade = commands.add_parser("migrate", help="upgrade the database's schema to the revision of this version")
    upgrade.set_defaults(command=_migrate)

    token = commands.add_parser("token", help="print a token for a user, valid for an hour")
    token.add_argument("user", metavar="USER", help="user_id of the token, its sub")
    token.set_defaults(command=_token)

    check = commands.add_parser("check", help="compare the code with openapi.yaml, without a database")
    check.set_defaults(command=_check)

    routes = commands.add_parser("routes", help="print the operations with their guards, statuses and media types")
    routes.set_defaults(command=_routes)
    return parser


def _serve(settings: Settings, arguments: argparse.Namespace) -> None:
    from todo_api.check import load_routers

    # Before the handlers are imported elsewhere, and before the database is started: main() reports any ContractError.
    load_routers(mock=arguments.mock)
    from todo_api.app import Mode, create_app
    from todo_api.server import run

    mode: Mode = "mock" if arguments.mock else "development" if settings.database_url is None else "production"
    # Checked before the database is contacted, which may take DATABASE_WAIT_TIMEOUT.
    if arguments.mock and settings.database_url is not None:
        raise CommandError("--mock: requires the embedded database. Unset DATABASE_URL.")
    if settings.database_url is None:
        settings = settings.model_copy(update={"better_auth_secret": SecretStr(secret(settings))})
    elif not settings.better_auth_secret and not settings.better_auth_jwks_url:
        raise SettingsError("BETTER_AUTH_JWKS_URL or BETTER_AUTH_SECRET: one of them is required with DATABASE_URL.")
    with _listener(arguments.host, arguments.port) as listener, _with_database(settings) as serving:
        embedded = settings.database_url is None
        if not embedded:
            _require_current_schema(settings)
        _export_settings(serving, mode)
        app = create_app(serving, mode=mode)
        url = _url(listener)
        if embedded:
            _print_welcome(url, settings.root_path, _sign(settings, "demo"))
        log.info("serving", url=url, workers=arguments.workers)
        run(app, listener, arguments.workers, settings.connection_limits)


def _export_settings(settings: Settings, mode: str) -> None:
    """Sets the environment variables from which worker processes read their settings and mode."""
    from todo_api.server import MODE

    os.environ[MODE] = mode
    for name, value in (("DATABASE_URL", settings.database_url), ("BETTER_AUTH_SECRET", settings.better_auth_secret)):
        if value is not None:
            os.environ[name] = value.get_secret_value()
    # The default depends on DATABASE_URL, which is always set here. A comma alone is an empty list;
    # an empty variable counts as unset.
    os.environ["ALLOWED_ORIGINS"] = ",".join(settings.allowed_origins) or ","


def _listener(host: str, port: int) -> socket.socket:
    from fastapi_contract.serving.server import bind

    try:
        return bind(host, port)
    except socket.gaierror:
        raise CommandError(
            f"--host: there is no address for the name {host}. Give an address such as 0.0.0.0."
        ) from None
    except UnicodeError:
        raise CommandError("--host: is not a valid host name. Give an address such as 0.0.0.0.") from None
    except OSError as error:
        remedies = {
            errno.EADDRINUSE: "Stop the process that uses it, or choose another with --port (0: any free port).",
            errno.EACCES: "Ports below 1024 require privileges. Choose another with --port.",
            errno.EADDRNOTAVAIL: "Give an address of this machine: 127.0.0.1, or 0.0.0.0 for all its addresses.",
        }
        remedy = remedies.get(error.errno or 0, "Give another --host or --port.")
        raise CommandError(f"Cannot listen on port {port} of {host}: {reason(error)}. {remedy}") from None


def _url(listener: socket.socket) -> str:
    """Returns the URL of the service for clients on this machine. For port 0 it has the port that the system chose."""
    address, port = listener.getsockname()[:2]
    host = ip_address(address)
    if host.is_unspecified:
        host = ip_address("127.0.0.1" if host.version == 4 else "::1")
    return f"http://{host}:{port}" if host.version == 4 else f"http://[{host}]:{port}"


def _migrate(settings: Settings, arguments: argparse.Namespace) -> None:
    with _with_database(settings):
        if settings.database_url is not None:
            _upgrade(_migration_url(settings), settings)
    print(f"The schema is at {HEAD}.")


def _token(settings: Settings, arguments: argparse.Namespace) -> None:
    print(_sign(settings, arguments.user))


def _check(settings: Settings, arguments: argparse.Namespace) -> None:
    from todo_api.check import load_routers

    load_routers()
    print(f"The code implements openapi.yaml: {len(load_contract().operations)} operations.")


def _routes(settings: Settings, arguments: argparse.Namespace) -> None:
    from fastapi_contract.application import contract_app
    from fastapi_contract.overview import overview
    from todo_api.check import load_routers

    contract = load_contract()
    print(overview(contract_app(contract, load_routers()), contract))


@contextmanager
def _with_database(settings: Settings) -> Iterator[Settings]:
    """Yields settings with a database URL. If it is unset, starts and migrates the embedded PostgreSQL."""
    if settings.database_url is not None:
        yield settings
        return
    with embedded_postgres(data_dir(settings) / "postgres") as server:
        _upgrade(server.url, settings)
        yield settings.model_copy(update={"database_url": SecretStr(server.url)})


def _upgrade(url: str, settings: Settings) -> None:
    from alembic.util import CommandError as AlembicError

    from todo_api.database import migrate

    try:
        migrate.upgrade(url, settings.limits)
    except AlembicError:
        raise CommandError(
            f"The database's schema has a revision that this version does not know; its newest is {HEAD}. "
            "Install the version of todo-api that migrated it, or a newer one."
        ) from None


def _migration_url(settings: Settings) -> str:
    if settings.database_url_unpooled is not None:
        return settings.database_url_unpooled.get_secret_value()
    assert settings.database_url is not None
    direct = unpooled(settings.database_url.get_secret_value())
    if direct is None:
        raise SettingsError(
            "DATABASE_URL_UNPOOLED: is required, because migrations cannot run through the pooler that DATABASE_URL "
            "names. Set it to the URL of the same database without the pooler."
        )
    return direct


def _require_current_schema(settings: Settings) -> None:
    async def revision(url: str) -> str | None:
        async with Database(url, settings.limits) as database:
            return await database.revision()

    assert settings.database_url is not None
    try:
        found = asyncio.run(revision(settings.database_url.get_secret_value()))
    except PermanentDatabaseError:
        raise
    except asyncpg.PostgresError as error:
        raise CommandError(
            # Without DETAIL, which quotes rows.
            f"The database rejects the check of its schema: {error.message} (SQLSTATE {error.sqlstate}). "
            "Check the table alembic_version, and that the role in DATABASE_URL may read it."
        ) from None
    except DatabaseUnavailableError:
        log.warning(
            "database unavailable", hint="the schema is not checked; requests are answered 503 until the database is up"
        )
        return
    if found != HEAD:
        raise CommandError(
            f"The database's schema has {f'revision {found}' if found else 'no revision'}, but this version requires "
            f"{HEAD}. Run: todo-api migrate"
        )


def _sign(settings: Settings, user: str) -> str:
    issuer, audience = settings.better_auth_issuer, settings.better_auth_audience
    return sign(secret(settings), user, TOKEN_LIFETIME, issuer, audience)


def _print_welcome(url: str, root_path: str, token: str) -> None:
    """The URLs lead to the service itself, so without the prefix that a proxy removes."""
    contract = load_contract()
    base = url + contract.base_path.removeprefix(root_path)
    tasks = contract.operations["createTask"].url(user_id="demo").removeprefix(root_path)
    print(
        f"\n  Documentation  {base}/docs"
        f"\n  Contract       {base}/openapi.yaml"
        f'\n  Try            curl {url}{tasks} -H "Authorization: Bearer {token}"'
        f' -H "Content-Type: application/json" -d \'{{"title": "Buy milk"}}\'\n',
        flush=True,
    )

"""The command line: `todo-api serve | migrate | token`."""

import argparse
import asyncio
import os
import secrets
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import structlog
from pydantic import SecretStr
from sqlalchemy.exc import DBAPIError

from todo_api import logs
from todo_api.auth.tokens import sign
from todo_api.contract import ContractError
from todo_api.database.embedded import EmbeddedPostgresError, embedded_postgres
from todo_api.database.failures import DatabaseRefused, DatabaseUnavailable
from todo_api.database.session import Database
from todo_api.database.url import unpooled
from todo_api.migrations import HEAD
from todo_api.settings import Settings, SettingsError, load_settings

TOKEN_LIFETIME = 3600
"""Seconds."""

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class CommandError(Exception):
    """The command can't be carried out. The message says why and what to do."""


def main() -> None:
    arguments = _parser().parse_args()
    # Without a handler of ours SIGTERM would end the process before the embedded server is left.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        settings = load_settings()
        logs.configure(settings.log_format, settings.log_level)
        arguments.command(settings, arguments)
    except (SettingsError, ContractError, EmbeddedPostgresError, DatabaseUnavailable, CommandError) as error:
        sys.exit(f"todo-api: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="todo-api", description="A task service that is driven by its contract.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="serve the API; without DATABASE_URL on a PostgreSQL of its own")
    serve.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    serve.add_argument("--port", type=int, default=8000, help="default: %(default)s")
    serve.add_argument("--workers", type=int, default=1, help="processes; default: %(default)s")
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
    from todo_api.server import bind, run

    if settings.database_url is None:
        settings.better_auth_secret = SecretStr(_secret(settings))
    with _database(settings) as embedded:
        if not embedded:
            _refuse_old_schema(settings)
        if not settings.better_auth_secret and not settings.better_auth_jwks_url:
            raise SettingsError("BETTER_AUTH_JWKS_URL or BETTER_AUTH_SECRET: one of them is needed with DATABASE_URL.")
        # Workers are new processes, and read their settings from the environment.
        for name, value in (
            ("DATABASE_URL", settings.database_url),
            ("BETTER_AUTH_SECRET", settings.better_auth_secret),
        ):
            if value is not None:
                os.environ[name] = value.get_secret_value()
        app = create_app(settings)
        if embedded:
            _print_welcome(f"http://{arguments.host}:{arguments.port}", _sign(settings, "demo"))
        run(app, bind(arguments.host, arguments.port), arguments.workers)


def _migrate(settings: Settings, arguments: argparse.Namespace) -> None:
    from todo_api.database import migrate

    with _database(settings) as embedded:
        if not embedded:
            try:
                migrate.upgrade(_unpooled(settings), settings.limits)
            except DBAPIError as error:
                raise CommandError(f"the database refuses the migration: {error.orig}") from None
    print(f"The schema is at {HEAD}.")


def _token(settings: Settings, arguments: argparse.Namespace) -> None:
    print(_sign(settings, arguments.user))


@contextmanager
def _database(settings: Settings) -> Iterator[bool]:
    """Sees to it that the settings have a database: where they name none, the embedded one, started and migrated.

    Yields whether it is the embedded one.
    """
    if settings.database_url is not None:
        yield False
        return
    from todo_api.database import migrate

    with embedded_postgres(_data_dir(settings) / "postgres") as server:
        migrate.upgrade(server.url, settings.limits)
        settings.database_url = SecretStr(server.url)
        yield True


def _unpooled(settings: Settings) -> str:
    if settings.database_url_unpooled is not None:
        return settings.database_url_unpooled.get_secret_value()
    assert settings.database_url is not None
    direct = unpooled(settings.database_url.get_secret_value())
    if direct is None:
        raise SettingsError("DATABASE_URL_UNPOOLED: is needed to migrate, for DATABASE_URL names a pooler.")
    return direct


def _refuse_old_schema(settings: Settings) -> None:
    async def revision(url: str) -> str | None:
        async with Database(url, settings.limits) as database:
            return await database.revision()

    assert settings.database_url is not None
    try:
        found = asyncio.run(revision(settings.database_url.get_secret_value()))
    except DatabaseRefused:
        raise
    except DatabaseUnavailable:
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
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(secrets.token_urlsafe(32))
    with suppress(FileExistsError):
        os.link(draft, path)
    draft.unlink()
    return path.read_text()


def _data_dir(settings: Settings) -> Path:
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    return settings.data_dir


def _print_welcome(url: str, token: str) -> None:
    print(
        f"\n  Documentation  {url}/docs"
        f"\n  Contract       {url}/openapi.yaml"
        f'\n  Try            curl {url}/api/demo/tasks -H "Authorization: Bearer {token}"'
        f' -H "Content-Type: application/json" -d \'{{"title": "Buy milk"}}\'\n',
        flush=True,
    )

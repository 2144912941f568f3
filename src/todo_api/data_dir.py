"""DATA_DIR: the folder of the embedded PostgreSQL and of the generated secret."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from todo_api.settings import Settings, SettingsError


def secret(settings: Settings) -> str:
    """Returns the configured secret or, for the embedded database, one that is generated once and kept (mode 600)."""
    if settings.better_auth_secret is not None:
        return settings.better_auth_secret.get_secret_value()
    if settings.database_url is not None:
        raise SettingsError(
            "BETTER_AUTH_SECRET: is required to sign a token. Generate one with: openssl rand -base64 32"
        )
    path = data_dir(settings) / "secret"
    # Written to another file and linked, so that two concurrent starts read the same, complete secret.
    draft = path.with_name(f"secret.{os.getpid()}")
    with _errors():
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(32))
        with suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink()
        return path.read_text()


def data_dir(settings: Settings) -> Path:
    """Returns the folder, which only this user can read. Raises SettingsError if it cannot be made."""
    with _errors():
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    return settings.data_dir


@contextmanager
def _errors() -> Iterator[None]:
    """Turns an OSError into a SettingsError."""
    try:
        yield
    except OSError as error:
        raise SettingsError(
            f"DATA_DIR: cannot be written: {reason(error)}. Set it to a directory that this user may write, "
            "or set DATABASE_URL and BETTER_AUTH_SECRET."
        ) from None


def reason(error: OSError) -> str:
    """Returns the system's text of an error, without the path."""
    return error.strerror or "the system gives no reason"

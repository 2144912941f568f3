"""Every environment variable that the service reads, read once. `.env.example` lists the same ones."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from todo_api.database.url import asyncpg_dsn

MIN_SECRET = 32
"""Bytes. An HS256 key must be at least as long as the hash (RFC 7518, section 3.2)."""


class SettingsError(Exception):
    """A setting is missing or wrong. The message names the variable, and never its value."""


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore")

    database_url: SecretStr | None = Field(
        None, description="PostgreSQL. Without it the service starts one of its own in DATA_DIR."
    )
    better_auth_secret: SecretStr | None = Field(
        None,
        description="Signs the HS256 tokens, 32 bytes or more. Needed with DATABASE_URL; else one is made in DATA_DIR.",
    )
    data_dir: Path = Field(Path(".todo-api"), description="Where the embedded PostgreSQL and the made secret live.")
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        ("http://localhost:3000",), description="The frontend's origins for CORS, separated by commas."
    )
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="How log lines look. auto: console on a terminal, json elsewhere."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least level that is logged."
    )

    @field_validator("database_url")
    @classmethod
    def _check_database_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            asyncpg_dsn(value.get_secret_value())
        return value

    @field_validator("better_auth_secret")
    @classmethod
    def _check_secret(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value().encode()) < MIN_SECRET:
            raise ValueError(f"must have at least {MIN_SECRET} bytes. Make one with: openssl rand -base64 32")
        return value

    @field_validator("allowed_origins", mode="before")
    @classmethod
    def _split_origins(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(origin.strip().rstrip("/") for origin in value.split(",") if origin.strip())

    @field_validator("allowed_origins")
    @classmethod
    def _check_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            if not origin.startswith(("http://", "https://")) or origin.count("/") != 2:
                raise ValueError("must be origins such as https://app.example.com, separated by commas")
        return value


def load_settings() -> Settings:
    """Raises SettingsError with one line for each variable that is wrong."""
    try:
        return Settings()
    except ValidationError as error:
        faults = (
            f"{str(fault['loc'][0]).upper()}: {fault['msg'].removeprefix('Value error, ')}"
            for fault in error.errors(include_input=False)
        )
        raise SettingsError("\n".join(faults)) from None

"""The settings, read once from the environment and `.env`.

Each description is the only source of its text: tests compare the table in README.md and `.env.example` with it.
"""

import re
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from fastapi_contract.middleware.origins import LOCAL, normalize
from fastapi_contract.middleware.rate_limit import ClientAddress
from fastapi_contract.openapi.servers import is_path
from fastapi_contract.serving.limits import ConnectionLimits
from todo_api.auth.keys import ALIASES, shared_key
from todo_api.auth.proxies import certificates, proxy_for
from todo_api.database.limits import Limits
from todo_api.database.url import DatabaseUrl

Algorithm = Literal["EdDSA", "Ed25519", "ES256", "ES384", "ES512", "RS256", "RS384", "RS512"]

Seconds = Annotated[float, Field(ge=0.01, le=3600, allow_inf_nan=False)]

MIN_SECRET = 32
"""Bytes. An HS256 key must be at least as long as the hash (RFC 7518, section 3.2)."""


class SettingsError(Exception):
    """A setting is missing or wrong. The message names the variable, never its value."""


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore", hide_input_in_errors=True)

    database_url: SecretStr | None = Field(
        None,
        description="URL of PostgreSQL, directly or through a pooler. "
        "If unset, an embedded PostgreSQL is started in `DATA_DIR`.",
    )
    database_url_unpooled: SecretStr | None = Field(
        None,
        description="URL of the same database without a pooler, for migrations. "
        "If unset, it is derived for Neon, Supabase and Azure.",
    )
    database_pool_size: int = Field(5, ge=1, le=1000, description="Connections that each worker keeps open.")
    database_pool_overflow: int = Field(
        10, ge=0, le=1000, description="Extra connections allowed under load, in each worker."
    )
    database_idle_lifetime: Seconds = Field(
        120,
        description="Seconds after which an idle connection is closed. Neon closes idle connections after 300.",
    )
    database_connect_timeout: Seconds = Field(10, description="Timeout in seconds of one attempt to connect.")
    database_wait_timeout: Seconds = Field(
        15,
        description="Timeout in seconds for getting a connection, waiting and retries included; "
        "then the answer is 503.",
    )
    database_statement_timeout: Seconds = Field(30, description="Timeout in seconds of a statement.")
    database_slow_statement: Seconds = Field(
        0.5, description="Seconds after which a statement is logged as slow, with its SQL and without values."
    )
    max_tasks: int = Field(
        10_000, ge=1, le=2_000_000_000, description="Tasks that a user can have; then creating one is 409."
    )
    require_if_match: bool = Field(
        default=False, description="Whether a change of a task must have the header `If-Match`; otherwise it is 428."
    )
    database_application_name: str = Field(
        "todo-api",
        max_length=63,
        pattern=r"^[\x20-\x7E]+$",
        description="`application_name` shown in `pg_stat_activity`.",
    )
    better_auth_jwks_url: str | None = Field(
        None,
        description="URL of Better Auth's published keys (recommended). "
        "With `DATABASE_URL`, this or a secret is required.",
    )
    better_auth_secret: SecretStr | None = Field(
        None,
        description="Secret that signs HS256 tokens, 32 bytes or more. "
        "If unset, one is generated for the embedded PostgreSQL.",
    )
    better_auth_secret_previous: SecretStr | None = Field(
        None, description="Old secret whose tokens are still accepted while `BETTER_AUTH_SECRET` is changed."
    )
    better_auth_issuer: str | None = Field(None, description="Required value of `iss`. If unset, `iss` is not checked.")
    better_auth_audience: str | None = Field(
        None, description="Required value of `aud`, or one of its values. If unset, `aud` is not checked."
    )
    better_auth_algorithms: Annotated[tuple[Algorithm, ...], NoDecode] = Field(
        ("EdDSA", "ES256", "RS256"),
        description="Accepted algorithms of published keys: "
        "EdDSA (or Ed25519), ES256, ES384, ES512, RS256, RS384, RS512.",
    )
    token_leeway: int = Field(30, ge=0, le=300, description="Allowed clock skew in seconds for `iat` and `nbf`.")
    token_max_lifetime: int = Field(86400, ge=1, description="Maximum seconds from `iat` to `exp`.")
    token_max_bytes: int = Field(8192, ge=256, le=65536, description="Maximum size of a token in bytes.")
    rate_limit_user: int = Field(
        0,
        ge=0,
        le=1_000_000,
        description="Requests of a user in a minute; then the answer is 429. 0 is no limit. "
        "Default with `DATABASE_URL`: `600`.",
    )
    rate_limit_address: int = Field(
        0,
        ge=0,
        le=1_000_000,
        description="Requests of a client address (IPv6: /64) in a minute, as above. "
        "Default with `DATABASE_URL`: `3000`.",
    )
    rate_limit_url: SecretStr | None = Field(
        None,
        description="URL of Redis or Valkey, in which all workers and machines count. "
        "If unset, each worker counts its own requests.",
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Networks of reverse proxies whose `X-Forwarded-For` names the client, separated by commas. "
        "Private addresses are trusted.",
    )
    data_dir: Path = Field(Path(".todo-api"), description="Folder of the embedded PostgreSQL and the generated secret.")
    root_path: str = Field(
        "", max_length=200, description="Path that a reverse proxy removes from each URL, such as `/todo`."
    )
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        LOCAL,
        description="Origins (CORS) that may call the API, separated by commas. "
        "Default with `DATABASE_URL`: `http://localhost:3000`.",
    )
    allowed_headers: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Additional request headers that pages may send, separated by commas."
    )
    max_connections: int = Field(
        800,
        ge=10,
        le=100_000,
        description="Clients' connections of each worker. Beyond it, the one that is silent for longest is closed.",
    )
    idle_timeout: Seconds = Field(75, description="Seconds after which a connection without a request is closed.")
    headers_timeout: Seconds = Field(
        10, description="Seconds within which the headers of a request must be complete; then the answer is 408."
    )
    body_timeout: Seconds = Field(
        30, description="Seconds within which a body must be complete, after the headers; then the answer is 408."
    )
    request_timeout: Seconds = Field(
        60, description="Seconds within which a complete request is answered; then the answer is 503."
    )
    write_timeout: Seconds = Field(
        60, description="Seconds within which a client must read 64 KiB of an answer; then the connection is closed."
    )
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="Format of log lines: json, console, or auto (console on a terminal, json otherwise)."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Minimum log level: debug, info, warning or error."
    )

    @field_validator("database_url", "database_url_unpooled")
    @classmethod
    def _check_database_url(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is not None:
            url = DatabaseUrl.parse(value.get_secret_value())
            if url.tls:
                # Reads the certificates, so that an unreadable one stops the start.
                url.arguments()
            if info.field_name == "database_url_unpooled" and not url.supports_migrations:
                raise ValueError("names a pooler; the direct URL is needed")
        return value

    @field_validator("better_auth_jwks_url")
    @classmethod
    def _check_jwks_url(cls, value: str | None) -> str | None:
        if value is not None and not (re.fullmatch(r"https?://[^/?#@\s]+(/[^\s]*)?", value) and _has_valid_port(value)):
            raise ValueError("must be a URL such as https://app.example.com/api/auth/jwks")
        return value

    @field_validator("better_auth_secret", "better_auth_secret_previous")
    @classmethod
    def _check_secret(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            if len(value.get_secret_value().strip().encode()) < MIN_SECRET:
                raise ValueError(
                    f"must have at least {MIN_SECRET} bytes, not counting white space at its ends. "
                    "Generate one with: openssl rand -base64 32"
                )
            try:
                shared_key(value.get_secret_value())
            except ValueError as error:
                raise ValueError(f"{error}. Generate one with: openssl rand -base64 32") from None
        return value

    @field_validator("allowed_origins", "allowed_headers", "better_auth_algorithms", "trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(item.strip() for item in value.split(",") if item.strip())

    @field_validator("better_auth_algorithms")
    @classmethod
    def _replace_aliases(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(ALIASES.get(name, name) for name in value))

    @field_validator("rate_limit_url")
    @classmethod
    def _check_rate_limit_url(cls, value: SecretStr | None) -> SecretStr | None:
        url = value and value.get_secret_value()
        if url and not (
            re.fullmatch(r"(redis|valkey)s?://[^/?#\s]+(/[0-9]*)?(\?[^#\s]*)?", url) and _has_valid_port(url)
        ):
            raise ValueError("must be a URL such as redis://:password@redis.example.com:6379/0")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _check_proxies(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        try:
            ClientAddress(value)
        except ValueError:
            raise ValueError("must be networks such as 203.0.113.0/24, separated by commas") from None
        return value

    @field_validator("root_path")
    @classmethod
    def _check_root_path(cls, value: str) -> str:
        path = value.rstrip("/")
        if not is_path(path):
            raise ValueError("must be a path such as /todo")
        return path

    @field_validator("allowed_origins")
    @classmethod
    def _check_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(normalize, value))

    @model_validator(mode="after")
    def _set_defaults_for_production(self) -> Self:
        """Sets the defaults for DATABASE_URL. With the embedded database every local port is an allowed origin, and
        requests are not limited."""
        if self.database_url is not None:
            defaults = {
                "allowed_origins": ("http://localhost:3000",),
                "rate_limit_user": 600,
                "rate_limit_address": 3000,
            }
            for name in defaults.keys() - self.model_fields_set:
                setattr(self, name, defaults[name])
        return self

    @field_validator("allowed_headers")
    @classmethod
    def _check_headers(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """Requires header names, which are tokens (RFC 9110, section 5.6.2). `*` is one, but is rejected, because
        browsers would not read it as every header."""
        if not all(re.fullmatch(r"(?!\*$)[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}", name) for name in value):
            raise ValueError("must be names of headers such as X-Datadog-Trace-Id, separated by commas")
        return value

    @property
    def connection_limits(self) -> ConnectionLimits:
        """The limits of clients' connections."""
        return ConnectionLimits(
            connections=self.max_connections,
            idle_timeout=self.idle_timeout,
            headers_timeout=self.headers_timeout,
            body_timeout=self.body_timeout,
            request_timeout=self.request_timeout,
            write_timeout=self.write_timeout,
        )

    @property
    def limits(self) -> Limits:
        """The limits of the database's pool and statements."""
        return Limits(
            size=self.database_pool_size,
            overflow=self.database_pool_overflow,
            idle_lifetime=self.database_idle_lifetime,
            connect_timeout=self.database_connect_timeout,
            wait_timeout=self.database_wait_timeout,
            statement_timeout=self.database_statement_timeout,
            slow_statement=self.database_slow_statement,
        )


def load_settings() -> Settings:
    """Reads the settings from the environment and `.env`.

    Raises SettingsError with one line for each wrong variable, including those of proxies and certificates.
    """
    try:
        settings = Settings()
        if settings.better_auth_jwks_url is not None:
            proxy_for(settings.better_auth_jwks_url)
            certificates()
    except ValidationError as error:
        faults = (
            f"{str(fault['loc'][0]).upper()}: {fault['msg'].removeprefix('Value error, ')}" for fault in error.errors()
        )
        raise SettingsError("\n".join(faults)) from None
    except UnicodeDecodeError:
        raise SettingsError(".env: must be UTF-8 text. Save it as UTF-8.") from None
    except OSError as error:
        raise SettingsError(f".env: cannot be read: {error.strerror}. Make it readable, or remove it.") from None
    except ValueError as error:
        raise SettingsError(str(error)) from None
    return settings


def _has_valid_port(url: str) -> bool:
    """Whether the port is absent or from 1 to 65535. urlsplit also raises ValueError for an unbalanced bracket."""
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False

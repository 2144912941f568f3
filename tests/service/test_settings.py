"""A wrong setting stops the start with one line that names the variable, without its value."""

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from support import ROOT
from todo_api.app import create_app
from todo_api.settings import Settings, SettingsError, load_settings

README = (ROOT / "README.md").read_text()
ENV_EXAMPLE = (ROOT / ".env.example").read_text()
EXAMPLE = dict(re.findall(r"^# ([A-Z_]+)=(.*)$", ENV_EXAMPLE, re.MULTILINE))


def default_text(name: str) -> str:
    """The default of a setting as it is written in .env, or "" if it has none."""
    default = Settings.model_fields[name].default
    if isinstance(default, tuple):
        return ",".join(default)
    return "" if default is None else str(default)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("empty"))
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def test_env_example_lists_every_setting() -> None:
    assert list(EXAMPLE) == [name.upper() for name in Settings.model_fields]


def test_readme_lists_every_setting() -> None:
    assert re.findall(r"^\| `([A-Z_]+)` \|", README, re.MULTILINE) == list(EXAMPLE)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_readme_has_default_and_description_of_settings_py(name: str) -> None:
    default = f"`{default_text(name)}`" if default_text(name) else "none"
    row = f"| `{name.upper()}` | {default} | {Settings.model_fields[name].description} |"
    (found,) = re.findall(rf"^\| `{name.upper()}` .*", README, re.MULTILINE)
    assert found == row, f"README.md: paste this row into the table of settings:\n{row}"


@pytest.mark.parametrize("name", Settings.model_fields)
def test_env_example_has_description_of_settings_py(name: str) -> None:
    comment = f"# {Settings.model_fields[name].description}"
    block = next(block for block in ENV_EXAMPLE.split("\n\n") if re.search(rf"^# {name.upper()}=", block, re.MULTILINE))
    first = block.splitlines()[0]
    assert first == comment, f".env.example: paste this line as the first above {name.upper()}:\n{comment}"


@pytest.mark.parametrize("name", [name for name in Settings.model_fields if default_text(name)])
def test_env_example_has_default_of_settings_py(name: str) -> None:
    line = f"# {name.upper()}={default_text(name)}"
    (found,) = re.findall(rf"^# {name.upper()}=.*", ENV_EXAMPLE, re.MULTILINE)
    assert found == line, f".env.example: paste this line:\n{line}"


@pytest.mark.parametrize("name", [name for name in EXAMPLE if EXAMPLE[name]])
def test_env_example_shows_the_default_or_a_valid_value(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    default = load_settings()
    monkeypatch.setenv(name, EXAMPLE[name])
    changed = load_settings()
    assert changed == default or getattr(default, name.lower()) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://root:hunter2@localhost/x"),
        ("DATABASE_URL", "hunter2"),
        ("DATABASE_URL", "postgresql://a:1?hunter2@b/c"),
        ("DATABASE_URL", "postgresql://a:b@c/d?options=hunter2"),
        ("DATABASE_URL_UNPOOLED", "hunter2"),
        ("DATABASE_URL_UNPOOLED", "postgresql://a:hunter2@ep-b-pooler.eu-central-1.aws.neon.tech/c"),
        ("DATABASE_URL_UNPOOLED", "postgresql://a:hunter2@b/c?pgbouncer=true"),
        ("DATABASE_POOL_SIZE", "0"),
        ("DATABASE_POOL_OVERFLOW", "-1"),
        ("DATABASE_IDLE_LIFETIME", "0"),
        ("DATABASE_CONNECT_TIMEOUT", "0"),
        ("DATABASE_WAIT_TIMEOUT", "hunter2"),
        ("DATABASE_STATEMENT_TIMEOUT", "0"),
        pytest.param("DATABASE_APPLICATION_NAME", "hunter2".ljust(64), id="DATABASE_APPLICATION_NAME-64 characters"),
        ("BETTER_AUTH_SECRET", "hunter2"),
        pytest.param("BETTER_AUTH_SECRET", "hunter2".ljust(31), id="BETTER_AUTH_SECRET-31 characters"),
        ("BETTER_AUTH_SECRET_PREVIOUS", "hunter2"),
        pytest.param("BETTER_AUTH_SECRET", " " * 40, id="BETTER_AUTH_SECRET-40 spaces"),
        pytest.param("BETTER_AUTH_SECRET", "\t\n " * 20, id="BETTER_AUTH_SECRET-white space"),
        pytest.param("BETTER_AUTH_SECRET", "hunter2".center(60), id="BETTER_AUTH_SECRET-7 characters in 60"),
        pytest.param(
            "BETTER_AUTH_SECRET",
            "-----BEGIN PUBLIC KEY-----\nhunter2\n-----END PUBLIC KEY-----",
            id="BETTER_AUTH_SECRET-public key",
        ),
        pytest.param(
            "BETTER_AUTH_SECRET",
            "-----BEGIN PUBLIC KEY-----\\nhunter2\\n-----END PUBLIC KEY-----",
            id="BETTER_AUTH_SECRET-public key in one line",
        ),
        pytest.param(
            "BETTER_AUTH_SECRET", "-----BEGIN RSA PUBLIC KEY-----\nhunter2", id="BETTER_AUTH_SECRET-RSA public key"
        ),
        pytest.param(
            "BETTER_AUTH_SECRET", "-----BEGIN CERTIFICATE-----\nhunter2 and more", id="BETTER_AUTH_SECRET-certificate"
        ),
        pytest.param("BETTER_AUTH_SECRET", "ssh-rsa hunter2".ljust(40, "A"), id="BETTER_AUTH_SECRET-SSH key"),
        pytest.param(
            "BETTER_AUTH_SECRET", " ssh-rsa hunter2".ljust(40, "A"), id="BETTER_AUTH_SECRET-SSH key after a space"
        ),
        pytest.param(
            "BETTER_AUTH_SECRET_PREVIOUS", "ssh-rsa hunter2".ljust(40, "A"), id="BETTER_AUTH_SECRET_PREVIOUS-SSH key"
        ),
        pytest.param(
            "BETTER_AUTH_SECRET_PREVIOUS",
            "-----BEGIN PUBLIC KEY-----hunter2",
            id="BETTER_AUTH_SECRET_PREVIOUS-public key",
        ),
        pytest.param("BETTER_AUTH_SECRET_PREVIOUS", " " * 40, id="BETTER_AUTH_SECRET_PREVIOUS-40 spaces"),
        ("RATE_LIMIT_USER", "-1"),
        ("RATE_LIMIT_ADDRESS", "hunter2"),
        ("RATE_LIMIT_URL", "hunter2"),
        ("RATE_LIMIT_URL", "http://a:hunter2@b"),
        ("RATE_LIMIT_URL", "redis://:hunter2@b:99999"),
        ("RATE_LIMIT_URL", "redis://:b@c:hunter2/0"),
        ("TRUSTED_PROXIES", "hunter2"),
        ("TRUSTED_PROXIES", "203.0.113.1/24"),
        ("ROOT_PATH", "hunter2"),
        ("ROOT_PATH", "https://hunter2/todo"),
        ("ROOT_PATH", "/hunter2 "),
        ("BETTER_AUTH_JWKS_URL", "hunter2"),
        ("BETTER_AUTH_JWKS_URL", "https://hunter2:99999/jwks"),
        ("BETTER_AUTH_JWKS_URL", "https://example.com:hunter2/jwks"),
        ("BETTER_AUTH_JWKS_URL", "https://hunter2:0/jwks"),
        ("BETTER_AUTH_JWKS_URL", "https://[::1/hunter2"),
        ("BETTER_AUTH_JWKS_URL", "https://a:hunter2@example.com/jwks"),
        ("BETTER_AUTH_ALGORITHMS", "EdDSA,hunter2"),
        ("BETTER_AUTH_ALGORITHMS", "HS256"),
        ("BETTER_AUTH_ALGORITHMS", "none"),
        ("BETTER_AUTH_ALGORITHMS", "Ed448"),
        ("BETTER_AUTH_ALGORITHMS", "ed25519"),
        ("TOKEN_LEEWAY", "-1"),
        ("TOKEN_MAX_LIFETIME", "hunter2"),
        ("ALLOWED_ORIGINS", "hunter2.example.com"),
        ("ALLOWED_ORIGINS", "https://hunter2.example.com/path"),
        ("ALLOWED_ORIGINS", "*"),
        ("LOG_FORMAT", "hunter2"),
        ("LOG_LEVEL", "hunter2"),
    ],
)
def test_invalid_value_is_rejected_with_the_name_of_its_variable(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as rejected:
        load_settings()
    assert str(rejected.value).startswith(f"{name}: ")
    assert "\n" not in str(rejected.value)
    assert "hunter2" not in str(rejected.value)


def test_each_invalid_value_is_reported_in_its_own_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BETTER_AUTH_SECRET", "short")
    monkeypatch.setenv("LOG_LEVEL", "loud")
    with pytest.raises(SettingsError) as rejected:
        load_settings()
    assert [line.split(":")[0] for line in str(rejected.value).splitlines()] == ["BETTER_AUTH_SECRET", "LOG_LEVEL"]


def test_empty_variable_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "")
    assert load_settings().database_url is None


def test_origins_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOWED_ORIGINS", "https://a.example, http://localhost:3000/ ,")
    assert load_settings().allowed_origins == ("https://a.example", "http://localhost:3000")


def test_pooler_is_rejected_as_direct_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL_UNPOOLED", "postgresql://a:hunter2@b/c?pgbouncer=true")
    with pytest.raises(SettingsError, match="DATABASE_URL_UNPOOLED: names a pooler; the direct URL is needed"):
        load_settings()


@pytest.mark.parametrize("value", ["EdDSA", "Ed25519", "EdDSA,Ed25519", "Ed25519,EdDSA"], ids=str)
def test_ed25519_is_another_name_of_eddsa(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("BETTER_AUTH_ALGORITHMS", f"{value},ES256")
    assert load_settings().better_auth_algorithms == ("EdDSA", "ES256")


def test_error_of_settings_constructed_in_code_shows_no_value() -> None:
    wrong: dict[str, Any] = dict.fromkeys(("better_auth_secret", "database_url", "token_leeway"), "hunter2")
    with pytest.raises(ValidationError) as rejected:
        Settings(_env_file=None, **wrong)
    assert "better_auth_secret" in str(rejected.value)
    assert "hunter2" not in str(rejected.value) + repr(rejected.value)


class TestEnvFile:
    def test_env_file_in_another_encoding_is_named(self) -> None:
        Path(".env").write_bytes(b"LOG_LEVEL=\xff\xfe\n")
        with pytest.raises(SettingsError, match=r"^\.env: must be UTF-8 text"):
            load_settings()

    def test_unreadable_env_file_is_named(self) -> None:
        """Reading /proc/self/mem at offset 0 fails for every user. root can read a file of mode 000."""
        Path(".env").symlink_to("/proc/self/mem")
        with pytest.raises(SettingsError, match=r"^\.env: cannot be read: Input/output error"):
            load_settings()

    def test_env_file_that_is_a_directory_is_ignored(self) -> None:
        Path(".env").mkdir()
        assert load_settings().log_level == "info"


def test_every_limit_of_the_database_comes_from_its_setting() -> None:
    numbers = iter(range(1, 100))
    given: dict[str, Any] = {
        name: next(numbers)
        for name, field in Settings.model_fields.items()
        if name.startswith("database_") and field.annotation in (int, float)
    }
    limits = asdict(Settings(_env_file=None, **given).limits)
    assert {f"database_{name.removeprefix('pool_')}": value for name, value in limits.items()} == {
        name.replace("database_pool_", "database_"): value for name, value in given.items()
    }


def test_size_and_overflow_limit_the_pool() -> None:
    url = "postgresql://a:b@127.0.0.1:1/c"
    for size, overflow in ((1, 0), (2, 7)):
        settings = Settings(
            _env_file=None,
            database_url=SecretStr(url),
            better_auth_secret=SecretStr("x" * 32),
            database_pool_size=size,
            database_pool_overflow=overflow,
        )
        assert create_app(settings).state.services.database.stats.limit == size + overflow


def test_secrets_are_hidden_in_the_repr_of_settings() -> None:
    secret, url = SecretStr("hunter2" * 8), SecretStr("postgresql://a:hunter2@b/c")
    settings = Settings(_env_file=None, better_auth_secret=secret, database_url=url, database_url_unpooled=url)
    assert "hunter2" not in repr(settings)

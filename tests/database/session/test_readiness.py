"""Readiness is the last known state of the database."""

import asyncio
import logging
from typing import Any
from urllib.parse import urlsplit

import pytest

from support.relay import Relay
from support.sessions import ONE, run, until
from todo_api.database import database as module
from todo_api.database.database import Database
from todo_api.database.failures import DatabaseUnavailableError
from todo_api.database.limits import Limits
from todo_api.database.session import Session
from todo_api.database.statement import Statement


class TestReadiness:
    @pytest.fixture
    def sent(self, monkeypatch: pytest.MonkeyPatch) -> list[Statement]:
        """The statements that sessions were called with."""
        sent, fetch_one = [], Session.fetch_one

        async def record(session: Session, statement: Statement, /, **parameters: Any) -> Any:
            sent.append(statement)
            return await fetch_one(session, statement, **parameters)

        monkeypatch.setattr(Session, "fetch_one", record)
        return sent

    def test_concurrent_readiness_checks_share_one_statement(self, url: str, sent: list[Statement]) -> None:
        async def good(database: Database) -> None:
            assert sent == []
            assert await asyncio.gather(*(database.ready() for _ in range(20))) == [True] * 20

        async def bad(database: Database) -> None:
            assert await asyncio.gather(*(database.ready(check=True) for _ in range(20))) == [False] * 20

        run(url, good)
        assert len(sent) == 1
        run("postgresql://user@127.0.0.1:1/nothing", bad, wait_timeout=0.1)
        assert len(sent) == 2

    def test_readiness_is_the_last_known_state(
        self, url: str, sent: list[Statement], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def test(database: Database) -> None:
            # The statement of a request updates the state too.
            await database.session().fetch_one(ONE)
            sent.clear()
            for _ in range(3):
                assert await database.ready()
                assert await database.ready(check=True)
            assert sent == []
            monkeypatch.setattr(module, "STATE_LIFETIME", -1)
            assert await database.ready()
            assert sent == []
            assert await database.ready(check=True)
            assert len(sent) == 1

        run(url, test)

    def test_closed_database_is_not_ready_after_a_failed_statement(self, url: str) -> None:
        async def test(database: Database) -> None:
            assert await database.ready()
            await database.close()
            assert await database.ready()
            with pytest.raises(DatabaseUnavailableError):
                await database.session().fetch_one(ONE)
            assert not await database.ready()

        run(url, test)

    def test_database_is_ready_again_without_a_request(
        self, url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "RECOVERY_INTERVAL", 0.01)

        def logged() -> list[str]:
            texts = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
            return [event for text in texts for event in ("database lost", "database back") if event in text]

        async def test() -> None:
            relay = Relay(url)
            async with Database(relay.url, Limits(wait_timeout=0.1)) as database:

                async def back() -> bool:
                    return await database.ready() and logged()[-1:] == ["database back"]

                for lost in ("at the start", "later"):
                    assert await database.ready() is (lost == "later")
                    for _ in range(3):
                        with pytest.raises(DatabaseUnavailableError):
                            await database.session().fetch_one(ONE)
                    assert not await database.ready()
                    async with relay.open():
                        await until(back)
                    assert logged() == ["database lost", "database back"]
                    caplog.clear()

        with caplog.at_level(logging.WARNING):
            asyncio.run(test())

    def test_silent_database_is_not_ready(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "RECOVERY_INTERVAL", 0.01)
        monkeypatch.setattr(module, "STATE_LIFETIME", -1)

        async def test(limits: Limits) -> None:
            relay = Relay(url)
            async with asyncio.timeout(60), relay.open(), Database(relay.url, limits) as database:
                # On a busy machine a statement may exceed the short timeouts although the database answers.
                await until(lambda: database.ready(check=True))
                relay.passing.clear()
                assert not await database.ready(check=True)
                relay.passing.set()
                await until(database.ready)

        asyncio.run(test(Limits(statement_timeout=0.3, connect_timeout=0.3, wait_timeout=0.5)))
        monkeypatch.setattr(module, "PING_TIMEOUT", 0.3)
        asyncio.run(test(Limits(statement_timeout=3600, connect_timeout=3600, wait_timeout=3600)))

    def test_database_that_rejects_the_password_is_not_ready(self, url: str) -> None:
        async def test(database: Database) -> None:
            assert not await database.ready()

        run(url.replace(f":{urlsplit(url).password}@", ":hunter2@"), test)


class TestRevision:
    def test_revision_is_none_before_the_first_migration(self, empty_database_url: str) -> None:
        async def test(database: Database) -> None:
            assert await database.revision() is None

        run(empty_database_url, test)

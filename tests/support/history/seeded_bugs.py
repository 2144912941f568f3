"""The service with a bug that the checker must find: `python -m support.history.seeded_bugs stale-read serve …`."""

import asyncio
import sys
import time
from collections.abc import Coroutine
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from typing import Any, ClassVar

import asyncpg

from todo_api import __main__
from todo_api.database import dependency
from todo_api.database.pool import Lease
from todo_api.database.session import Session
from todo_api.database.statement import Statement

DELAY = 0.01
"""Seconds from an answer to its commit."""
LIFETIME = 0.02
"""Seconds for which a read is repeated from memory."""


class AnswerBeforeCommit(Session):
    __slots__ = ()
    _commits: ClassVar[set[asyncio.Task[None]]] = set()

    def fetch_one(self, statement: Statement, /, **parameters: Any) -> Coroutine[Any, Any, asyncpg.Record | None]:
        if statement.retryable:
            return super().fetch_one(statement, **parameters)
        return self._write(statement, parameters)

    async def _write(self, statement: Statement, parameters: dict[str, Any]) -> asyncpg.Record | None:
        async with AsyncExitStack() as stack:
            session = await stack.enter_async_context(self.transaction())
            row = await session.fetch_one(statement, **parameters)
            commit = asyncio.create_task(self._commit(stack.pop_all()))
        self._commits.add(commit)
        commit.add_done_callback(self._commits.discard)
        return row

    async def _commit(self, transaction: AsyncExitStack) -> None:
        await asyncio.sleep(DELAY)
        with suppress(Exception):
            await transaction.aclose()


class RetriedWrite(Session):
    __slots__ = ()

    def _should_retry(self, error: Exception, lease: Lease, statement: Statement, *, past_deadline: bool) -> bool:
        return super()._should_retry(error, lease, replace(statement, retryable=True), past_deadline=past_deadline)


class StaleRead(Session):
    __slots__ = ()
    _rows: ClassVar[dict[object, tuple[float, asyncpg.Record | None]]] = {}

    def fetch_one(self, statement: Statement, /, **parameters: Any) -> Coroutine[Any, Any, asyncpg.Record | None]:
        if not statement.retryable:
            return super().fetch_one(statement, **parameters)
        return self._read(statement, parameters)

    async def _read(self, statement: Statement, parameters: dict[str, Any]) -> asyncpg.Record | None:
        key = statement.sql, *parameters.values()
        until, row = self._rows.get(key, (0.0, None))
        if time.monotonic() > until:
            row = await super().fetch_one(statement, **parameters)
            self._rows[key] = time.monotonic() + LIFETIME, row
        return row


BUGS: dict[str, type[Session]] = {
    "answer-before-commit": AnswerBeforeCommit,
    "retried-write": RetriedWrite,
    "stale-read": StaleRead,
}

if __name__ == "__main__":
    # The session of each request is created under this name.
    dependency.Session = BUGS[sys.argv.pop(1)]  # type: ignore[attr-defined]
    __main__.main()

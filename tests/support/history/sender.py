"""A client's connection to a service that may end at any time, and that the client itself cuts sometimes."""

import asyncio
import random
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any, NamedTuple

import orjson

from support.http_connection import Answer, Connection, http_connection
from support.service import SECRET
from todo_api.auth.tokens import sign

ANSWER_TIMEOUT = 10
"""Seconds after which an answer is given up."""
PAUSE = 0.05
"""Seconds between a lost answer and the next request."""
CUT_DELAY = 0.005
"""Maximum in seconds from a request to the end of its connection."""


class Sent(NamedTuple):
    answer: Answer | None
    """None if it was lost: a 503, or a connection that ended."""
    start: int
    end: int
    """Times of time.monotonic_ns()."""


class Sender:
    def __init__(self, url: str, chance: random.Random, cuts: float) -> None:
        """`cuts` is the share of requests whose answer is not awaited."""
        self._url = url
        self._random = chance
        self._cuts = cuts
        self._tokens: dict[str, str] = {}
        self._connection: Connection | None = None
        self._stack = AsyncExitStack()

    async def send(
        self,
        method: str,
        user: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Sent:
        """Send a request to a path below the tasks of a user, as soon as the service accepts connections."""
        if user not in self._tokens:
            self._tokens[user] = sign(SECRET, user, lifetime=1800)
        fields = {"Host": "localhost", "Authorization": f"Bearer {self._tokens[user]}", **(headers or {})}
        content = orjson.dumps(body) if body else b""
        if content:
            fields |= {"Content-Type": "application/json", "Content-Length": str(len(content))}
        connection = await self._connect()
        start = time.monotonic_ns()
        answer = await self._exchange(connection, method, f"/api/{user}/tasks{path}", fields, content)
        end = time.monotonic_ns()
        if answer is None or answer.headers.get("connection") == "close":
            await self.close()
        if answer is None or answer.status == 503:
            await asyncio.sleep(PAUSE)
            return Sent(None, start, end)
        return Sent(answer, start, end)

    async def _exchange(
        self, connection: Connection, method: str, target: str, fields: Mapping[str, str], content: bytes
    ) -> Answer | None:
        try:
            if self._random.random() < self._cuts:
                connection.write(method, target, fields, content)
                await asyncio.sleep(self._random.random() * CUT_DELAY)
                return None
            async with asyncio.timeout(ANSWER_TIMEOUT):
                return await connection.send(method, target, fields, content)
        except (OSError, TimeoutError):
            return None

    async def _connect(self) -> Connection:
        while self._connection is None:
            try:
                self._connection = await self._stack.enter_async_context(http_connection(self._url))
            except OSError:
                await asyncio.sleep(PAUSE)
        return self._connection

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.abort()
            self._connection = None
            await self._stack.aclose()

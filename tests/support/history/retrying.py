"""Clients that send each request again until they have an answer, and the damage that this does."""

import asyncio
import random
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson

from support.history.sender import Sender
from support.http_connection import Answer

CLIENTS = 16
CUTS = 0.02
"""Share of requests whose answer the client does not wait for."""
LIMIT = 120
"""Timeout in seconds of the last requests."""


@dataclass
class Damage:
    creations: int = 0
    toggles: int = 0
    deletions: int = 0
    doubled_creations: int = 0
    wrong_toggles: int = 0
    false_404s: int = 0

    def __str__(self) -> str:
        return (
            f"{self.doubled_creations} of {self.creations} creations doubled, "
            f"{self.wrong_toggles} of {self.toggles} toggles wrong, "
            f"{self.false_404s} of {self.deletions} deletions answered 404"
        )


@dataclass
class RetryingClients:
    """Each creates tasks, toggles each twice and deletes it. Nobody else changes its tasks."""

    urls: list[str]
    protected: bool
    """Whether creations and toggles have keys, and deletions a condition."""
    damage: Damage = field(default_factory=Damage)
    _stopping: bool = False

    @contextmanager
    def running(self) -> Iterator[None]:
        with ThreadPoolExecutor(1) as thread:
            ended = thread.submit(asyncio.run, self._run())
            try:
                yield
            finally:
                self._stopping = True
            ended.result(LIMIT)

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(CLIENTS):
                group.create_task(self._use(number))

    async def _use(self, number: int) -> None:
        chance = random.Random(number)  # noqa: S311
        sender = Sender(self.urls[number % len(self.urls)], chance, CUTS)
        client = _Client(f"user-{uuid.uuid4().hex}", sender, self.protected)
        while not self._stopping:
            task = orjson.loads((await client.send("POST", "", {"title": "Buy milk"}, keyed=True)).content)
            self.damage.creations += 1
            for _ in range(2):
                toggled = orjson.loads((await client.send("PATCH", f"/{task['id']}/complete", keyed=True)).content)
                self.damage.toggles += 1
                self.damage.wrong_toggles += toggled["completed"] == task["completed"]
                task = toggled
            deleted = await client.send("DELETE", f"/{task['id']}", etag=task["etag"])
            self.damage.deletions += 1
            self.damage.false_404s += deleted.status == 404
        # It has deleted each task that it knows.
        left = orjson.loads((await client.send("GET", "?limit=1&include_total=true")).content)
        self.damage.doubled_creations += left["total"]
        await client.sender.close()


@dataclass
class _Client:
    user: str
    sender: Sender
    protected: bool

    async def send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        keyed: bool = False,
        etag: str | None = None,
    ) -> Answer:
        """Send a request until it is answered, each time with the same key or condition if they are protected."""
        headers: dict[str, str] = {}
        if self.protected:
            headers |= {"Idempotency-Key": str(uuid.uuid4())} if keyed else {}
            headers |= {"If-Match": etag} if etag is not None else {}
        while True:
            answer = (await self.sender.send(method, self.user, path, body, headers)).answer
            # 409: the lost request is still in progress.
            if answer is not None and answer.status != 409:
                return answer

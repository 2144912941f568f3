"""Clients that send requests continuously, and then compare the database with the acknowledged writes."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import asyncpg
import httpx

from support.http_connection import Connection, http_connection
from support.service import SECRET, WATCH
from todo_api.auth.tokens import sign

CLIENTS = 24
"""More than the pool has connections."""
LIMIT = 60
"""Timeout in seconds of a response and of `wait_until`."""
MAX_REQUESTS = 20_000
"""Fail after this number, if a fault does not end."""

UNAVAILABLE = "/problems/database-unavailable"


@dataclass(frozen=True)
class Sent:
    """A request and its outcome. Times are of time.monotonic()."""

    method: str
    at: float
    answered: float
    status: int | None
    """None: no response."""
    error: str = ""
    """The body of an error response, or the exception."""

    @property
    def succeeded(self) -> bool:
        return self.status in (200, 201)


@dataclass
class Task:
    """The possible states of a task in the database. One client sends all its writes, one after the other."""

    id: int
    descriptions: list[str | None] = field(default_factory=lambda: [None])
    """The last acknowledged description, and later ones that may have been stored."""
    completed: bool | None = False
    """None: unknown."""


class Traffic:
    """Each client creates tasks, and reads, updates and toggles each, one request after the other.

    Each is a user of its own, whose id begins with `user`, because the writes of one user wait for one another.
    """

    def __init__(self, url: str, user: str, *, clients: int = CLIENTS) -> None:
        self.url = f"{url}/api"
        self.user = user
        self.sent: list[Sent] = []
        self.titles: set[str] = set()
        """The titles of all tasks whose creation was sent."""
        self.tasks: dict[str, Task] = {}
        """The tasks whose creation was acknowledged, by title."""
        self.faults: list[str] = []
        """Responses that contradict earlier ones."""
        self._problems: list[httpx.Response] = []
        self._clients = clients
        self._stopping = False
        self._all: Future[None]

    @contextmanager
    def running(self) -> Iterator[None]:
        with ThreadPoolExecutor(1) as thread:
            self._all = thread.submit(asyncio.run, self._run())
            try:
                yield
            finally:
                self._stopping = True
            self._all.result(LIMIT)

    def wait_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + LIMIT
        while not condition():
            assert time.monotonic() < deadline, f"not within {LIMIT} s; {self.summary()}"
            if self._all.done():
                self._all.result()
                raise AssertionError(f"the clients have ended; {self.summary()}")
            time.sleep(0.01)

    def succeeded(self, since: float = 0) -> int:
        """Return the number of successful requests sent since a time."""
        return sum(each.succeeded for each in list(self.sent) if each.at >= since)

    def summary(self, back: float | None = None) -> str:
        """Return a summary. `back` is the time when the fault ended, and adds the time to recover."""
        rejected = [each for each in self.sent if each.status == 503]
        reads = sum(each.method == "GET" for each in rejected)
        longest = max((each.answered - each.at for each in self.sent), default=0)
        line = (
            f"{len(self.sent)} requests, {self.succeeded()} answered, {len(rejected)} × 503 ({reads} of them reads), "
            f"the longest {longest:.1f} s"
        )
        if back is not None:
            line += f", recovered in {max(each.answered for each in self.sent if each.at < back) - back:.2f} s"
        return line

    async def discrepancies(self, database_url: str) -> list[str]:
        """Return a line for each difference between the database and the acknowledged writes."""
        connection = await asyncpg.connect(database_url)
        try:
            rows = await connection.fetch("SELECT * FROM task WHERE starts_with(user_id, $1)", f"{self.user}-")
        finally:
            await connection.close()
        times = Counter(row["title"] for row in rows)
        found = {row["id"]: row for row in rows}
        return [
            *self.faults,
            *(f"{title} is stored {count} times" for title, count in times.items() if count > 1),
            *(f"{title} was never sent" for title in times.keys() - self.titles),
            *(f"{title} is lost" for title, task in self.tasks.items() if task.id not in found),
            *(
                f"{title} is {dict(found[task.id])}, not {task}"
                for title, task in self.tasks.items()
                if task.id in found and not _matches(task, found[task.id])
            ),
        ]

    async def _run(self) -> None:
        await asyncio.gather(*(self._use(number) for number in range(self._clients)))
        # Only now, because the checks take time in which no request would be sent.
        for response in self._problems:
            WATCH.observe(response)
            if response.status_code == 503:
                assert response.json()["type"] == UNAVAILABLE
                assert response.headers["Retry-After"].isdecimal()

    async def _use(self, number: int) -> None:
        """Send requests until the traffic stops, or until a request gets no response."""
        with suppress(ConnectionError):
            async with http_connection(self.url) as connection:
                user = f"{self.user}-{number}"
                client = _Client(connection, user, {"Authorization": f"Bearer {sign(SECRET, user, lifetime=600)}"})
                for turn in itertools.count():
                    if self._stopping:
                        return
                    task = await self._create(client, f"{number}.{turn}")
                    for change in range(3):
                        if task is None or self._stopping:
                            break
                        await self._send(client, "GET", f"/{task.id}")
                        await self._update(client, task, f"{turn}.{change}")
                        await self._toggle(client, task)
                        await self._send(client, "GET", "?limit=5")

    async def _create(self, client: "_Client", title: str) -> Task | None:
        self.titles.add(title)
        created = await self._send(client, "POST", "", {"title": title})
        if created is not None:
            self.tasks[title] = Task(created["id"])
        return self.tasks.get(title)

    async def _update(self, client: "_Client", task: Task, description: str) -> None:
        task.descriptions.append(description)
        updated = await self._send(client, "PUT", f"/{task.id}", {"description": description})
        if updated is not None:
            task.descriptions = [description]

    async def _toggle(self, client: "_Client", task: Task) -> None:
        """Toggle the task. A retry that toggles it again is a fault."""
        before, task.completed = task.completed, None
        toggled = await self._send(client, "PATCH", f"/{task.id}/complete")
        if toggled is not None:
            task.completed = toggled["completed"]
            if task.completed is before:
                self.faults.append(f"{task} was toggled twice")

    async def _send(
        self, client: "_Client", method: str, path: str, content: dict[str, Any] | None = None
    ) -> dict[str, Any] | None:
        """Return the body of a successful response, or None. Raises ConnectionError if there is no response."""
        assert len(self.sent) < MAX_REQUESTS, self.summary()
        url = f"{self.url}/{client.user}/tasks{path}"
        request = httpx.Request(method, url, headers=client.headers, json=content)
        at = time.monotonic()
        try:
            async with asyncio.timeout(LIMIT):
                answer = await client.connection.send(
                    method, request.url.raw_path.decode(), request.headers, request.content
                )
        except ConnectionError as error:
            self.sent.append(Sent(method, at, time.monotonic(), None, repr(error)))
            raise
        answered = time.monotonic()
        response = httpx.Response(answer.status, headers=answer.headers, content=answer.content, request=request)
        response.elapsed = timedelta(seconds=answered - at)
        if not response.is_success:
            self.sent.append(Sent(method, at, answered, response.status_code, response.text))
            self._problems.append(response)
            return None
        self.sent.append(Sent(method, at, answered, response.status_code))
        body: dict[str, Any] = response.json()
        return body


@dataclass(frozen=True)
class _Client:
    connection: Connection
    user: str
    headers: dict[str, str]


def _matches(task: Task, row: asyncpg.Record) -> bool:
    return row["description"] in task.descriptions and task.completed in (None, row["completed"])

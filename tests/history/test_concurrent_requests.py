"""Many requests for one task at once, and pages of a list that changes meanwhile."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Awaitable, Sequence
from typing import Any

import httpx
import orjson

from support.history.linearizability import linearize
from support.history.model import Operation, State, step
from support.history.workload import task_of
from support.http_connection import Answer, Connection, at_once, http_connection
from support.operations import tasks
from support.service import Service

TOGGLES = 200
UPDATES = 50
WRITERS = 4
STABLE = 60
"""Tasks that exist throughout."""
PASSES, WRITES = 15, 600
"""Minimum numbers of passes over all pages, and of writes meanwhile."""
LIMIT = 60
"""Timeout in seconds."""


def headers(service: Service, user: str, content: bytes = b"") -> dict[str, str]:
    found = {"Host": "localhost", "Authorization": f"Bearer {service.token(user)}"}
    return found | ({"Content-Type": "application/json", "Content-Length": str(len(content))} if content else {})


def test_200_toggles_at_once_are_executed_one_after_the_other(
    service: Service, client: httpx.Client, user: str
) -> None:
    created = client.post(tasks(user), json={"title": "Buy milk"}).json()
    one = f"{tasks(user)}/{created['id']}"
    sent = headers(service, user)
    answers = asyncio.run(
        at_once(service.url, TOGGLES, lambda connection: connection.send("PATCH", f"{one}/complete", sent))
    )
    assert {answer.status for answer, _, _ in answers} == {200}
    toggles = []
    for answer, start, end in answers:
        task, version = task_of(orjson.loads(answer.content))
        toggles.append(Operation("toggle", start, end, 200, task=task, version=version))
    assert len({each.version for each in toggles}) == TOGGLES, "no answer repeats"
    task, version = task_of(created)
    assert not linearize(toggles, State("present", task, version), step).rest
    assert client.get(one).json()["completed"] is False


def test_one_of_50_updates_with_the_same_condition_succeeds(service: Service, client: httpx.Client, user: str) -> None:
    created = client.post(tasks(user), json={"title": "Buy milk"}).json()
    one, numbers = f"{tasks(user)}/{created['id']}", itertools.count()

    def update(connection: Connection) -> Awaitable[Answer]:
        content = orjson.dumps({"title": str(next(numbers))})
        return connection.send("PUT", one, headers(service, user, content) | {"If-Match": created["etag"]}, content)

    answers = [answer for answer, _, _ in asyncio.run(at_once(service.url, UPDATES, update))]
    assert Counter(answer.status for answer in answers) == {200: 1, 412: UPDATES - 1}
    (updated,) = (orjson.loads(answer.content) for answer in answers if answer.status == 200)
    for answer in answers:
        if answer.status == 412:
            assert orjson.loads(answer.content)["task"] == updated
    assert client.get(one).json() == updated


class Writers:
    """Change and toggle tasks that stay, and create and delete others, until they are stopped."""

    def __init__(self, service: Service, user: str, stable: Sequence[int]) -> None:
        self._service = service
        self._user = user
        self._stable = stable
        self.writes = 0
        self.stopping = False

    async def write(self) -> None:
        async with http_connection(self._service.url) as connection:
            while not self.stopping:
                for task_id in self._stable[self.writes % len(self._stable) :][:3]:
                    await self._send(connection, "PUT", f"/{task_id}", {"title": f"Changed {self.writes}"})
                    await self._send(connection, "PATCH", f"/{task_id}/complete")
                created = await self._send(connection, "POST", "", {"title": "Soon deleted"})
                await self._send(connection, "POST", "", {"title": "New"})
                await self._send(connection, "DELETE", f"/{orjson.loads(created.content)['id']}")

    async def _send(self, connection: Connection, method: str, path: str, body: dict[str, Any] | None = None) -> Answer:
        content = orjson.dumps(body) if body else b""
        answer = await connection.send(
            method, f"{tasks(self._user)}{path}", headers(self._service, self._user, content), content
        )
        assert answer.status in (200, 201, 204), answer
        self.writes += 1
        return answer


async def all_pages(connection: Connection, service: Service, user: str) -> Counter[int]:
    """Return how often each task appears in the pages."""
    found: Counter[int] = Counter()
    cursor = ""
    while True:
        answer = await connection.send("GET", f"{tasks(user)}?limit=7{cursor}", headers(service, user))
        page = orjson.loads(answer.content)
        found.update(item["id"] for item in page["items"])
        if page["next_cursor"] is None:
            return found
        cursor = f"&cursor={page['next_cursor']}"


def test_each_task_that_stays_is_in_the_pages_once_while_others_write(
    service: Service, client: httpx.Client, user: str
) -> None:
    stable = [client.post(tasks(user), json={"title": str(number)}).json()["id"] for number in range(STABLE)]
    writers = Writers(service, user, stable)

    async def run() -> list[Counter[int]]:
        passes: list[Counter[int]] = []
        async with asyncio.timeout(LIMIT), asyncio.TaskGroup() as group, http_connection(service.url) as connection:
            for _ in range(WRITERS):
                group.create_task(writers.write())
            while len(passes) < PASSES or writers.writes < WRITES:
                passes.append(await all_pages(connection, service, user))
            writers.stopping = True
        return passes

    for found in asyncio.run(run()):
        assert {task_id: found[task_id] for task_id in stable} == dict.fromkeys(stable, 1)

"""Clients that do every operation on the same tasks at once, and record it."""

import asyncio
import itertools
import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from support.history.model import READS, Operation, Task
from support.history.recording import History, Listing, Seen, mark_of
from support.history.sender import Sender
from support.http_connection import Answer

CLIENTS = 16
USERS = 5
TASKS = 20
CUTS = 0.005
"""Share of requests whose answer the client does not wait for."""
FORMER = 0.02
"""Share of operations on tasks that may be deleted."""
LIMIT = 120
"""Timeout in seconds of `wait_until`, for a busy machine."""

Changes = Mapping[str, Any]


class Request(NamedTuple):
    """How an operation on a task is sent."""

    share: int
    method: str
    suffix: str
    changes: Callable[[random.Random, str], Changes] = lambda random, title: {}
    """The members of the body, of a new title."""


def _completion(random: random.Random, title: str) -> Changes:
    return {"completed": random.random() < 0.5}


def _update(random: random.Random, title: str) -> Changes:
    members = {"title": title, "description": random.choice([None, title]), "completed": random.random() < 0.5}
    return {name: members[name] for name in random.sample(sorted(members), random.randint(1, 3))}


REQUESTS = {
    "get": Request(30, "GET", ""),
    "set": Request(10, "PATCH", "/complete", _completion),
    "toggle": Request(20, "PATCH", "/complete"),
    "update": Request(14, "PUT", "", _update),
    "patch": Request(14, "PATCH", "", _update),
    "delete": Request(2, "DELETE", ""),
}
"""The operations on one task, by their names in model.EFFECTS."""
LIST_SHARE = 4

_NAMES = [*REQUESTS, "list"]
_SHARES = [*(request.share for request in REQUESTS.values()), LIST_SHARE]


def task_of(body: Mapping[str, Any]) -> Seen:
    """Return the task of an answer. Its version is `updated_at`, which is later after each write."""
    task = Task(body["title"], body["description"], body["completed"])
    moment = datetime.fromisoformat(body["updated_at"])
    return Seen(task, int(moment.timestamp()) * 1_000_000 + moment.microsecond)


@dataclass
class Slot:
    """One of the tasks that exist at the same time."""

    user: str
    task_id: int | None = None
    mark: str = ""
    creating: bool = False


@dataclass
class Workload:
    """`urls` are of services on the same database; the clients are divided among them."""

    urls: list[str]
    seed: int
    history: History = field(default_factory=History)
    _stopping: bool = False
    _all: Future[None] = field(default_factory=Future)

    def __post_init__(self) -> None:
        self.users = [f"user-{uuid.uuid4().hex}" for _ in range(USERS)]
        self.slots = [Slot(self.users[number % USERS]) for number in range(TASKS)]
        self.former: list[Slot] = []
        """Tasks that were deleted, and those that have no slot."""
        self.known: set[int] = set()
        self.numbers = itertools.count()
        self.answered = 0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the clients in a thread. At the end, list the tasks of all users."""
        with ThreadPoolExecutor(1) as thread:
            self._all = thread.submit(asyncio.run, self._run())
            try:
                yield
            finally:
                self._stopping = True
            self._all.result(LIMIT)

    def wait_until(self, answered: int) -> None:
        """Wait for a number of answered operations in all."""
        deadline = time.monotonic() + LIMIT
        while self.answered < answered:
            assert time.monotonic() < deadline, f"{self.answered} operations, not {answered}, within {LIMIT} s"
            if self._all.done():
                self._all.result()
            time.sleep(0.005)

    def adopt(self, user: str, task_id: int, mark: str) -> None:
        """Let the clients use a task that exists, in a free slot if there is one."""
        if task_id in self.known:
            return
        self.known.add(task_id)
        free = next((slot for slot in self.slots if slot.user == user and slot.task_id is None), None)
        if free is None:
            self.former.append(Slot(user, task_id, mark))
        else:
            free.task_id, free.mark = task_id, mark

    async def _run(self) -> None:
        clients = [self._client(number) for number in range(CLIENTS)]
        async with asyncio.TaskGroup() as group:
            for client in clients:
                group.create_task(self._use(client))
        for user in self.users:
            while not await clients[0].list_tasks(user):
                pass
        for client in clients:
            await client.sender.close()

    def _client(self, number: int) -> "Client":
        chance = random.Random(f"{self.seed} {number}")  # noqa: S311
        return Client(self, number, chance, Sender(self.urls[number % len(self.urls)], chance, CUTS))

    async def _use(self, client: "Client") -> None:
        while not self._stopping:
            await client.act()


@dataclass
class Client:
    workload: Workload
    number: int
    random: random.Random
    sender: Sender

    async def act(self) -> None:
        """Do one operation on a task; a free slot gets a new task first."""
        workload = self.workload
        former = workload.former and self.random.random() < FORMER
        slot = self.random.choice(workload.former if former else workload.slots)
        name = self.random.choices(_NAMES, _SHARES)[0]
        if slot.task_id is None:
            if not slot.creating:
                slot.creating = True
                await self._create(slot)
                slot.creating = False
        elif name == "list":
            await self.list_tasks(slot.user)
        else:
            await self._operate(name, slot, slot.task_id)

    async def list_tasks(self, user: str) -> bool:
        """Return whether there was an answer."""
        answer, start, end = await self.sender.send("GET", user, "?limit=100")
        if answer is None:
            return False
        if answer.status != 200:
            self._reject("list", answer)
            return True
        body = orjson.loads(answer.content)
        assert body["next_cursor"] is None, "a page has all tasks of a user"
        tasks = {item["id"]: task_of(item) for item in body["items"]}
        self.workload.history.listings.append(Listing(user, start, end, tasks))
        self.workload.answered += 1
        for task_id, seen in tasks.items():
            self.workload.adopt(user, task_id, mark_of(seen.task.title))
        return True

    async def _create(self, slot: Slot) -> None:
        mark, history = str(next(self.workload.numbers)), self.workload.history
        changes = {"title": f"{mark} new", "description": self.random.choice([None, mark]), "completed": False}
        answer, start, end = await self.sender.send("POST", slot.user, "", changes)
        if answer is not None and answer.status != 201:
            self._reject("create", answer)
            return
        if answer is None:
            history.creations[mark] = Operation("create", start, None, None, changes, client=self.number)
            return
        body = orjson.loads(answer.content)
        task, version = task_of(body)
        history.creations[mark] = Operation(
            "create", start, end, 201, changes, task=task, version=version, client=self.number
        )
        history.created[body["id"]] = slot.user, mark
        self.workload.answered += 1
        self.workload.adopt(slot.user, body["id"], mark)

    async def _operate(self, name: str, slot: Slot, task_id: int) -> None:
        request, mark = REQUESTS[name], slot.mark
        changes = request.changes(self.random, f"{mark} {name} {next(self.workload.numbers)}")
        answer, start, end = await self.sender.send(request.method, slot.user, f"/{task_id}{request.suffix}", changes)
        record = self.workload.history.operations[task_id].append
        if answer is None:
            if name not in READS:
                record(Operation(name, start, None, None, changes, client=self.number))
            return
        self.workload.answered += 1
        if answer.status == 404:
            record(Operation(name, start, end, 404, changes, client=self.number))
        elif answer.status in (200, 204):
            task, version = task_of(orjson.loads(answer.content)) if answer.content else (None, None)
            record(Operation(name, start, end, answer.status, changes, task=task, version=version, client=self.number))
        else:
            self._reject(name, answer)
        if (answer.status == 404 or name == "delete") and slot.task_id == task_id and slot in self.workload.slots:
            self.workload.former.append(Slot(slot.user, task_id, mark))
            slot.task_id = None

    def _reject(self, name: str, answer: Answer) -> None:
        self.workload.history.unexpected.append(f"{name}: {answer.status} {answer.content.decode()}")

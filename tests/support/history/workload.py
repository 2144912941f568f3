"""Clients that do every operation on the same tasks at once, and record it."""

import asyncio
import itertools
import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import orjson

from support.history.model import READS, Operation, Task
from support.history.recording import History, Listing, Seen, mark_of
from support.history.sender import Sender, Sent
from support.http_connection import Answer

CLIENTS = 16
USERS = 5
TASKS = 20
CUTS = 0.005
"""Share of requests whose answer the client does not wait for."""
FORMER = 0.02
"""Share of operations on tasks that have no slot any more."""
RESTORED, REPLACED = 0.4, 0.15
"""Shares of operations on a deleted task that restore it, and that create another one in its place."""
CONDITIONAL = 0.3
"""Share of changes with If-Match."""
KEYED = 0.5
"""Share of creations and completions with Idempotency-Key."""
ATTEMPTS = 5
"""Number of times that a request with a key is sent, until it is answered."""
REPEATED = 0.1
"""Share of answered requests with a key that are sent again."""
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
    conditional: bool = False
    """Whether it can have If-Match."""
    keyed: bool = False
    """Whether it can have Idempotency-Key."""


def _completion(random: random.Random, title: str) -> Changes:
    return {"completed": random.random() < 0.5}


def _members(random: random.Random, title: str) -> dict[str, Any]:
    """All members but the title, of which at most one due member is not null."""
    dues = random.choice(["due_date", "due_at", None]), random.randrange(60)
    return {
        "description": random.choice([None, title]),
        "completed": random.random() < 0.5,
        "due_date": f"2026-12-{dues[1] % 28 + 1:02}" if dues[0] == "due_date" else None,
        "due_at": f"2026-12-24T17:30:{dues[1]:02}.250000Z" if dues[0] == "due_at" else None,
        "priority": random.choice(["low", "normal", "high", "urgent"]),
        "labels": random.choice([(), (title,), (title, "home")]),
    }


def _update(random: random.Random, title: str) -> Changes:
    members = {"title": title, **_members(random, title)}
    return {name: members[name] for name in random.sample(sorted(members), random.randint(1, 4))}


REQUESTS = {
    "get": Request(30, "GET", ""),
    "set": Request(10, "PATCH", "/complete", _completion, conditional=True, keyed=True),
    "toggle": Request(20, "PATCH", "/complete", conditional=True, keyed=True),
    "update": Request(14, "PUT", "", _update, conditional=True),
    "patch": Request(14, "PATCH", "", _update, conditional=True),
    "delete": Request(2, "DELETE", "", conditional=True),
    "restore": Request(2, "POST", "/restore"),
}
"""The operations on one task, by their names in model.EFFECTS."""
LIST_SHARE = 4

_NAMES = [*REQUESTS, "list"]
_SHARES = [*(request.share for request in REQUESTS.values()), LIST_SHARE]


def task_of(body: Mapping[str, Any]) -> Seen:
    """Return the task of an answer."""
    members = {name: body[name] for name in Task._fields}
    return Seen(Task(**members | {"labels": tuple(body["labels"])}), int(body["etag"].strip('"')))


@dataclass
class Slot:
    """One of the tasks that exist at the same time."""

    user: str
    task_id: int | None = None
    mark: str = ""
    version: int = 0
    """The last one that a client has seen."""
    is_deleted: bool = False
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
        new = Slot(user, task_id, mark)
        for number, slot in enumerate(self.slots):
            if slot.user == user and (slot.task_id is None or slot.is_deleted):
                self.slots[number], new = new, slot
                break
        if new.task_id is not None:
            self.former.append(new)

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
        """Do one operation on a task."""
        workload = self.workload
        is_former = workload.former and self.random.random() < FORMER
        slot = self.random.choice(workload.former if is_former else workload.slots)
        name = self.random.choices(_NAMES, _SHARES)[0]
        if slot.task_id is None or (slot.is_deleted and not is_former and self.random.random() < REPLACED):
            if not slot.creating:
                slot.creating = True
                await self._create(slot)
                slot.creating = False
        elif name == "list":
            await self.list_tasks(slot.user)
        elif slot.is_deleted and self.random.random() < RESTORED:
            await self._operate("restore", slot, slot.task_id)
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
        changes = {"title": f"{mark} new", **_members(self.random, mark), "completed": False}
        sent = await self._send("POST", slot.user, "", changes, {}, keyed=self.random.random() < KEYED)
        operation = Operation("create", sent.start, None, None, changes, client=self.number)
        if sent.answer is None:
            history.creations[mark] = operation
        elif sent.answer.status == 201:
            body = orjson.loads(sent.answer.content)
            task, version = task_of(body)
            history.creations[mark] = replace(operation, end=sent.end, status=201, task=task, version=version)
            history.created[body["id"]] = slot.user, mark
            self.workload.answered += 1
            self.workload.adopt(slot.user, body["id"], mark)
        else:
            self._reject("create", sent.answer)

    async def _operate(self, name: str, slot: Slot, task_id: int) -> None:
        request, chance = REQUESTS[name], self.random.random
        changes = request.changes(self.random, f"{slot.mark} {name} {next(self.workload.numbers)}")
        if_match = slot.version if request.conditional and chance() < CONDITIONAL else None
        headers = {} if if_match is None else {"If-Match": f'"{if_match}"'}
        path, keyed = f"/{task_id}{request.suffix}", request.keyed and chance() < KEYED
        answer, start, end = await self._send(request.method, slot.user, path, changes, headers, keyed=keyed)
        operation = Operation(name, start, None, None, changes, if_match, client=self.number)
        if answer is None:
            if name not in READS:
                self.workload.history.operations[task_id].append(operation)
            return
        if answer.status not in (200, 204, 404, 412):
            self._reject(name, answer)
            return
        task = version = None
        if answer.status in (200, 412):
            body = orjson.loads(answer.content)
            task, version = task_of(body["task"] if answer.status == 412 else body)
            slot.version = version
        slot.is_deleted = answer.status in (204, 404)
        self.workload.history.operations[task_id].append(
            replace(operation, end=end, status=answer.status, task=task, version=version)
        )
        self.workload.answered += 1

    async def _send(
        self, method: str, user: str, path: str, changes: Changes, headers: Mapping[str, str], *, keyed: bool
    ) -> Sent:
        """Send a request; with a key, several times if its answer is lost. These are one operation."""
        if not keyed:
            return await self.sender.send(method, user, path, changes, headers)
        headers = {**headers, "Idempotency-Key": str(uuid.uuid4())}
        first = sent = await self.sender.send(method, user, path, changes, headers)
        for _ in range(ATTEMPTS - 1):
            if sent.answer is not None and sent.answer.status != 409:
                break
            sent = await self.sender.send(method, user, path, changes, headers)
        if sent.answer is None or sent.answer.status == 409:
            return Sent(None, first.start, sent.end)
        if self.random.random() < REPEATED:
            again = (await self.sender.send(method, user, path, changes, headers)).answer
            if again is not None and not _repeats(again, sent.answer):
                self._reject("repeated request", again)
        return Sent(sent.answer, first.start, sent.end)

    def _reject(self, name: str, answer: Answer) -> None:
        self.workload.history.unexpected.append(f"{name}: {answer.status} {answer.content.decode()}")


def _repeats(again: Answer, first: Answer) -> bool:
    """Whether an answer is the first one again. A problem has another request id."""
    is_same = again.status == first.status and (again.status >= 400 or again.content == first.content)
    return is_same and again.headers.get("idempotency-replayed") == "true"

"""A client follows the changes with pages of random size, while four writers change the tasks, and the service
restarts: it ends with the tasks of the service."""

import asyncio
import random
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack

import asyncpg
import httpx
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from support.operations import tasks
from support.service import Service, running, settings_for
from support.task_changes import Copy
from support.task_lists import OLD_WRITES, write_as_old_version
from todo_api.app import create_app

WRITERS = 4
FIGURES: Counter[str] = Counter()

Write = Callable[[httpx.Client, str, int], httpx.Response]

WRITES: list[Write] = [
    lambda client, user, _: client.post(tasks(user), json={"title": "new"}),
    lambda client, user, _: client.post(
        tasks(user), json={"title": "new"}, headers={"Idempotency-Key": uuid.uuid4().hex}
    ),
    lambda client, user, task: client.put(f"{tasks(user)}/{task}", json={"title": "changed"}),
    lambda client, user, task: client.patch(f"{tasks(user)}/{task}/complete"),
    lambda client, user, task: client.delete(f"{tasks(user)}/{task}"),
    lambda client, user, task: client.post(f"{tasks(user)}/{task}/restore"),
]


class Machine(RuleBasedStateMachine):
    """Rules with a seed start writes, which run until the next rule that waits for them."""

    database_url: str

    def __init__(self) -> None:
        super().__init__()
        self.user = f"user-{uuid.uuid4().hex}"
        self.ids: list[int] = []
        self.writing: list[Future[None]] = []
        self.threads = ThreadPoolExecutor(WRITERS)
        self.services = ExitStack()
        self.start()
        self.copy = Copy(self.service.client(self.user), self.user)

    def start(self) -> None:
        self.service: Service = self.services.enter_context(running(create_app(settings_for(self.database_url))))

    def wait(self) -> None:
        for future in self.writing:
            future.result(60)
        self.writing.clear()

    def write(self, seed: int) -> None:
        choose, client = random.Random(seed), self.service.client(self.user)  # noqa: S311
        for _ in range(choose.randrange(5, 15)):
            answer = choose.choice(WRITES)(client, self.user, choose.choice(self.ids or [1]))
            assert answer.status_code in {200, 201, 204, 404}
            FIGURES["writes"] += answer.is_success
            if answer.status_code == 201:
                self.ids.append(answer.json()["id"])

    @rule(seed=st.integers(0, 2**32))
    def writers_write(self, seed: int) -> None:
        self.wait()
        self.writing = [self.threads.submit(self.write, seed + number) for number in range(WRITERS)]

    @rule(limits=st.lists(st.integers(1, 10) | st.integers(1, 100), min_size=1, max_size=8))
    def client_applies_pages(self, limits: list[int]) -> None:
        for limit in limits:
            self.copy.apply(limit)

    @rule(limit=st.integers(1, 100))
    def client_is_compared(self, limit: int) -> None:
        self.wait()
        self.copy.follow(limit)
        assert self.copy.differences() == []

    @rule(kind=st.sampled_from(list(OLD_WRITES)))
    def old_process_writes(self, kind: str) -> None:
        async def write() -> None:
            connection = await asyncpg.connect(self.database_url)
            await write_as_old_version(connection, kind, self.user)
            await connection.close()

        asyncio.run(write())
        FIGURES["writes of an old process"] += 1

    @rule()
    def service_restarts(self) -> None:
        self.wait()
        self.services.close()
        self.start()
        self.copy.client = self.service.client(self.user)
        FIGURES["restarts of the service"] += 1

    def teardown(self) -> None:
        try:
            self.client_is_compared(limit=3)
            FIGURES["pages"] += self.copy.pages
            FIGURES["expired tokens"] += self.copy.restarts
        finally:
            self.threads.shutdown()
            self.services.close()


def test_copy_equals_the_list_after_concurrent_writes_and_restarts(
    database_url: str, request: pytest.FixtureRequest
) -> None:
    Machine.database_url = database_url
    FIGURES.clear()
    run_state_machine_as_test(
        Machine, settings=settings(max_examples=6, stateful_step_count=20, deadline=None, database=None)
    )
    figures = ", ".join(f"{number} {name}" for name, number in FIGURES.items())
    assert FIGURES["writes"] > 100
    request.node.user_properties.append(("figures", f"changes: {figures}; 0 missed, 0 resurrected"))

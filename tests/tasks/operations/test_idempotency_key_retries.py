"""Retries with an Idempotency-Key while the first request is in progress, and 24 hours later."""

import asyncio
import json
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import asyncpg
import httpx
import pytest

from support.databases import fetch
from support.keys import complete, keyed, same
from support.operations import tasks
from support.service import Service

MILK = {"title": "Buy milk"}


def until_done(send: Callable[[], httpx.Response]) -> httpx.Response:
    """Retries as a client that honours Retry-After."""
    deadline = time.monotonic() + 60
    while (answer := send()).status_code == 409:
        assert answer.json()["type"] == "/problems/request-in-progress"
        assert time.monotonic() < deadline
        time.sleep(int(answer.headers["Retry-After"]))
    return answer


class TestConcurrentRequests:
    @pytest.mark.parametrize("operation", ["create", "toggle"])
    def test_retry_while_the_first_request_is_in_progress_is_409(
        self, database_url: str, client: httpx.Client, user: str, url: str, key: str, operation: str
    ) -> None:
        def send() -> httpx.Response:
            if operation == "create":
                return client.post(tasks(user), json=MILK, headers=keyed(key))
            return complete(client, url, key, None)

        async def run() -> tuple[httpx.Response, httpx.Response]:
            holder, observer = [await asyncpg.connect(database_url) for _ in range(2)]
            async with holder.transaction():
                await holder.execute("SELECT FROM task_list WHERE user_id = $1 FOR UPDATE", user)
                first = asyncio.create_task(asyncio.to_thread(send))
                blocked = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid)))"
                async with asyncio.timeout(30):
                    while not await observer.fetchval(blocked, holder.get_server_pid()):
                        await asyncio.sleep(0.005)
                second = await asyncio.to_thread(send)
            for connection in holder, observer:
                await connection.close()
            return await first, second

        first, second = asyncio.run(run())
        assert first.is_success
        assert (second.status_code, second.json()["type"]) == (409, "/problems/request-in-progress")
        assert second.headers["Retry-After"] == "1"
        third = send()
        assert same(first, third)
        assert third.headers["Idempotency-Replayed"] == "true"

    def test_100_creations_with_one_key_at_once_create_one_task(
        self, client: httpx.Client, user: str, key: str
    ) -> None:
        def send(_: int) -> httpx.Response:
            return until_done(lambda: client.post(tasks(user), json=MILK, headers=keyed(key)))

        with ThreadPoolExecutor(32) as threads:
            first, *others = threads.map(send, range(100))
        assert first.status_code == 201
        assert all(same(first, other) for other in others)
        assert sum("Idempotency-Replayed" not in each.headers for each in (first, *others)) == 1
        assert client.get(tasks(user)).json()["items"] == [first.json()]

    def test_101_toggles_with_one_key_at_once_toggle_once(self, client: httpx.Client, url: str, key: str) -> None:
        with ThreadPoolExecutor(32) as threads:
            answers = list(threads.map(lambda _: until_done(lambda: complete(client, url, key, None)), range(101)))
        assert {json.dumps(answer.json()) for answer in answers} == {json.dumps(client.get(url).json())}
        assert answers[0].json()["completed"] is True


AGE = "UPDATE kept_answer SET created_at = now() - interval '1 second' - $2 * interval '1 hour' WHERE user_id = $1"
KEPT = "SELECT count(*) FROM kept_answer WHERE user_id = $1"


class TestLifetime:
    @pytest.mark.parametrize("hours", [0, 23], ids=["1 second", "23 hours"])
    def test_younger_answers_are_kept(
        self, database_url: str, client: httpx.Client, user: str, key: str, hours: int
    ) -> None:
        first = client.post(tasks(user), json=MILK, headers=keyed(key))
        fetch(database_url, AGE, user, hours)
        client.post(tasks(user), json=MILK, headers=keyed(f"{key}-other"))
        assert same(first, client.post(tasks(user), json=MILK, headers=keyed(key)))

    def test_answers_of_24_hours_ago_are_forgotten_by_10_at_a_time(
        self, service: Service, database_url: str, client: httpx.Client, user: str, key: str
    ) -> None:
        """By the next requests with keys, of any user."""
        for number in range(25):
            client.post(tasks(user), json=MILK, headers=keyed(f"{key}-{number}"))
        # Older than those of other tests, which are forgotten later.
        fetch(database_url, AGE, user, 1000)
        other, counts = f"{user}-other", fetch(database_url, KEPT, user)
        for _ in range(3):
            service.client(other).post(tasks(other), json=MILK, headers=keyed(str(uuid.uuid4())))
            counts += fetch(database_url, KEPT, user)
        assert counts == [25, 15, 5, 0]
        again = client.post(tasks(user), json=MILK, headers=keyed(f"{key}-0"))
        assert (again.status_code, "Idempotency-Replayed" in again.headers) == (201, False)

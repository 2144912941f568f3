"""A request with an Idempotency-Key is carried out once: each retry gets the first answer."""

import asyncio
import json
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import asyncpg
import httpx
import pytest

from support.operations import tasks
from support.service import Service, running, settings_for
from todo_api.app import create_app

MILK = {"title": "Buy milk"}


@pytest.fixture
def url(user: str, task: dict[str, object]) -> str:
    return f"{tasks(user)}/{task['id']}"


@pytest.fixture
def key() -> str:
    return str(uuid.uuid4())


def keyed(key: str, **others: str) -> dict[str, str]:
    return {"Idempotency-Key": key, **others}


def same(first: httpx.Response, other: httpx.Response) -> bool:
    """Whether two answers differ only in their request ids, dates and Idempotency-Replayed."""

    def of(answer: httpx.Response) -> object:
        own = {"date", "x-request-id", "idempotency-replayed"}
        headers = sorted((name, value) for name, value in answer.headers.multi_items() if name not in own)
        body = {name: value for name, value in answer.json().items() if name not in {"instance", "request_id"}}
        return answer.status_code, headers, body

    return of(first) == of(other)


def fetch(url: str, sql: str, *arguments: object) -> list[object]:
    async def run() -> list[object]:
        connection = await asyncpg.connect(url)
        try:
            return [row[0] for row in await connection.fetch(sql, *arguments)]
        finally:
            await connection.close()

    return asyncio.run(run())


def complete(client: httpx.Client, url: str, key: str, body: dict[str, bool] | None, **headers: str) -> httpx.Response:
    return client.patch(f"{url}/complete", json=body, headers=keyed(key, **headers))


in_each_form = pytest.mark.parametrize("body", [None, {"completed": True}], ids=["toggle", "set"])


class TestReplay:
    def test_create_with_a_used_key_gets_the_first_answer_again(
        self, client: httpx.Client, user: str, key: str
    ) -> None:
        first, *others = [client.post(tasks(user), json=MILK, headers=keyed(key)) for _ in range(3)]
        assert (first.status_code, "Idempotency-Replayed" in first.headers) == (201, False)
        assert [other.headers["Idempotency-Replayed"] for other in others] == ["true", "true"]
        assert all(same(first, other) for other in others)
        assert client.get(tasks(user)).json()["items"] == [first.json()]
        assert client.get(first.headers["Location"]).json() == first.json()

    @in_each_form
    def test_complete_with_a_used_key_gets_the_first_answer_again(
        self, client: httpx.Client, url: str, key: str, body: dict[str, bool] | None
    ) -> None:
        first = complete(client, url, key, body)
        assert (first.status_code, "Idempotency-Replayed" in first.headers) == (200, False)
        again = complete(client, url, key, body)
        assert again.headers["Idempotency-Replayed"] == "true"
        assert same(first, again)
        assert client.get(url).json() == first.json()

    def test_answer_is_the_first_one_though_the_task_has_changed_or_is_deleted(
        self, client: httpx.Client, user: str, key: str
    ) -> None:
        first = client.post(tasks(user), json=MILK, headers=keyed(key))
        url = first.headers["Location"]
        toggled = complete(client, url, key, None)
        client.put(url, json={"title": "changed"})
        assert same(first, client.post(tasks(user), json=MILK, headers=keyed(key)))
        client.delete(url)
        assert same(first, client.post(tasks(user), json=MILK, headers=keyed(key)))
        assert same(toggled, complete(client, url, key, None))
        assert client.get(url).status_code == 404

    @in_each_form
    def test_404_is_kept(self, client: httpx.Client, url: str, key: str, body: dict[str, bool] | None) -> None:
        client.delete(url)
        first = complete(client, url, key, body)
        client.post(f"{url}/restore")
        again = complete(client, url, key, body)
        assert (first.status_code, again.headers.get("Idempotency-Replayed")) == (404, "true")
        assert same(first, again)
        assert client.get(url).json()["completed"] is False

    @in_each_form
    def test_412_is_kept_with_the_task_as_it_was(
        self, client: httpx.Client, url: str, task: dict[str, object], key: str, body: dict[str, bool] | None
    ) -> None:
        first = complete(client, url, key, body, **{"If-Match": '"2"'})
        assert client.put(url, json={"title": "has the entity tag now"}).json()["etag"] == '"2"'
        again = complete(client, url, key, body, **{"If-Match": '"2"'})
        assert (first.status_code, again.headers.get("Idempotency-Replayed")) == (412, "true")
        assert same(first, again)
        assert (again.json()["task"], client.get(url).json()["completed"]) == (task, False)

    def test_409_of_too_many_tasks_is_kept(self, small_service: Service, user: str, key: str) -> None:
        client = small_service.client(user)
        location = client.post(tasks(user), json=MILK).headers["Location"]
        first = client.post(tasks(user), json=MILK, headers=keyed(key))
        client.delete(location)
        again = client.post(tasks(user), json=MILK, headers=keyed(key))
        assert (first.status_code, again.headers.get("Idempotency-Replayed")) == (409, "true")
        assert same(first, again)
        assert client.post(tasks(user), json=MILK).status_code == 201

    @pytest.mark.parametrize(
        "body",
        [{"title": "\U0001f95b '\"\\\n"}, {"title": "x", "description": None}, {"title": "x", "completed": True}],
        ids=["other characters", "null", "completed"],
    )
    def test_replay_has_every_value_as_it_was(
        self, client: httpx.Client, user: str, key: str, body: dict[str, object]
    ) -> None:
        first, again = [client.post(tasks(user), json=body, headers=keyed(key)) for _ in range(2)]
        assert first.status_code == 201
        assert first.json().items() >= body.items()
        assert same(first, again)

    def test_replay_has_a_time_without_a_fraction_as_it_was(
        self, database_url: str, client: httpx.Client, url: str, key: str
    ) -> None:
        fetch(database_url, "UPDATE task SET created_at = '2020-01-01Z' WHERE id = $1", int(url.rpartition("/")[2]))
        before = client.get(url).json()["created_at"]
        assert [complete(client, url, key, None).json()["created_at"] for _ in range(2)] == [before] * 2


@pytest.fixture(scope="module")
def small_service(database_url: str) -> Iterator[Service]:
    """A service that keeps one task for a user."""
    with running(create_app(settings_for(database_url, max_tasks=1))) as service:
        yield service


class TestOtherRequest:
    def rejects(self, answer: httpx.Response) -> bool:
        return (answer.status_code, answer.json()["type"]) == (422, "/problems/idempotency-key-reused")

    @pytest.mark.parametrize(
        "body",
        [{"title": "x"}, {**MILK, "description": "x"}, {**MILK, "completed": True}],
        ids=["title", "description", "completed"],
    )
    def test_key_with_another_body_is_422(
        self, client: httpx.Client, user: str, key: str, body: dict[str, object]
    ) -> None:
        client.post(tasks(user), json=MILK, headers=keyed(key))
        assert self.rejects(client.post(tasks(user), json=body, headers=keyed(key)))
        assert len(client.get(tasks(user)).json()["items"]) == 1

    def test_body_that_means_the_same_is_no_other_request(self, client: httpx.Client, user: str, key: str) -> None:
        bodies = [
            b'{"title":"Buy milk"}',
            b' {"completed":false, "title":"Buy \\u006dilk"}',
            b'{"title":"Buy milk","description":null}',
        ]
        headers = keyed(key, **{"Content-Type": "application/json"})
        codes = [client.post(tasks(user), content=body, headers=headers).status_code for body in bodies]
        assert codes == [201] * 3
        assert len(client.get(tasks(user)).json()["items"]) == 1

    def test_key_with_another_task_body_or_if_match_is_422(
        self, client: httpx.Client, user: str, url: str, key: str
    ) -> None:
        other = client.post(tasks(user), json=MILK).headers["Location"]
        first = complete(client, url, key, {"completed": True}, **{"If-Match": '"1"'})
        assert first.status_code == 200
        for answer in (
            complete(client, other, key, {"completed": True}, **{"If-Match": '"1"'}),
            complete(client, url, key, {"completed": False}, **{"If-Match": '"1"'}),
            complete(client, url, key, None, **{"If-Match": '"1"'}),
            complete(client, url, key, {"completed": True}, **{"If-Match": '"2"'}),
            complete(client, url, key, {"completed": True}),
        ):
            assert self.rejects(answer)
        assert same(first, complete(client, url, key, {"completed": True}, **{"If-Match": '"1"'}))

    def test_same_text_is_another_key_for_another_operation_or_user(
        self, service: Service, client: httpx.Client, user: str, url: str, key: str
    ) -> None:
        other = f"{user}-other"
        answers = [
            client.post(tasks(user), json=MILK, headers=keyed(key)),
            complete(client, url, key, None),
            service.client(other).post(tasks(other), json=MILK, headers=keyed(key)),
        ]
        assert [answer.status_code for answer in answers] == [201, 200, 201]
        assert not any("Idempotency-Replayed" in answer.headers for answer in answers)

    def test_invalid_request_does_not_use_the_key(self, client: httpx.Client, user: str, key: str) -> None:
        assert client.post(tasks(user), json={"title": ""}, headers=keyed(key)).status_code == 422
        assert client.post(tasks(user), json=MILK, headers=keyed(key)).status_code == 201


class TestSyntax:
    @pytest.mark.parametrize("text", ["x", "8e03978e-40d5-43e8-bc93-6894a57f9324", "AZaz09._~:/+=-", "x" * 253])
    def test_quotes_are_optional(self, client: httpx.Client, user: str, key: str, text: str) -> None:
        text += key if len(text) < 100 else ""
        first = client.post(tasks(user), json=MILK, headers=keyed(text))
        again = client.post(tasks(user), json=MILK, headers=keyed(f'"{text}"'))
        assert (first.status_code, again.headers.get("Idempotency-Replayed")) == (201, "true")

    def test_quoted_key_may_have_other_characters(self, client: httpx.Client, user: str) -> None:
        codes = [
            client.post(tasks(user), json=MILK, headers=keyed(f'"{text}"')) for text in (" a, b;c ", "a, b;c", "'")
        ]
        assert [(code.status_code, "Idempotency-Replayed" in code.headers) for code in codes] == [(201, False)] * 3

    @pytest.mark.parametrize(
        "text",
        ["", '""', '"', '"a', 'a"', "a b", "a,b", '"a";p=1', '"a" "b"', '"a"b"', '"\\"', "x" * 256, "é".encode()],
        ids=[
            "empty", "empty quotes", "one quote", "no closing quote", "no opening quote", "space", "comma",
            "parameter", "two strings", "quote inside", "backslash", "256 characters", "not ASCII",
        ],
    )  # fmt: skip
    def test_malformed_key_is_400(self, client: httpx.Client, user: str, url: str, text: str | bytes) -> None:
        headers = {b"Idempotency-Key": text if isinstance(text, bytes) else text.encode()}
        for answer in (
            client.post(tasks(user), json=MILK, headers=headers),
            client.patch(f"{url}/complete", headers=headers),
        ):
            assert (answer.status_code, answer.json()["type"]) == (400, "/problems/invalid-request")
            assert "Idempotency-Key" in answer.json()["detail"]
        assert len(client.get(tasks(user)).json()["items"]) == 1

    def test_two_keys_are_400(self, client: httpx.Client, user: str) -> None:
        headers = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
        assert client.post(tasks(user), json=MILK, headers=headers).status_code == 400


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

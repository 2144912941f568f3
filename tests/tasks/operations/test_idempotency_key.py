"""A request with an Idempotency-Key is carried out once: each retry gets the first answer."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from support.databases import execute, fetch
from support.keys import complete, keyed, same
from support.operations import tasks
from support.service import Service, running, settings_for
from todo_api.app import create_app
from todo_api.database import migrate

MILK = {"title": "Buy milk"}


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


def test_replay_does_not_depend_on_the_time_zone_of_the_database(empty_database_url: str, user: str, key: str) -> None:
    migrate.upgrade(empty_database_url)
    name = urlsplit(empty_database_url).path.removeprefix("/")
    execute(empty_database_url, f"ALTER DATABASE {name} SET timezone = 'Pacific/Kiritimati'")
    with running(create_app(settings_for(empty_database_url))) as service:
        client = service.client(user)
        url = client.post(tasks(user), json=MILK, headers=keyed(key)).headers["Location"]
        fetch(empty_database_url, "UPDATE task SET updated_at = '9999-12-31 23:59:59.999999Z'")
        before = client.get(url).json()
        answers = [complete(client, url, key, {"completed": True}) for _ in range(2)]
    assert same(*answers)
    assert answers[0].json() == {**before, "completed": True, "etag": answers[0].json()["etag"]}


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

"""A deleted task can be restored for 30 days, as it was."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from support.databases import execute
from support.operations import tasks
from support.service import Service, running, settings_for
from todo_api.app import create_app


@pytest.fixture
def deleted(client: httpx.Client, url: str) -> str:
    """The URL of a deleted task."""
    client.patch(f"{url}/complete")
    assert client.delete(url).status_code == 204
    return url


def age(database_url: str, url: str, time: str) -> None:
    """Delete a task earlier."""
    task = int(url.rpartition("/")[2])
    execute(database_url, f"UPDATE task SET deleted_at = now() - interval '{time}', change = change WHERE id = {task}")  # noqa: S608


def test_restored_task_is_as_it_was_with_a_new_etag(client: httpx.Client, user: str, url: str) -> None:
    others = [client.post(tasks(user), json={"title": "x"}).json() for _ in range(2)]
    before = client.patch(f"{url}/complete").json()
    client.delete(url)
    restored = client.post(f"{url}/restore")
    assert restored.status_code == 200
    task = restored.json()
    assert task == {**before, "etag": task["etag"], "updated_at": task["updated_at"]}
    assert task["etag"] != before["etag"]
    assert task["updated_at"] > before["updated_at"]
    assert client.get(url).json() == task
    assert client.get(tasks(user), params={"include_total": "true"}).json() == {
        "items": [*reversed(others), task],
        "next_cursor": None,
        "total": 3,
    }


def test_live_task_is_returned_unchanged(client: httpx.Client, user: str, url: str, task: dict[str, object]) -> None:
    etag = client.get(tasks(user)).headers["ETag"]
    for _ in range(2):
        answer = client.post(f"{url}/restore")
        assert (answer.status_code, answer.json(), answer.headers["ETag"]) == (200, task, task["etag"])
    assert client.get(tasks(user)).headers["ETag"] == etag


def test_restored_task_can_be_deleted_and_restored_again(client: httpx.Client, deleted: str) -> None:
    for _ in range(3):
        assert client.post(f"{deleted}/restore").status_code == 200
        assert client.delete(deleted).status_code == 204
        assert client.get(deleted).status_code == 404


def test_unknown_task_and_that_of_another_user_are_404(
    service: Service, client: httpx.Client, user: str, deleted: str
) -> None:
    other = f"{user}-other"
    for each, url in (client, f"{tasks(user)}/{2**53 - 1}"), (service.client(other), deleted.replace(user, other)):
        rejected = each.post(f"{url}/restore")
        assert (rejected.status_code, rejected.json()["type"]) == (404, "/problems/task-not-found")
    assert client.get(deleted).status_code == 404


@pytest.mark.parametrize(
    ("time", "status"), [("29 days 23 hours", 200), ("30 days 1 second", 404)], ids=["within", "after"]
)
def test_task_can_be_restored_within_30_days(
    database_url: str, client: httpx.Client, deleted: str, time: str, status: int
) -> None:
    age(database_url, deleted, time)
    assert client.post(f"{deleted}/restore").status_code == status
    assert client.get(deleted).status_code == status


def test_deleted_task_is_404_for_every_other_operation(client: httpx.Client, user: str, deleted: str) -> None:
    etag = client.get(tasks(user)).headers["ETag"]
    answers = [
        client.get(deleted),
        client.put(deleted, json={"title": "x"}),
        client.patch(deleted, json={"title": "x"}),
        client.patch(f"{deleted}/complete"),
        client.patch(f"{deleted}/complete", json={"completed": True}),
        client.patch(f"{deleted}/complete", headers={"Idempotency-Key": "key"}),
        client.delete(deleted),
    ]
    assert [answer.status_code for answer in answers] == [404] * 7
    page = client.get(tasks(user))
    assert (page.json()["items"], page.headers["ETag"]) == ([], etag)


def test_deletions_of_unknown_tasks_resurrect_nothing(
    database_url: str, client: httpx.Client, user: str, deleted: str
) -> None:
    """A deletion also removes old tombstones."""
    age(database_url, deleted, "31 days")
    for _ in range(2):
        assert client.delete(f"{tasks(user)}/{2**53 - 1}").status_code == 404
        assert client.delete(deleted).status_code == 404
        assert client.post(f"{deleted}/restore").status_code == 404
    page = client.get(tasks(user), params={"include_total": "true"}).json()
    assert (page["items"], page["total"]) == ([], 0)


@pytest.fixture(scope="module")
def small_service(database_url: str) -> Iterator[Service]:
    """A service that keeps one task for a user."""
    with running(create_app(settings_for(database_url, max_tasks=1))) as service:
        yield service


def test_restoration_of_too_many_tasks_is_409(small_service: Service, user: str, deleted: str) -> None:
    client = small_service.client(user)
    other = client.post(tasks(user), json={"title": "x"}).headers["Location"]
    etag = client.get(tasks(user)).headers["ETag"]
    rejected = client.post(f"{deleted}/restore")
    assert (rejected.status_code, rejected.json()["type"]) == (409, "/problems/too-many-tasks")
    assert client.get(tasks(user)).headers["ETag"] == etag
    assert client.post(f"{other}/restore").status_code == 200, "a live task is returned unchanged"
    assert client.delete(other).status_code == 204
    assert client.post(f"{deleted}/restore").status_code == 200


def test_concurrent_restorations_restore_once(client: httpx.Client, user: str, deleted: str) -> None:
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: client.post(f"{deleted}/restore"), range(8)))
    assert [answer.status_code for answer in answers] == [200] * 8
    assert {answer.json()["etag"] for answer in answers} == {client.get(deleted).json()["etag"]}
    assert client.get(tasks(user), params={"include_total": "true"}).json()["total"] == 1


def test_concurrent_deletions_and_restorations_end_in_one_of_both_states(
    client: httpx.Client, user: str, deleted: str
) -> None:
    with ThreadPoolExecutor(8) as threads:
        writes = [client.delete, lambda url: client.post(f"{url}/restore")] * 12
        codes = [answer.status_code for answer in threads.map(lambda write: write(deleted), writes)]
    page = client.get(tasks(user), params={"include_total": "true"}).json()
    is_live = client.get(deleted).status_code == 200
    assert set(codes[1::2]) == {200}
    assert set(codes[::2]) <= {204, 404}
    assert (len(page["items"]), page["total"]) == (is_live, is_live)

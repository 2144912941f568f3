"""A cursor belongs to the user and the filter of its page, and no page misses or repeats a task that stays."""

import random
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from hashlib import blake2s
from struct import pack

import httpx
import pytest
from todo_contract import models

from support.operations import tasks
from support.service import Service
from todo_api.tasks.cursor import Position, encode
from todo_api.tasks.filters import scope_of

FILTERS: dict[str, dict[str, str]] = {
    "all": {},
    "completed": {"completed": "true"},
    "open": {"completed": "false"},
}


@pytest.fixture
def created(client: httpx.Client, user: str) -> list[dict[str, object]]:
    """Eight tasks, newest first. Every second one is completed."""
    bodies = [{"title": str(number), "completed": number % 2 == 0} for number in range(8)]
    return [client.post(tasks(user), json=body).json() for body in bodies][::-1]


def first_cursor(client: httpx.Client, user: str, **parameters: str) -> str:
    return str(client.get(tasks(user), params={"limit": "1", **parameters}).json()["next_cursor"])


@pytest.mark.parametrize("other", FILTERS)
@pytest.mark.parametrize("own", FILTERS)
def test_cursor_is_valid_with_the_filter_of_its_page_only(
    client: httpx.Client, user: str, created: list[dict[str, object]], own: str, other: str
) -> None:
    cursor = first_cursor(client, user, **FILTERS[own])
    answer = client.get(tasks(user), params={"cursor": cursor, **FILTERS[other]})
    assert answer.status_code == (200 if own == other else 422)
    if own != other:
        assert [error["parameter"] for error in answer.json()["errors"]] == ["cursor"]
        assert "filter" in answer.json()["errors"][0]["detail"]


def test_cursor_is_valid_with_another_limit_and_with_a_total(
    client: httpx.Client, user: str, created: list[dict[str, object]]
) -> None:
    for filters in FILTERS.values():
        cursor = first_cursor(client, user, **filters)
        page = client.get(
            tasks(user), params={"cursor": cursor, "limit": 100, "include_total": "true", **filters}
        ).json()
        assert page["total"] == len(page["items"]) + 1


def test_cursor_of_version_2_0_0_is_valid_without_a_filter(
    client: httpx.Client, user: str, created: list[dict[str, object]]
) -> None:
    position = created[2]
    since_1970 = datetime.fromisoformat(str(position["created_at"])) - datetime(1970, 1, 1, tzinfo=UTC)
    packed = pack(">qq", since_1970 // timedelta(microseconds=1), position["id"])
    digest = blake2s(packed + user.encode(), digest_size=4, person=b"cursor").digest()
    cursor = urlsafe_b64encode(packed + digest).rstrip(b"=").decode()
    assert client.get(tasks(user), params={"cursor": cursor}).json()["items"] == created[3:]
    assert client.get(tasks(user), params={"cursor": cursor, "completed": "true"}).status_code == 422


def test_cursor_without_a_time_in_a_list_of_due_tasks_has_no_next_page(client: httpx.Client, user: str) -> None:
    """The service makes none, and the digest of a cursor is no signature."""
    client.post(tasks(user), json={"title": "x", "due_date": "2026-12-24"})
    filters = {"sort": "due", "due_after": "2026-01-01"}
    forged = encode(user, Position(None, 1), scope_of(models.ListTasksParametersQuery.model_validate(filters)))
    page = client.get(tasks(user), params={"cursor": forged, **filters})
    assert (page.status_code, page.json()["items"]) == (200, [])


def test_cursor_of_a_task_that_was_changed_or_deleted_is_valid(
    client: httpx.Client, user: str, created: list[dict[str, object]]
) -> None:
    cursor = first_cursor(client, user)
    for write in client.delete, client.get:
        write(f"{tasks(user)}/{created[0]['id']}")
        page = client.get(tasks(user), params={"cursor": cursor}).json()
        assert page["items"] == created[1:]


def test_token_of_changes_is_no_cursor(client: httpx.Client, user: str, created: list[dict[str, object]]) -> None:
    token = client.get(f"{tasks(user)}/changes").json()["next_since"]
    assert client.get(tasks(user), params={"cursor": token}).status_code == 422


def test_each_task_that_stays_is_listed_once_while_others_are_written(
    service: Service, user: str, created: list[dict[str, object]], request: pytest.FixtureRequest
) -> None:
    """Four writers add, change, delete and restore tasks."""
    client = service.client(user)
    stay = [task["id"] for task in created]
    moving = [client.post(tasks(user), json={"title": "x"}).headers["Location"] for _ in range(20)]
    stay += [client.post(tasks(user), json={"title": "y"}).json()["id"] for _ in range(8)]
    writes: list[Callable[[httpx.Client, str], httpx.Response]] = [
        lambda client, _: client.post(tasks(user), json={"title": "z"}),
        lambda client, url: client.patch(f"{url}/complete"),
        lambda client, url: client.delete(url),
        lambda client, url: client.post(f"{url}/restore"),
    ]

    def write(seed: int) -> int:
        choose, own = random.Random(seed), service.client(user)  # noqa: S311
        staying = [f"{tasks(user)}/{task}" for task in stay]
        for turn in range(50):
            if turn % 5:
                choose.choice(writes)(own, choose.choice(moving))
            else:
                assert own.put(choose.choice(staying), json={"title": "changed"}).status_code == 200
        return 50

    walks = 0
    with ThreadPoolExecutor(4) as threads:
        writing = [threads.submit(write, seed) for seed in range(4)]
        while not walks or not all(future.done() for future in writing):
            url, listed = f"{tasks(user)}?limit={1 + walks % 7}", Counter[object]()
            while url:
                page = client.get(url)
                listed.update(task["id"] for task in page.json()["items"])
                url = page.links["next"]["url"] if "next" in page.links else ""
            assert [task for task in stay if listed[task] != 1] == []
            assert max(listed.values()) == 1
            walks += 1
        written = sum(future.result() for future in writing)
    figures = f"paging: {walks} walks during {written} writes, 0 tasks missed or repeated"
    request.node.user_properties.append(("figures", figures))

"""A client that applies every page of changes has the tasks as the service has them."""

from typing import Any

import httpx
import pytest

from support.databases import fetch
from support.operations import tasks
from support.service import Service
from support.task_changes import Copy

Task = dict[str, Any]


@pytest.fixture
def created(client: httpx.Client, user: str) -> list[Task]:
    """Seven tasks."""
    return [client.post(tasks(user), json={"title": str(number)}).json() for number in range(7)]


@pytest.fixture
def copy(client: httpx.Client, user: str) -> Copy:
    return Copy(client, user)


class TestPages:
    def test_changes_of_a_new_user_are_empty(self, client: httpx.Client, user: str) -> None:
        url = f"{tasks(user)}/changes"
        first = client.get(url).json()
        assert (first["changed"], first["deleted"], first["has_more"]) == ([], [], False)
        assert client.get(url, params={"since": first["next_since"]}).json() == first

    @pytest.mark.parametrize("limit", [1, 2, 3, 6, 7, 8, 100])
    def test_start_returns_each_task_once_in_the_order_of_changes(
        self, copy: Copy, client: httpx.Client, user: str, created: list[Task], limit: int
    ) -> None:
        client.patch(f"{tasks(user)}/{created[2]['id']}/complete")
        client.delete(f"{tasks(user)}/{created[4]['id']}")
        pages = copy.follow(limit)
        order = [created[number]["id"] for number in (0, 1, 3, 5, 6, 2)]
        assert [task["id"] for page in pages for task in page["changed"]] == order
        assert [task for page in pages for task in page["deleted"]] == [created[4]["id"]]
        assert [len(page["changed"]) + len(page["deleted"]) for page in pages] == [
            min(limit, 7 - start) for start in range(0, 7, limit)
        ]
        assert copy.differences() == []

    @pytest.mark.parametrize("limit", [1, 2, 100])
    def test_later_page_has_what_changed_since(
        self, copy: Copy, client: httpx.Client, user: str, created: list[Task], limit: int
    ) -> None:
        copy.follow(100)
        urls = [f"{tasks(user)}/{task['id']}" for task in created]
        assert copy.follow(limit)[0]["changed"] == []
        for _ in range(2):
            client.put(urls[5], json={"title": "changed"})
        client.delete(urls[1])
        new = client.post(tasks(user), json={"title": "new"}).json()["id"]
        client.patch(f"{urls[0]}/complete")
        pages = copy.follow(limit)
        changed = [created[5]["id"], new, created[0]["id"]]
        assert [task["id"] for page in pages for task in page["changed"]] == changed
        assert [task for page in pages for task in page["deleted"]] == [created[1]["id"]]
        assert copy.differences() == []

    def test_restored_task_is_changed_and_no_longer_deleted(
        self, copy: Copy, client: httpx.Client, user: str, created: list[Task]
    ) -> None:
        url = f"{tasks(user)}/{created[3]['id']}"
        client.delete(url)
        assert copy.follow(100)[0]["deleted"] == [created[3]["id"]]
        restored = client.post(f"{url}/restore").json()
        (page,) = copy.follow(100)
        assert (page["changed"], page["deleted"]) == ([restored], [])
        assert copy.differences() == []

    def test_task_that_changes_between_two_pages_is_not_missed(
        self, copy: Copy, client: httpx.Client, user: str, created: list[Task]
    ) -> None:
        copy.apply(3)
        client.put(f"{tasks(user)}/{created[1]['id']}", json={"title": "seen before"})
        client.put(f"{tasks(user)}/{created[5]['id']}", json={"title": "not seen yet"})
        client.delete(f"{tasks(user)}/{created[0]['id']}")
        client.delete(f"{tasks(user)}/{created[6]['id']}")
        copy.follow(1)
        assert copy.differences() == []

    @pytest.mark.parametrize("limit", [1, 2, 3, 100])
    def test_tasks_from_before_the_migration_are_paged_by_their_ids(
        self, database_url: str, copy: Copy, client: httpx.Client, user: str, created: list[Task], limit: int
    ) -> None:
        """Their change is 0, as the migration leaves it."""
        fetch(database_url, "UPDATE task SET change = 0 WHERE user_id = $1", user)
        client.put(f"{tasks(user)}/{created[2]['id']}", json={"title": "changed"})
        pages = copy.follow(limit)
        order = [created[number]["id"] for number in (0, 1, 3, 4, 5, 6, 2)]
        assert [task["id"] for page in pages for task in page["changed"]] == order
        assert copy.differences() == []

    def test_deletion_by_an_old_process_expires_the_token(
        self, database_url: str, copy: Copy, client: httpx.Client, user: str, created: list[Task]
    ) -> None:
        """It leaves no tombstone, and no client must keep the task."""
        copy.follow(100)
        fetch(database_url, "DELETE FROM task WHERE id = $1 AND user_id = $2", created[0]["id"], user)
        assert client.get(f"{tasks(user)}/changes", params={"since": copy.since}).status_code == 410
        copy.follow(2)
        assert (copy.restarts, copy.differences()) == (1, [])


class TestToken:
    @pytest.mark.parametrize(
        "token",
        ["", "x", "A" * 38, "A" * 37, "A" * 39, "%00" * 38, "AAAAAAAAABEAAAAAAAAAKgAAAAAAAAARDdXmXh"],
        ids=["empty", "short", "zeros", "too short", "too long", "NUL", "other digest"],
    )
    def test_text_that_is_no_token_is_422(self, client: httpx.Client, user: str, token: str) -> None:
        rejected = client.get(f"{tasks(user)}/changes?since={token}")
        assert rejected.status_code == 422
        assert [error["parameter"] for error in rejected.json()["errors"]] == ["since"]

    def test_token_of_another_user_and_a_changed_one_are_422(
        self, service: Service, copy: Copy, client: httpx.Client, user: str, created: list[Task]
    ) -> None:
        copy.follow(100)
        token = str(copy.since)
        other = f"{user}-other"
        rejected = service.client(other).get(f"{tasks(other)}/changes", params={"since": token})
        assert rejected.status_code == 422
        for place in range(len(token)):
            changed = token[:place] + ("B" if token[place] != "B" else "C") + token[place + 1 :]
            assert client.get(f"{tasks(user)}/changes", params={"since": changed}).status_code == 422

    def test_cursor_of_a_list_is_no_token(self, client: httpx.Client, user: str, created: list[Task]) -> None:
        cursor = client.get(tasks(user), params={"limit": 1}).json()["next_cursor"]
        assert client.get(f"{tasks(user)}/changes", params={"since": cursor}).status_code == 422


AGE = "UPDATE task SET deleted_at = now() - interval '31 days' WHERE user_id = $1 AND deleted_at IS NOT NULL"
TOMBSTONES = "SELECT count(*) FROM task WHERE user_id = $1 AND deleted_at IS NOT NULL"


class TestExpiry:
    def test_token_from_before_a_forgotten_deletion_is_410(
        self, database_url: str, client: httpx.Client, user: str, created: list[Task]
    ) -> None:
        before, after, started = Copy(client, user), Copy(client, user), Copy(client, user)
        before.follow(100)
        client.delete(f"{tasks(user)}/{created[0]['id']}")
        fetch(database_url, AGE, user)
        after.follow(100)
        after.follow(100)
        assert client.get(f"{tasks(user)}/changes", params={"since": before.since}).status_code == 200
        client.delete(f"{tasks(user)}/{created[1]['id']}")
        assert fetch(database_url, TOMBSTONES, user) == [1]
        rejected = client.get(f"{tasks(user)}/changes", params={"since": before.since})
        assert (rejected.status_code, rejected.json()["type"]) == (410, "/problems/changes-expired")
        for copy in after, started:
            copy.follow(2)
            assert (copy.restarts, copy.differences()) == (0, [])

    @pytest.mark.parametrize("limit", [1, 100])
    def test_start_is_never_410(
        self, database_url: str, copy: Copy, client: httpx.Client, user: str, created: list[Task], limit: int
    ) -> None:
        """All tombstones are newer than all tasks, and forgotten: no page reaches the last change."""
        for task in created[3:]:
            client.delete(f"{tasks(user)}/{task['id']}")
        fetch(database_url, AGE, user)
        client.delete(f"{tasks(user)}/{2**53 - 1}")
        assert fetch(database_url, TOMBSTONES, user) == [0]
        for _ in range(2):
            copy.follow(limit)
        client.post(tasks(user), json={"title": "new"})
        copy.follow(limit)
        assert (copy.restarts, copy.differences()) == (0, [])

    def test_old_tombstones_are_forgotten_by_10_at_a_time(
        self, database_url: str, client: httpx.Client, user: str
    ) -> None:
        urls = [client.post(tasks(user), json={"title": "x"}).headers["Location"] for _ in range(25)]
        for url in urls[:23]:
            client.delete(url)
        fetch(database_url, AGE, user)
        other = f"{user}-other"
        fetch(
            database_url,
            "INSERT INTO task (user_id, title, deleted_at) VALUES ($1, 'x', now() - interval '31 days')",
            other,
        )
        counts = []
        for url in urls[23:]:
            client.delete(url)
            counts += fetch(database_url, TOMBSTONES, user)
        for _ in range(2):
            assert client.delete(urls[0]).status_code == 404
            counts += fetch(database_url, TOMBSTONES, user)
        assert counts == [14, 5, 2, 2]
        assert fetch(database_url, TOMBSTONES, other) == [1], "another user's"

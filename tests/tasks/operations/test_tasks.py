"""The results of each task operation, and its own validation errors. 401, 403 and 404 of every operation are tested in
tests/auth/authorization."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from support.operations import tasks
from support.service import Service


class TestCreateTask:
    def test_create_returns_the_task_and_its_location(self, client: httpx.Client, user: str) -> None:
        created = client.post(tasks(user), json={"title": "Buy milk"})
        assert created.status_code == 201
        task = created.json()
        assert (task["title"], task["description"], task["completed"]) == ("Buy milk", None, False)
        assert (task["user_id"], task["created_at"]) == (user, task["updated_at"])
        assert client.get(created.headers["Location"]).json() == task

    def test_create_accepts_all_members(self, client: httpx.Client, user: str) -> None:
        body = {"title": "Buy milk", "description": "Two litres", "completed": True}
        assert client.post(tasks(user), json=body).json().items() >= body.items()

    @pytest.mark.parametrize(
        "title",
        ["x" * 200, "𝔘" * 200, " x ", "a\nb", "\U0010ffff", "-- '; DROP TABLE"],
        ids=[
            "200 ASCII characters",
            "200 four-byte characters",
            "surrounding blanks",
            "line feed",
            "last code point",
            "SQL",
        ],
    )
    def test_create_stores_every_title_that_the_contract_allows(
        self, client: httpx.Client, user: str, title: str
    ) -> None:
        assert client.post(tasks(user), json={"title": title}).json()["title"] == title

    @pytest.mark.parametrize(
        ("body", "pointers"),
        [
            ({}, {"#/title"}),
            ({"title": None}, {"#/title"}),
            ({"title": ""}, {"#/title"}),
            ({"title": " \t\n\u00a0"}, {"#/title"}),
            ({"title": "x" * 201}, {"#/title"}),
            ({"title": "nul\0"}, {"#/title"}),
            ({"title": 1, "description": "x" * 2001, "completed": "yes"}, {"#/title", "#/description", "#/completed"}),
            ({"title": "x", "completed": 1}, {"#/completed"}),
            ({"title": "x", "completed": None}, {"#/completed"}),
            ({"title": "x", "id": 1, "a/b~c d": 2}, {"#/id", "#/a~1b~0c%20d"}),
            ([], {"#"}),
            ("text", {"#"}),
            (None, {"#"}),
        ],
        ids=[
            "no title", "null title", "empty title", "blank title", "title too long", "NUL in title",
            "three wrong members", "number as completed", "null completed", "unknown members", "array", "string",
            "null",
        ],
    )  # fmt: skip
    def test_create_names_every_wrong_member(
        self, client: httpx.Client, user: str, body: object, pointers: set[str]
    ) -> None:
        rejected = client.post(tasks(user), json=body)
        assert rejected.status_code == 422
        assert {error["pointer"] for error in rejected.json()["errors"]} == pointers

    def test_create_never_echoes_a_wrong_value(self, client: httpx.Client, user: str) -> None:
        rejected = client.post(tasks(user), json={"title": ["hunter2"], "description": {"a": "hunter2"}})
        assert rejected.status_code == 422
        assert "hunter2" not in rejected.text

    def test_create_requires_a_body(self, client: httpx.Client, user: str) -> None:
        rejected = client.post(tasks(user))
        assert rejected.status_code == 422
        assert rejected.json()["errors"][0]["pointer"] == "#"


class TestGetTask:
    def test_get_returns_the_task(self, client: httpx.Client, user: str, task: dict[str, object]) -> None:
        assert client.get(f"{tasks(user)}/{task['id']}").json() == task

    @pytest.mark.parametrize(
        "task_id",
        [
            "0", "-1", "+1", "1.0", "1_0", "01", "9007199254740992", "9" * 30, "x", "%00", "1e3",
            pytest.param("٣", id="Arabic digit"),
        ],
    )  # fmt: skip
    def test_get_rejects_an_invalid_id(self, client: httpx.Client, user: str, task_id: str) -> None:
        rejected = client.get(f"{tasks(user)}/{task_id}")
        assert rejected.status_code == 422
        assert rejected.json()["errors"][0]["parameter"] == "task_id"

    @pytest.mark.parametrize("task_id", [2**31 - 1, 2**31, 2**53 - 1])
    def test_get_accepts_every_id_of_the_contract(self, client: httpx.Client, user: str, task_id: int) -> None:
        assert client.get(f"{tasks(user)}/{task_id}").status_code == 404


class TestUpdateTask:
    @pytest.mark.parametrize(
        "changes",
        [
            {"title": "Buy oat milk"},
            {"description": None},
            {"description": ""},
            {"completed": True},
            {"title": "Buy oat milk", "description": "One litre", "completed": True},
        ],
        ids=["title", "null description", "empty description", "completed", "all members"],
    )
    def test_update_changes_only_the_members_in_the_body(
        self, client: httpx.Client, user: str, task: dict[str, object], changes: dict[str, object]
    ) -> None:
        updated = client.put(f"{tasks(user)}/{task['id']}", json=changes)
        assert updated.status_code == 200
        assert updated.json() == {**task, **changes, "updated_at": updated.json()["updated_at"], "etag": '"2"'}
        assert updated.json()["updated_at"] > str(task["updated_at"])
        assert client.get(f"{tasks(user)}/{task['id']}").json() == updated.json()

    @pytest.mark.parametrize(
        ("changes", "pointer"),
        [({}, "#"), ({"title": None}, "#/title"), ({"completed": None}, "#/completed")],
        ids=["empty object", "null title", "null completed"],
    )
    def test_update_rejects_an_empty_object_and_null(
        self, client: httpx.Client, user: str, task: dict[str, object], changes: object, pointer: str
    ) -> None:
        rejected = client.put(f"{tasks(user)}/{task['id']}", json=changes)
        assert rejected.status_code == 422
        assert [error["pointer"] for error in rejected.json()["errors"]] == [pointer]


class TestToggleTaskCompletion:
    def test_toggle_without_a_body_inverts_completed(
        self, client: httpx.Client, user: str, task: dict[str, object]
    ) -> None:
        url = f"{tasks(user)}/{task['id']}/complete"
        assert [client.patch(url).json()["completed"] for _ in range(3)] == [True, False, True]

    @pytest.mark.parametrize("completed", [True, False], ids=["true", "false"])
    def test_toggle_with_a_body_sets_completed(
        self, client: httpx.Client, user: str, task: dict[str, object], completed: bool
    ) -> None:
        url = f"{tasks(user)}/{task['id']}/complete"
        results = [client.patch(url, json={"completed": completed}).json()["completed"] for _ in range(2)]
        assert results == [completed, completed]

    def test_toggle_rejects_null_as_a_body(self, client: httpx.Client, user: str, task: dict[str, object]) -> None:
        url = f"{tasks(user)}/{task['id']}/complete"
        assert client.patch(url, content=b"null", headers={"Content-Type": "application/json"}).status_code == 422
        assert client.get(f"{tasks(user)}/{task['id']}").json() == task

    def test_concurrent_toggles_are_not_lost(
        self, service: Service, user: str, client: httpx.Client, task: dict[str, object]
    ) -> None:
        url = f"{tasks(user)}/{task['id']}/complete"
        with ThreadPoolExecutor(8) as threads:
            results = list(threads.map(lambda _: client.patch(url).json()["completed"], range(20)))
        assert sorted(results) == [False] * 10 + [True] * 10
        assert client.get(f"{tasks(user)}/{task['id']}").json()["completed"] is False


class TestDeleteTask:
    def test_delete_is_204_once_and_404_afterwards(
        self, client: httpx.Client, user: str, task: dict[str, object]
    ) -> None:
        url = f"{tasks(user)}/{task['id']}"
        deleted = client.delete(url)
        assert (deleted.status_code, deleted.content) == (204, b"")
        assert "content-type" not in deleted.headers
        assert (client.delete(url).status_code, client.get(url).status_code) == (404, 404)
        assert client.get(tasks(user)).json()["items"] == []

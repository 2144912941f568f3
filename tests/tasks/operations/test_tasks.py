"""What each task operation does when all is well, and its own refusals. 401, 403 and 404 for every operation come
from the contract, in test_authorization.py."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from support.operations import tasks
from support.service import Service


class TestCreateTask:
    def test_answers_the_task_and_where_it_is(self, client: httpx.Client, user: str) -> None:
        created = client.post(tasks(user), json={"title": "Buy milk"})
        assert created.status_code == 201
        task = created.json()
        assert (task["title"], task["description"], task["completed"]) == ("Buy milk", None, False)
        assert (task["user_id"], task["created_at"]) == (user, task["updated_at"])
        assert client.get(created.headers["Location"]).json() == task

    def test_takes_all_members(self, client: httpx.Client, user: str) -> None:
        body = {"title": "Buy milk", "description": "Two litres", "completed": True}
        assert client.post(tasks(user), json=body).json().items() >= body.items()

    @pytest.mark.parametrize("title", ["x" * 200, "𝔘" * 200, " x ", "a\nb", "\U0010ffff", "-- '; DROP TABLE"])
    def test_keeps_every_title_that_the_contract_allows(self, client: httpx.Client, user: str, title: str) -> None:
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
    )
    def test_names_every_fault_of_the_body(
        self, client: httpx.Client, user: str, body: object, pointers: set[str]
    ) -> None:
        refused = client.post(tasks(user), json=body)
        assert refused.status_code == 422
        assert {error["pointer"] for error in refused.json()["errors"]} == pointers

    def test_never_echoes_the_value(self, client: httpx.Client, user: str) -> None:
        refused = client.post(tasks(user), json={"title": ["hunter2"], "description": {"a": "hunter2"}})
        assert refused.status_code == 422
        assert "hunter2" not in refused.text

    def test_wants_a_body(self, client: httpx.Client, user: str) -> None:
        refused = client.post(tasks(user))
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["pointer"] == "#"


class TestGetTask:
    def test_answers_the_task(self, client: httpx.Client, user: str, task: dict[str, object]) -> None:
        assert client.get(f"{tasks(user)}/{task['id']}").json() == task

    @pytest.mark.parametrize(
        "task_id", ["0", "-1", "+1", "1.0", "1_0", "01", "9007199254740992", "9" * 30, "x", "%00", "1e3", "٣"]
    )
    def test_refuses_what_is_no_id(self, client: httpx.Client, user: str, task_id: str) -> None:
        refused = client.get(f"{tasks(user)}/{task_id}")
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["parameter"] == "task_id"

    @pytest.mark.parametrize("task_id", [2**31 - 1, 2**31, 2**53 - 1])
    def test_knows_every_id(self, client: httpx.Client, user: str, task_id: int) -> None:
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
    )
    def test_changes_the_members_that_are_present(
        self, client: httpx.Client, user: str, task: dict[str, object], changes: dict[str, object]
    ) -> None:
        updated = client.put(f"{tasks(user)}/{task['id']}", json=changes)
        assert updated.status_code == 200
        assert updated.json() == {**task, **changes, "updated_at": updated.json()["updated_at"]}
        assert updated.json()["updated_at"] > str(task["updated_at"])
        assert client.get(f"{tasks(user)}/{task['id']}").json() == updated.json()

    @pytest.mark.parametrize(
        ("changes", "pointer"), [({}, "#"), ({"title": None}, "#/title"), ({"completed": None}, "#/completed")]
    )
    def test_refuses_no_change_and_null(
        self, client: httpx.Client, user: str, task: dict[str, object], changes: object, pointer: str
    ) -> None:
        refused = client.put(f"{tasks(user)}/{task['id']}", json=changes)
        assert refused.status_code == 422
        assert [error["pointer"] for error in refused.json()["errors"]] == [pointer]


class TestToggleTaskCompletion:
    def test_toggles_without_a_body(self, client: httpx.Client, user: str, task: dict[str, object]) -> None:
        url = f"{tasks(user)}/{task['id']}/complete"
        assert [client.patch(url).json()["completed"] for _ in range(3)] == [True, False, True]

    @pytest.mark.parametrize("completed", [True, False])
    def test_sets_with_a_body(self, client: httpx.Client, user: str, task: dict[str, object], completed: bool) -> None:
        url = f"{tasks(user)}/{task['id']}/complete"
        answers = [client.patch(url, json={"completed": completed}).json()["completed"] for _ in range(2)]
        assert answers == [completed, completed]

    def test_does_not_take_null_for_no_body(self, client: httpx.Client, user: str, task: dict[str, object]) -> None:
        url = f"{tasks(user)}/{task['id']}/complete"
        assert client.patch(url, content=b"null", headers={"Content-Type": "application/json"}).status_code == 422
        assert client.get(f"{tasks(user)}/{task['id']}").json() == task

    def test_loses_no_toggle(self, service: Service, user: str, client: httpx.Client, task: dict[str, object]) -> None:
        url = f"{tasks(user)}/{task['id']}/complete"
        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(lambda _: client.patch(url).json()["completed"], range(20)))
        assert sorted(answers) == [False] * 10 + [True] * 10
        assert client.get(f"{tasks(user)}/{task['id']}").json()["completed"] is False


class TestDeleteTask:
    def test_deletes_once(self, client: httpx.Client, user: str, task: dict[str, object]) -> None:
        url = f"{tasks(user)}/{task['id']}"
        deleted = client.delete(url)
        assert (deleted.status_code, deleted.content) == (204, b"")
        assert "content-type" not in deleted.headers
        assert (client.delete(url).status_code, client.get(url).status_code) == (404, 404)
        assert client.get(tasks(user)).json()["items"] == []

"""Renaming and removing a label on all tasks of a user."""

from typing import Any

import httpx
import pytest

from support.label_model import all_labels, all_tasks, differences, removed, renamed
from support.operations import labels, tasks
from support.service import Service
from support.task_changes import Copy


def create(client: httpx.Client, user: str, *each: list[str]) -> list[dict[str, Any]]:
    return [client.post(tasks(user), json={"title": "x", "labels": names}).json() for names in each]


def rename(client: httpx.Client, user: str, label: str, name: str) -> int:
    answer = client.patch(labels(user), params={"label": label}, json={"name": name})
    assert answer.status_code == 200, answer.text
    return int(answer.json()["tasks"])


def remove(client: httpx.Client, user: str, label: str) -> int:
    answer = client.delete(labels(user), params={"label": label})
    assert answer.status_code == 200, answer.text
    return int(answer.json()["tasks"])


def labels_of(client: httpx.Client, user: str, task: dict[str, Any]) -> list[str]:
    found: list[str] = client.get(f"{tasks(user)}/{task['id']}").json()["labels"]
    return found


@pytest.mark.parametrize(
    ("before", "label", "name", "after"),
    [
        pytest.param(["work"], "work", "job", ["job"], id="only label"),
        pytest.param(["a", "work", "b"], "work", "job", ["a", "job", "b"], id="place"),
        pytest.param(["work"], "WORK", "job", ["job"], id="another case"),
        pytest.param(["work"], "work", "Work", ["Work"], id="only the case"),
        pytest.param(["Work"], "work", "Work", ["Work"], id="the same"),
        pytest.param(["job", "a", "work"], "work", "Job", ["Job", "a"], id="both, the other first"),
        pytest.param(["work", "a", "job"], "work", "Job", ["Job", "a"], id="both, the other last"),
        pytest.param(["job"], "work", "Job", ["job"], id="only the other"),
        pytest.param([], "work", "job", [], id="no label"),
        pytest.param(["a/b"], "A/B", "a/c", ["a/c"], id="slash"),
        pytest.param(["100%"], "100%", "99%25", ["99%25"], id="percent"),
        pytest.param(["😀"], "😀", "😁😁", ["😁😁"], id="emoji"),
        pytest.param(["İstanbul"], "İSTANBUL", "i", ["i"], id="dotted I"),
        pytest.param(["İ"], "i", "I", ["I"], id="dotted I is i"),
        pytest.param(["straße"], "STRAßE", "STRASSE", ["STRASSE"], id="sharp s"),
        pytest.param(["ß"], "ẞ", "ẞ", ["ẞ"], id="capital sharp s"),
        pytest.param(["ss"], "ß", "x", ["ss"], id="sharp s is not ss"),
        pytest.param(["é"], "e\u0301", "E\u0301", ["É"], id="normal form"),
        pytest.param(["_"], "%", "x", ["_"], id="no pattern"),
    ],
)
def test_rename_changes_the_labels_of_a_task(
    client: httpx.Client, user: str, before: list[str], label: str, name: str, after: list[str]
) -> None:
    [task] = create(client, user, before)
    assert rename(client, user, label, name) == (before != after)
    assert labels_of(client, user, task) == after == renamed(before, label, name)
    assert rename(client, user, label, name) == 0
    assert differences(client, user) == []


@pytest.mark.parametrize(
    ("before", "label", "after"),
    [
        pytest.param(["work"], "work", [], id="only label"),
        pytest.param(["a", "work", "b"], "WORK", ["a", "b"], id="another case"),
        pytest.param(["a/b", "100%", "😀"], "100%", ["a/b", "😀"], id="percent"),
        pytest.param(["a/b", "ß"], "a/B", ["ß"], id="slash"),
        pytest.param(["İ", "é"], "i", ["é"], id="dotted I"),
        pytest.param(["İ", "é"], "E\u0301", ["İ"], id="normal form"),
        pytest.param(["😀"], "😁", ["😀"], id="another label"),
    ],
)
def test_removal_changes_the_labels_of_a_task(
    client: httpx.Client, user: str, before: list[str], label: str, after: list[str]
) -> None:
    [task] = create(client, user, before)
    assert remove(client, user, label) == (before != after)
    assert labels_of(client, user, task) == after == removed(before, label)
    assert remove(client, user, label) == 0
    assert differences(client, user) == []


changes = pytest.mark.parametrize("change", ["rename", "remove"])


def change_of(client: httpx.Client, user: str, change: str) -> int:
    return rename(client, user, "work", "job") if change == "rename" else remove(client, user, "work")


@changes
def test_change_counts_as_one_of_each_task_and_of_the_list(client: httpx.Client, user: str, change: str) -> None:
    first, second, other = create(client, user, ["work"], ["a", "work"], ["a"])
    etag = client.get(tasks(user)).headers["ETag"]
    assert change_of(client, user, change) == 2
    after = {task["id"]: task for task in all_tasks(client, user)}
    assert after[other["id"]] == other
    for before in (first, second):
        task = after[before["id"]]
        assert task["etag"] == '"2"'
        assert task["updated_at"] > before["updated_at"]
        assert {**task, "labels": 0, "etag": 0, "updated_at": 0} == {**before, "labels": 0, "etag": 0, "updated_at": 0}
    assert int(client.get(tasks(user)).headers["ETag"].strip('"')) == int(etag.strip('"')) + 1


@changes
def test_change_of_no_task_leaves_the_list(client: httpx.Client, user: str, change: str) -> None:
    create(client, user, ["a"])
    known = {"If-None-Match": client.get(tasks(user)).headers["ETag"]}
    assert change_of(client, user, change) == 0
    assert client.get(tasks(user), headers=known).status_code == 304


@changes
def test_change_of_a_user_without_tasks_is_of_none(client: httpx.Client, user: str, change: str) -> None:
    assert change_of(client, user, change) == 0
    assert all_labels(client, user) == []


@changes
def test_deleted_task_is_restored_as_it_was(client: httpx.Client, user: str, change: str) -> None:
    _, deleted = create(client, user, ["work"], ["a", "work"])
    client.delete(f"{tasks(user)}/{deleted['id']}")
    assert change_of(client, user, change) == 1
    assert client.post(f"{tasks(user)}/{deleted['id']}/restore").json()["labels"] == ["a", "work"]
    assert differences(client, user) == []


@changes
def test_tasks_of_another_user_are_not_changed(service: Service, client: httpx.Client, user: str, change: str) -> None:
    other = f"{user}-other"
    create(service.client(other), other, ["work"])
    create(client, user, ["work"])
    assert change_of(client, user, change) == 1
    assert all_labels(service.client(other), other) == [{"name": "work", "tasks": 1, "completed": 0}]


@changes
@pytest.mark.parametrize("limit", [1, 3, 100], ids=lambda limit: f"limit {limit}")
def test_client_in_the_middle_of_the_changes_misses_no_task(
    client: httpx.Client, user: str, change: str, limit: int
) -> None:
    create(client, user, *[["work", "a"]] * 7, ["a"])
    copy = Copy(client, user)
    copy.apply(3)
    change_of(client, user, change)
    copy.apply(limit)
    create(client, user, ["work"])
    change_of(client, user, change)
    copy.follow(limit)
    assert copy.differences() == []
    assert copy.restarts == 0


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_change_without_a_label_is_422(client: httpx.Client, user: str, method: str) -> None:
    create(client, user, ["work"])
    answer = client.request(method, labels(user), json={"name": "job"} if method == "PATCH" else None)
    assert answer.status_code == 422
    assert [(error["code"], error["parameter"]) for error in answer.json()["errors"]] == [("required", "label")]
    assert all_labels(client, user) == [{"name": "work", "tasks": 1, "completed": 0}]


def test_name_that_is_too_long_in_normal_form_is_422(client: httpx.Client, user: str) -> None:
    create(client, user, ["work"])
    answer = client.patch(labels(user), params={"label": "work"}, json={"name": "\u0958" * 50})
    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {"code": "too_long", "detail": "Must have at most 50 characters.", "limit": 50, "pointer": "#/name"}
    ]


@pytest.mark.parametrize("spelling", ["\u0958" * 25, "\u0915\u093c" * 25], ids=["as sent", "normal form"])
def test_label_whose_normal_form_is_longer_is_found(client: httpx.Client, user: str, spelling: str) -> None:
    create(client, user, ["\u0958" * 25])
    assert rename(client, user, spelling, "x") == 1


def test_labels_that_are_the_same_in_the_database_are_422_in_one_task(client: httpx.Client, user: str) -> None:
    answer = client.post(tasks(user), json={"title": "x", "labels": ["İ", "i"]})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "#/labels/1")

"""An unchanged list is 304, with any filter and order, unless it depends on the time."""

from typing import Any

import httpx
import pytest

from support.operations import tasks
from todo_api.tasks.shapes import SORTS

QUERIES: dict[str, dict[str, Any]] = {
    "completed": {"completed": "false"},
    "label": {"label": "home"},
    "two labels": {"label": ["home", "work"]},
    "priority": {"priority": ["high", "normal"]},
    "due_before": {"due_before": "2030-01-01", "time_zone": "Europe/Berlin"},
    "due_after": {"due_after": "2020-01-01"},
    "updated_since": {"updated_since": "2020-01-01T00:00:00Z"},
    "q": {"q": "mil"},
    "q and label": {"q": "mil", "label": "home"},
    "q by due": {"q": "mil", "sort": "due"},
    "total": {"include_total": "true", "label": "home"},
    **{sort: {"sort": sort} for name in SORTS for sort in (name, f"-{name}")},
    **{f"label by {sort}": {"label": "home", "sort": sort} for sort in SORTS},
}


@pytest.fixture
def task_url(client: httpx.Client, user: str) -> str:
    """The first of two tasks that each query finds."""
    members = {"title": "Milk", "labels": ["home", "work"], "priority": "high", "due_date": "2026-01-01"}
    created = [client.post(tasks(user), json=members) for _ in range(2)]
    return created[0].headers["Location"]


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_unchanged_list_is_304_until_a_task_changes(
    client: httpx.Client, user: str, task_url: str, query: dict[str, Any]
) -> None:
    """Also the page of a cursor."""
    first = client.get(tasks(user), params={**query, "limit": 1})
    following = {**query, "limit": 1, "cursor": first.json()["next_cursor"]}
    for parameters in following, {**query, "limit": 1}:
        listed = client.get(tasks(user), params=parameters)
        assert listed.json()["items"]
        headers = {"If-None-Match": listed.headers["ETag"]}
        assert client.get(tasks(user), params=parameters, headers=headers).status_code == 304
        assert client.get(tasks(user), params=parameters, headers={"If-None-Match": '"0"'}).json() == listed.json()
        assert client.patch(task_url, json={"priority": "normal"}).status_code == 200
        changed = client.get(tasks(user), params=parameters, headers=headers)
        assert (changed.status_code, changed.headers["ETag"] == listed.headers["ETag"]) == (200, False)


@pytest.mark.parametrize("overdue", ["true", "false"])
@pytest.mark.parametrize("sort", [sort for name in SORTS for sort in (name, f"-{name}")])
def test_list_of_what_is_overdue_is_never_304(
    client: httpx.Client, user: str, task_url: str, overdue: str, sort: str
) -> None:
    """Because it changes with the time, without a change of a task."""
    query = {"overdue": overdue, "sort": sort}
    tags: set[str] = set()
    for _ in range(3):
        headers = {"If-None-Match": ", ".join(tags)} if tags else {}
        listed = client.get(tasks(user), params=query, headers=headers)
        assert listed.status_code == 200
        assert len(listed.json()["items"]) == (2 if overdue == "true" else 0)
        assert listed.headers["ETag"] not in tags
        tags.add(listed.headers["ETag"])

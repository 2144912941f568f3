"""What the labels of a user must be, by the tasks alone."""

from typing import Any

import httpx

from support.operations import labels, tasks
from todo_api.tasks.rules import key_of, normalized


def all_tasks(client: httpx.Client, user: str, **query: object) -> list[dict[str, Any]]:
    """Returns the tasks of all pages of a list."""
    found: list[dict[str, Any]] = []
    parameters: dict[str, Any] = {"limit": 100, **query}
    while True:
        page = client.get(tasks(user), params=parameters).json()
        found += page["items"]
        if page["next_cursor"] is None:
            return found
        parameters["cursor"] = page["next_cursor"]


def all_labels(client: httpx.Client, user: str, limit: int = 1000) -> list[dict[str, Any]]:
    """Returns the labels of all pages, by their links."""
    found: list[dict[str, Any]] = []
    url = f"{labels(user)}?limit={limit}"
    while url:
        page = client.get(url)
        found += page.json()["items"]
        url = page.links["next"]["url"] if "next" in page.links else ""
    return found


def counted(found: list[dict[str, Any]]) -> list[tuple[str, int, int]]:
    """Returns the key of each label of these tasks, the number of its tasks and of those that are completed."""
    keys = {key_of(label) for task in found for label in task["labels"]}
    return [
        (key, len(having), sum(task["completed"] for task in having))
        for key in sorted(keys, key=str.encode)
        for having in [[task for task in found if key in map(key_of, task["labels"])]]
    ]


def differences(client: httpx.Client, user: str) -> list[str]:
    """Returns a line for each difference of the labels in use, and of the list of each, from the tasks."""
    found, in_use = all_tasks(client, user), all_labels(client, user)
    lines = []
    if (right := counted(found)) != (
        wrong := [(key_of(each["name"]), each["tasks"], each["completed"]) for each in in_use]
    ):
        lines.append(f"labels are {wrong}, and those of the tasks are {right}")
    for each in in_use:
        listed = {task["id"] for task in all_tasks(client, user, label=each["name"])}
        having = {task["id"] for task in found if key_of(each["name"]) in map(key_of, task["labels"])}
        if listed != having:
            lines.append(f"the list of {each['name']} has {listed} and not {having}")
    return lines


def renamed(before: list[str], label: str, name: str) -> list[str]:
    """Returns the labels of a task after a label was renamed."""
    if key_of(label) not in map(key_of, before):
        return before
    either = {key_of(label), key_of(name)}
    after = [normalized(name) if key_of(each) in either else each for each in before]
    return list(dict.fromkeys(after))


def removed(before: list[str], label: str) -> list[str]:
    return [each for each in before if key_of(each) != key_of(label)]

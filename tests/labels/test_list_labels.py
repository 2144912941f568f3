"""The labels in use: their names, counts, order and pages."""

import unicodedata
from collections.abc import Iterable

import httpx
import pytest

from support.databases import execute, fetch
from support.label_model import all_labels, all_tasks, counted
from support.operations import labels, tasks
from support.service import Service
from todo_api.labels import queries
from todo_api.tasks.rules import key_of

ODD = ["a/b", "100%", "😀", "İstanbul", "ß", "Σ", "é", "#1", "a b", "&=?", "Äpfel", "apfel", "Z"]
FILL = """
    INSERT INTO task (user_id, title, labels)
    SELECT '{}', 'x', ARRAY(SELECT 'label ' || each * 20 + n FROM generate_series(1, 20) AS n)
    FROM generate_series(0, 50) AS each
"""
"""Tasks with 1,020 labels."""


def create(client: httpx.Client, user: str, *each: Iterable[str], completed: bool = False) -> list[str]:
    """Create a task with each of the labels, and return the URLs."""
    bodies = [{"title": "x", "labels": list(names), "completed": completed} for names in each]
    return [client.post(tasks(user), json=body).headers["Location"] for body in bodies]


def test_labels_are_listed_with_their_counts_in_the_order_of_their_keys(client: httpx.Client, user: str) -> None:
    create(client, user, ODD, ODD[:5])
    create(client, user, ODD[3:9], completed=True)
    items = client.get(labels(user)).json()["items"]
    assert [(key_of(each["name"]), each["tasks"], each["completed"]) for each in items] == counted(
        all_tasks(client, user)
    )
    assert [each["name"] for each in items] == sorted(ODD, key=lambda label: key_of(label).encode())


def test_name_of_a_label_is_the_one_that_was_written_last(client: httpx.Client, user: str) -> None:
    create(client, user, ["work"], ["Work"])
    assert client.get(labels(user)).json()["items"] == [{"name": "Work", "tasks": 2, "completed": 0}]


def test_deleted_task_is_not_counted_until_it_is_restored(client: httpx.Client, user: str) -> None:
    kept, deleted = create(client, user, ["work"], ["work", "home"])
    client.delete(deleted)
    assert [(each["name"], each["tasks"]) for each in all_labels(client, user)] == [("work", 1)]
    client.post(f"{deleted}/restore")
    assert [(each["name"], each["tasks"]) for each in all_labels(client, user)] == [("home", 1), ("work", 2)]
    client.patch(f"{kept}/complete", json={"completed": True})
    assert [(each["name"], each["completed"]) for each in all_labels(client, user)] == [("home", 0), ("work", 1)]


@pytest.mark.parametrize("limit", [1, 2, 5, len(ODD), 1000], ids=lambda limit: f"limit {limit}")
def test_pages_have_each_label_once(client: httpx.Client, user: str, limit: int) -> None:
    create(client, user, ODD)
    whole = client.get(labels(user)).json()
    assert whole["next_after"] is None
    assert all_labels(client, user, limit) == whole["items"]
    found, query = [], {"limit": limit}
    while query:
        page = client.get(labels(user), params=query).json()
        found += page["items"]
        query = {"limit": limit, "after": page["next_after"]} if page["next_after"] else {}
    assert found == whole["items"]


@pytest.mark.parametrize(
    "after", ["É", unicodedata.normalize("NFD", "é"), "e\u0301"], ids=["upper case", "decomposed", "combining"]
)
def test_page_starts_after_a_label_in_another_spelling(client: httpx.Client, user: str, after: str) -> None:
    create(client, user, ["z", "é", "ö"])
    assert [each["name"] for each in client.get(labels(user), params={"after": after}).json()["items"]] == ["ö"]


def test_page_after_a_label_that_is_out_of_use_continues_at_its_place(client: httpx.Client, user: str) -> None:
    _, url = create(client, user, ["a", "c"], ["b"])
    page = client.get(labels(user), params={"limit": 2}).json()
    assert page["next_after"] == "b"
    client.delete(url)
    assert [each["name"] for each in client.get(labels(user), params={"after": "b"}).json()["items"]] == ["c"]


def test_labels_of_another_user_are_not_listed(service: Service, client: httpx.Client, user: str) -> None:
    create(service.client(f"{user}-other"), f"{user}-other", ["theirs"])
    assert client.get(labels(user)).json() == {"items": [], "next_after": None}


def test_known_labels_are_304_until_a_task_changes(client: httpx.Client, user: str) -> None:
    [url] = create(client, user, ["work"])
    first = client.get(labels(user))
    assert first.headers["ETag"] == client.get(tasks(user)).headers["ETag"]
    known = {"If-None-Match": first.headers["ETag"]}
    again = client.get(labels(user), headers=known)
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
    client.patch(url, json={"labels": ["home"]})
    changed = client.get(labels(user), headers=known)
    assert (changed.status_code, changed.json()["items"][0]["name"]) == (200, "home")
    assert changed.headers["ETag"] != first.headers["ETag"]


def test_labels_of_a_user_without_tasks_have_an_etag(client: httpx.Client, user: str) -> None:
    empty = client.get(labels(user))
    assert (empty.status_code, empty.headers["ETag"]) == (200, '"0"')
    assert client.get(labels(user), headers={"If-None-Match": '"0"'}).status_code == 304


def test_largest_page_has_a_thousand_labels(client: httpx.Client, user: str, database_url: str) -> None:
    execute(database_url, FILL.format(user))
    page = client.get(labels(user)).json()
    assert (len(page["items"]), page["next_after"]) == (1000, page["items"][-1]["name"])
    assert len(all_labels(client, user)) == 51 * 20


def test_link_of_the_longest_label_of_the_longest_user_id_is_followed(service: Service, user: str) -> None:
    owner = f"{user:%<255}"
    path = owner.replace("%", "%25")
    client = service.client(owner)
    longest = ["😀" * 50, "😁" * 50]
    create(client, path, longest)
    link = client.get(labels(path), params={"limit": 1}).links["next"]["url"]
    assert client.get(link).json() == {"items": [{"name": longest[1], "tasks": 1, "completed": 0}], "next_after": None}


@pytest.mark.parametrize("after", [None, "label 3"], ids=["first page", "later page"])
def test_page_is_a_range_of_the_index(user: str, database_url: str, after: str | None) -> None:
    execute(database_url, FILL.format(user))
    execute(database_url, "ANALYZE task_label_count")
    statement = queries._page(after=after is not None, conditional=False)  # noqa: SLF001
    arguments = statement.arguments({"owner": user, "limit": 10, "after": after})
    plan = fetch(database_url, f"EXPLAIN {statement.sql}", *arguments)
    assert any("Index Scan using task_label_count_pkey" in line for line in plan), plan
    assert not any("Sort" in line for line in plan), plan


def test_order_of_labels_is_that_of_bytes_on_every_system(database_url: str) -> None:
    of_key = "SELECT collation_name FROM information_schema.columns WHERE table_name = $1 AND column_name = 'key'"
    assert fetch(database_url, of_key, "task_label_count") == ["C"]


def test_key_of_each_character_is_that_of_the_database(database_url: str) -> None:
    characters = [chr(n) for n in range(1, 0x110000) if unicodedata.category(chr(n)) not in {"Cn", "Co", "Cs"}]
    keys = fetch(database_url, "SELECT label_key(each) FROM unnest($1::text[]) WITH ORDINALITY AS each", characters)
    differing = [each for each, key in zip(characters, keys, strict=True) if key_of(each) != key]
    assert differing == []

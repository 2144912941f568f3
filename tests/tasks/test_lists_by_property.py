"""Lists of random tasks by random queries are those of a model in Python: items, order, pages, totals and links."""

import random
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from support.list_model import ModelTask, selected
from support.operations import tasks
from support.random_lists import NOW, SORTS, insert, on_the_wire, query, task
from todo_api.tasks import queries

TASKS = 70
QUERIES = 44
DIRECTIONS = [None, *SORTS, *(f"-{name}" for name in SORTS)]


@pytest.fixture(autouse=True)
def stopped_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "utc_now", lambda: NOW)


class Lists:
    """The tasks of a user, and requests whose answers are compared with the model."""

    def __init__(self, client: httpx.Client, user: str, model: list[ModelTask], seed: int) -> None:
        self.client, self.url, self.model, self.seed = client, tasks(user), model, seed

    def get(self, parameters: dict[str, Any]) -> httpx.Response:
        return self.client.get(self.url, params=parameters)

    def check(self, asked: dict[str, Any], choose: random.Random) -> None:
        """Follows all pages of a query, and reads one by offset."""
        expected = [each.id for each in selected(self.model, asked, NOW)]
        limit = choose.choice([1, 3, 7, 100] if len(expected) < 10 else [7, 20, 100])
        sent = on_the_wire(asked) | {"limit": limit}
        place = f"seed {self.seed}: {self.client.build_request('GET', self.url, params=sent).url}"
        pages = self.follow(self.get(sent), sent, choose)
        assert [each for page in pages for each in page] == expected, place
        assert [len(page) for page in pages[:-1]] == [limit] * (len(pages) - 1), place
        offset = choose.randint(0, len(expected) + 1)
        page = self.get({**sent, "offset": offset, "include_total": "true"}).json()
        assert [each["id"] for each in page["items"]] == expected[offset : offset + limit], place
        assert page["total"] == len(expected), place
        assert (page["next_cursor"] is None) == (offset + limit >= len(expected)), place

    def follow(self, response: httpx.Response, sent: dict[str, Any], choose: random.Random) -> list[list[int]]:
        """Returns the ids of all pages. A page is requested by its cursor or by its link, which are the same."""
        pages = []
        while True:
            assert response.status_code == 200, response.request.url
            page = response.json()
            pages.append([each["id"] for each in page["items"]])
            if page["next_cursor"] is None:
                assert "next" not in response.links
                return pages
            following = {**sent, "cursor": page["next_cursor"]}
            link = urlsplit(response.links["next"]["url"])
            same = self.client.build_request("GET", self.url, params=following).url
            assert (link.path, sorted(parse_qsl(link.query))) == (same.path, sorted(same.params.multi_items()))
            response = self.client.get(response.links["next"]["url"]) if choose.random() < 0.5 else self.get(following)


@pytest.mark.parametrize("seed", range(5), ids=lambda seed: f"seed {seed}")
def test_list_of_random_tasks_is_that_of_the_model(
    client: httpx.Client, database_url: str, user: str, seed: int
) -> None:
    choose = random.Random(seed)  # noqa: S311
    insert(database_url, f"{user}-other", [task(choose) for _ in range(20)])
    lists = Lists(client, user, insert(database_url, user, [task(choose) for _ in range(TASKS)]), seed)
    for _ in range(QUERIES // len(DIRECTIONS)):
        for sort in DIRECTIONS:
            lists.check(query(choose, sort), choose)


@pytest.mark.parametrize(
    ("name", "value", "other"),
    [
        ("completed", "false", "true"),
        ("label", "home", "ärger"),
        ("label", ["home"], ["home", "Work"]),
        ("priority", ["low", "high"], ["low"]),
        ("due_after", "0001-01-01", "0001-01-02"),
        ("due_before", "9999-12-31", "9999-12-30"),
        ("overdue", "false", "true"),
        ("time_zone", "UTC", "Etc/UTC"),
        ("updated_since", "2026-01-01T00:00:00Z", "2025-01-01T00:00:00Z"),
        ("q", "o", "oa"),
        ("sort", "due", "-due"),
    ],
    ids=lambda value: value if isinstance(value, str) else " and ".join(value),
)
def test_cursor_of_another_filter_or_order_is_422(
    client: httpx.Client, database_url: str, user: str, name: str, value: Any, other: Any
) -> None:
    """Also with the filter and without it."""
    choose = random.Random(1)  # noqa: S311
    insert(database_url, user, [task(choose) for _ in range(TASKS)])

    def get(query: dict[str, Any]) -> httpx.Response:
        return client.get(tasks(user), params={"limit": 1, **query})

    cursors = [get(query).json()["next_cursor"] for query in ({name: value}, {})]
    assert get({name: value, "cursor": cursors[0]}).status_code == 200
    assert get({name: other, "cursor": cursors[0]}).status_code == 422
    assert get({"cursor": cursors[0]}).status_code == 422
    assert get({name: value, "cursor": cursors[1]}).status_code == 422


def test_cursor_is_of_one_query_even_if_its_words_look_like_another_parameter(
    client: httpx.Client, database_url: str, user: str
) -> None:
    titles = ["a sort due"] * 3
    choose = random.Random(1)  # noqa: S311
    insert(database_url, user, [task(choose) | {"title": title, "deleted_at": None} for title in titles])
    first = client.get(tasks(user), params={"limit": 1, "q": "a", "sort": "due"}).json()
    query: dict[str, Any] = {"limit": 1, "q": "a&sort=due"}
    assert client.get(tasks(user), params=query).json()["items"] != []
    assert client.get(tasks(user), params={**query, "cursor": first["next_cursor"]}).status_code == 422


def test_cursor_of_the_longest_title_is_valid(client: httpx.Client, database_url: str, user: str) -> None:
    """100 characters of four bytes."""
    choose = random.Random(1)  # noqa: S311
    insert(database_url, user, [task(choose) | {"title": "😀" * 200, "deleted_at": None} for _ in range(3)])
    first = client.get(tasks(user), params={"limit": 1, "sort": "title"})
    assert client.get(first.links["next"]["url"]).status_code == 200

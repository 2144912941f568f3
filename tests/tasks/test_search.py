"""`q` finds the words of a user's tasks, in any language, also of tasks that are not among the newest."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from support.list_model import ModelTask, selected
from support.operations import tasks
from support.random_lists import insert
from support.service import Service
from todo_api.tasks.lists import NEWEST_SEARCHED

START = datetime(2026, 1, 1, tzinfo=UTC)
TITLES = [
    "Crème brûlée", "CREME fresh", "Straße", "Молоко и ёлка", "МОЛОКО", "会議室を予約", "会議", "カフェで会う",
    "がぎ", "회의를 준비", "ประชุมวันนี้", "Party 🎉👍🏽", "100% sure", "100 sure", "snake_case name", "snakecase",
    "O'Neil's book", 'say "hello"',
    r"C:\temp\file", "a:*b", "x&y", "p|q", "not !important", "(paren)", "left<->right", "oatmeal", "oat milk", "naïve",
]  # fmt: skip


@dataclass
class Searched:
    """The tasks of a user."""

    client: httpx.Client
    url: str
    model: list[ModelTask]

    def pages(self, **query: Any) -> Iterator[list[int]]:
        page = self.client.get(self.url, params={"limit": 100, **query})
        while True:
            assert page.status_code == 200
            yield [task["id"] for task in page.json()["items"]]
            if "next" not in page.links:
                return
            page = self.client.get(page.links["next"]["url"])

    def ids(self, **query: Any) -> list[int]:
        return [each for page in self.pages(**query) for each in page]

    def titles(self, **query: Any) -> set[str]:
        by_id = {task.id: task.title for task in self.model}
        return {by_id[each] for each in self.ids(**query)}


def new(title: str, number: int, **members: Any) -> dict[str, Any]:
    created_at = START + timedelta(seconds=number)
    others: dict[str, Any] = {"description": None, "due_date": None, "due_at": None, "priority": "normal", "labels": []}
    times = {"created_at": created_at, "updated_at": created_at, "deleted_at": None}
    return {"title": title, "completed": False, **others, **times, **members}


def searched_by(service: Service, url: str, user: str, rows: list[dict[str, Any]]) -> Searched:
    """Adds the tasks for the user, and those of another user with the same words."""
    insert(url, f"{user}-other", rows[:200])
    return Searched(service.client(user), tasks(user), insert(url, user, rows))


@pytest.fixture(scope="module")
def languages(service: Service, database_url: str) -> Searched:
    rows = [new(title, number) for number, title in enumerate(TITLES)]
    return searched_by(service, database_url, "searcher-of-languages", rows)


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("creme", {"Crème brûlée", "CREME fresh"}),
        ("CRÈME BRULEE", {"Crème brûlée"}),
        ("bru\u0302le", {"Crème brûlée"}),
        ("strasse", {"Straße"}),
        ("STRAẞE", {"Straße"}),
        ("молоко", {"Молоко и ёлка", "МОЛОКО"}),
        ("молоко елка", {"Молоко и ёлка"}),
        ("会", {"会議室を予約", "会議", "カフェで会う"}),
        ("会議", {"会議室を予約", "会議"}),
        ("議室", {"会議室を予約"}),
        ("予約 会議", {"会議室を予約"}),
        ("議会", set()),
        ("カフェ", {"カフェで会う"}),
        ("ｶﾌｪ", {"カフェで会う"}),
        ("회의", {"회의를 준비"}),
        ("의를", {"회의를 준비"}),
        ("준비 회의", {"회의를 준비"}),
        ("ประชุม", {"ประชุมวันนี้"}),
        ("วันนี้", {"ประชุมวันนี้"}),
        ("🎉", {"Party 🎉👍🏽"}),
        ("👍", {"Party 🎉👍🏽"}),
        ("👍🏿", {"Party 🎉👍🏽"}),
        ("😀", set()),
        ("100%", {"100% sure", "100 sure"}),
        ("1%", set()),
        ("%", set()),
        ("_", set()),
        ("snake_case", {"snake_case name"}),
        ("snake_", {"snake_case name"}),
        ("snake", {"snake_case name", "snakecase"}),
        ("snakexcase", set()),
        ("o'neil", {"O'Neil's book"}),
        ("'", set()),
        ('"hello"', {'say "hello"'}),
        ("C:\\temp", {r"C:\temp\file"}),
        ("\\", set()),
        ("temp\\", {r"C:\temp\file"}),
        ("a:*", {"a:*b"}),
        (":*", set()),
        ("x&y", {"x&y"}),
        ("x & !y", {"x&y"}),
        ("p|q", {"p|q"}),
        ("p|zzz", set()),
        ("!important", {"not !important"}),
        ("!paren", {"(paren)"}),
        ("((((", set()),
        ("left<->right", {"left<->right"}),
        ("right<2>left", set()),
        ("right left", {"left<->right"}),
        ("<->", set()),
        (":*&|!()<->", set()),
        (" ", set()),
        ("oat", {"oatmeal", "oat milk"}),
        ("oat ", {"oat milk"}),
        ("oat m", {"oat milk"}),
        ("oa milk", set()),
        ("milk oa", {"oat milk"}),
        ("eal", set()),
        ("'; DROP TABLE task; --", set()),
        ("naive", {"naïve"}),
    ],
)
def test_words_are_found_in_their_language(languages: Searched, q: str, found: set[str]) -> None:
    for sort in "-created_at", "created_at", "due", "title":
        assert languages.titles(q=q, sort=sort) == found, sort


@pytest.mark.parametrize("q", ["x", "\t\n", "\u00a0", "\u200d", "\ud7a3" * 100, "🏽", "é" * 100, "a" * 65, "&" * 100])
def test_any_text_is_a_search(languages: Searched, q: str) -> None:
    assert languages.titles(q=q) <= {"x&y"}


MANY = 2 * NEWEST_SEARCHED + 400
"""So many that not all are looked through, even if half of them are not of the list."""
EDGES = [0, 6, 7, 8, *(n * NEWEST_SEARCHED + m for n in (1, 2) for m in (-8, -7, -6, -2, -1, 0, 1, 2)), MANY - 1]
"""From the newest: places around the borders between the part that is looked through and that of the index."""


@pytest.fixture(scope="module")
def many(service: Service, database_url: str) -> Searched:
    rows = []
    for age in range(MANY):
        words = [f"Task {age}", "common", "third" if age % 3 == 0 else "", "edge" if age in EDGES else ""]
        words += ["ancient"] if age >= NEWEST_SEARCHED + 50 else []
        words += ["recent"] if age < 150 else []
        labels = ["home"] if age % 2 else []
        # Several of one time, so that their ids decide.
        rows.append(new(" ".join(words), -(age // 4), completed=age % 5 == 0, labels=labels))
    return searched_by(service, database_url, "searcher-of-many", rows[::-1])


FILTERS: dict[str, dict[str, Any]] = {
    "all": {},
    "open": {"completed": False},
    "completed": {"completed": True},
    "label": {"label": ["home"]},
    "label and open": {"label": ["home"], "completed": False},
}


@pytest.mark.parametrize("query", FILTERS.values(), ids=FILTERS)
@pytest.mark.parametrize("q", ["edge", "ancient third", "recent"])
def test_pages_of_a_search_go_on_beyond_the_newest_tasks(many: Searched, q: str, query: dict[str, Any]) -> None:
    expected = [task.id for task in selected(many.model, {"q": q, **query}, START)]
    assert expected
    sent = {"q": q, **query, "limit": 100}
    pages = list(many.pages(**sent))
    assert [each for page in pages for each in page] == expected
    assert {len(page) for page in pages[:-1]} <= {100}
    assert many.client.get(many.url, params={**sent, "include_total": "true"}).json()["total"] == len(expected)


@pytest.mark.parametrize("limit", [1, 3, 7])
def test_small_pages_cross_the_border_of_the_newest_tasks(many: Searched, limit: int) -> None:
    expected = [task.id for task in selected(many.model, {"q": "edge"}, START)]
    assert len(expected) == len(EDGES)
    assert many.ids(q="edge", limit=limit) == expected


@pytest.mark.parametrize("offset", [0, 5, 11, 12, 13, 20, 21, 22])
def test_offset_crosses_the_border_of_the_newest_tasks(many: Searched, offset: int) -> None:
    expected = [task.id for task in selected(many.model, {"q": "edge"}, START)]
    page = many.client.get(many.url, params={"q": "edge", "limit": 5, "offset": offset}).json()
    assert [task["id"] for task in page["items"]] == expected[offset : offset + 5]

"""Lists are filtered, paged and ordered as the contract says."""

import httpx
import pytest

from support.operations import tasks
from support.service import Service


class TestListTasks:
    @pytest.fixture
    def titles(self, client: httpx.Client, user: str) -> list[str]:
        """Seven tasks, newest first; every second one is completed."""
        for number in range(7):
            client.post(tasks(user), json={"title": str(number), "completed": number % 2 == 0})
        return [str(number) for number in reversed(range(7))]

    def follow(self, client: httpx.Client, url: str) -> list[list[str]]:
        pages = []
        for _ in range(10):
            answer = client.get(url)
            assert answer.status_code == 200
            pages.append([task["title"] for task in answer.json()["items"]])
            assert ("next" in answer.links) == (answer.json()["next_cursor"] is not None)
            if "next" not in answer.links:
                return pages
            url = answer.links["next"]["url"]
            assert answer.json()["next_cursor"] in url
        raise AssertionError("the list has no end")

    def test_is_empty_at_first(self, client: httpx.Client, user: str) -> None:
        assert client.get(tasks(user)).json() == {"items": [], "next_cursor": None}

    def test_is_newest_first(self, client: httpx.Client, user: str, titles: list[str]) -> None:
        assert self.follow(client, tasks(user)) == [titles]

    @pytest.mark.parametrize("limit", [1, 3, 7, 100])
    def test_pages_by_cursor(self, client: httpx.Client, user: str, titles: list[str], limit: int) -> None:
        pages = self.follow(client, f"{tasks(user)}?limit={limit}")
        assert pages == [titles[start : start + limit] for start in range(0, 7, limit)]

    def test_misses_none_while_tasks_are_added(self, client: httpx.Client, user: str, titles: list[str]) -> None:
        first = client.get(tasks(user), params={"limit": 3}).json()
        client.post(tasks(user), json={"title": "new"})
        second = client.get(tasks(user), params={"cursor": first["next_cursor"]}).json()
        assert [task["title"] for task in first["items"] + second["items"]] == titles

    @pytest.mark.parametrize(("completed", "count"), [("true", 4), ("false", 3)])
    def test_filters(self, client: httpx.Client, user: str, titles: list[str], completed: str, count: int) -> None:
        pages = self.follow(client, f"{tasks(user)}?completed={completed}&limit=2")
        wanted = [title for title in titles if (int(title) % 2 == 0) == (completed == "true")]
        assert [title for page in pages for title in page] == wanted
        counted = client.get(tasks(user), params={"completed": completed, "include_total": "true", "limit": 1})
        assert counted.json()["total"] == count

    @pytest.mark.parametrize(("offset", "rest"), [(0, 7), (5, 2), (7, 0), (2147483647, 0)])
    def test_passes_over(self, client: httpx.Client, user: str, titles: list[str], offset: int, rest: int) -> None:
        page = client.get(tasks(user), params={"offset": offset}).json()
        assert [task["title"] for task in page["items"]] == titles[7 - rest :]

    def test_counts_only_when_asked(self, client: httpx.Client, user: str, titles: list[str]) -> None:
        answers = [
            client.get(tasks(user), params={"limit": 1, **ask}).json().get("total")
            for ask in ({}, {"include_total": "false"}, {"include_total": "true"})
        ]
        assert answers == [None, None, 7]

    def test_shows_only_ones_own(self, service: Service, user: str, titles: list[str]) -> None:
        stranger = f"{user}-stranger"
        assert service.client(stranger).get(tasks(stranger)).json()["items"] == []

    @pytest.mark.parametrize(
        "query",
        [
            "limit=0", "limit=101", "limit=", "limit=5.0", "limit=%2B5", "limit=1_0", "limit=05", "limit=x",
            "offset=-1", "offset=2147483648", f"offset={2**63}", f"offset={'9' * 4000}",
            "completed=yes", "completed=True", "completed=1", "completed=",
            "include_total=on",
            "cursor=", "cursor=x", f"cursor={'A' * 27}", "cursor=%00",
        ],
    )  # fmt: skip
    def test_refuses_what_is_no_value(self, client: httpx.Client, user: str, query: str) -> None:
        refused = client.get(f"{tasks(user)}?{query}")
        assert refused.status_code == 422
        assert [error["parameter"] for error in refused.json()["errors"]] == [query.partition("=")[0]]

    @pytest.mark.parametrize("query", ["limit=1&limit=2", "Limit=1", "unknown=1", "unknown", "%00=1", "%ff=1"])
    def test_refuses_unknown_and_repeated_parameters(self, client: httpx.Client, user: str, query: str) -> None:
        assert client.get(f"{tasks(user)}?{query}").status_code == 422

    def test_refuses_cursor_with_offset(self, client: httpx.Client, user: str, titles: list[str]) -> None:
        cursor = client.get(tasks(user), params={"limit": 1}).json()["next_cursor"]
        assert client.get(tasks(user), params={"cursor": cursor, "offset": 0}).status_code == 422

    def test_refuses_a_forged_cursor(
        self, service: Service, client: httpx.Client, user: str, titles: list[str]
    ) -> None:
        cursor = client.get(tasks(user), params={"limit": 1}).json()["next_cursor"]
        forged = ("B" if cursor[0] != "B" else "C") + cursor[1:]
        assert client.get(tasks(user), params={"cursor": forged}).status_code == 422
        stranger = f"{user}-stranger"
        foreign = service.client(stranger).get(tasks(stranger), params={"cursor": cursor})
        assert foreign.status_code == 422

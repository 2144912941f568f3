"""Lists are filtered, paged and ordered as the contract specifies."""

import httpx
import pytest

from support.operations import tasks
from support.service import Service


class TestListTasks:
    @pytest.fixture
    def titles(self, client: httpx.Client, user: str) -> list[str]:
        """The titles of seven tasks, newest first. Every second task is completed."""
        for number in range(7):
            client.post(tasks(user), json={"title": str(number), "completed": number % 2 == 0})
        return [str(number) for number in reversed(range(7))]

    def follow(self, client: httpx.Client, url: str) -> list[list[str]]:
        pages = []
        for _ in range(10):
            response = client.get(url)
            assert response.status_code == 200
            pages.append([task["title"] for task in response.json()["items"]])
            assert ("next" in response.links) == (response.json()["next_cursor"] is not None)
            if "next" not in response.links:
                return pages
            url = response.links["next"]["url"]
            assert response.json()["next_cursor"] in url
        raise AssertionError("the list does not end")

    def test_list_of_a_new_user_is_empty(self, client: httpx.Client, user: str) -> None:
        assert client.get(tasks(user)).json() == {"items": [], "next_cursor": None}

    def test_page_has_at_most_100_tasks(self, client: httpx.Client, user: str) -> None:
        for number in range(101):
            client.post(tasks(user), json={"title": str(number)})
        pages = self.follow(client, f"{tasks(user)}?limit=100")
        assert [len(page) for page in pages] == [100, 1]

    @pytest.mark.parametrize("length", [26, 28], ids=lambda length: f"{length} characters")
    def test_cursor_of_another_length_is_422(self, client: httpx.Client, user: str, length: int) -> None:
        assert client.get(tasks(user), params={"cursor": "A" * length}).status_code == 422

    def test_list_is_newest_first(self, client: httpx.Client, user: str, titles: list[str]) -> None:
        assert self.follow(client, tasks(user)) == [titles]

    @pytest.mark.parametrize("limit", [1, 3, 7, 100], ids=lambda limit: f"limit {limit}")
    def test_list_is_paged_by_cursor(self, client: httpx.Client, user: str, titles: list[str], limit: int) -> None:
        pages = self.follow(client, f"{tasks(user)}?limit={limit}")
        assert pages == [titles[start : start + limit] for start in range(0, 7, limit)]

    def test_list_misses_no_task_while_tasks_are_added(
        self, client: httpx.Client, user: str, titles: list[str]
    ) -> None:
        first = client.get(tasks(user), params={"limit": 3}).json()
        client.post(tasks(user), json={"title": "new"})
        second = client.get(tasks(user), params={"cursor": first["next_cursor"]}).json()
        assert [task["title"] for task in first["items"] + second["items"]] == titles

    @pytest.mark.parametrize(("completed", "count"), [("true", 4), ("false", 3)], ids=["true", "false"])
    def test_list_is_filtered_by_completed(
        self, client: httpx.Client, user: str, titles: list[str], completed: str, count: int
    ) -> None:
        pages = self.follow(client, f"{tasks(user)}?completed={completed}&limit=2")
        expected = [title for title in titles if (int(title) % 2 == 0) == (completed == "true")]
        assert [title for page in pages for title in page] == expected
        counted = client.get(tasks(user), params={"completed": completed, "include_total": "true", "limit": 1})
        assert counted.json()["total"] == count

    @pytest.mark.parametrize(
        ("offset", "rest"),
        [(0, 7), (5, 2), (7, 0), (2147483647, 0)],
        ids=["offset 0", "offset 5", "offset 7", "maximum"],
    )
    def test_offset_skips_tasks(
        self, client: httpx.Client, user: str, titles: list[str], offset: int, rest: int
    ) -> None:
        page = client.get(tasks(user), params={"offset": offset}).json()
        assert [task["title"] for task in page["items"]] == titles[7 - rest :]

    def test_total_is_returned_only_if_requested(self, client: httpx.Client, user: str, titles: list[str]) -> None:
        totals = [
            client.get(tasks(user), params={"limit": 1, **parameters}).json().get("total")
            for parameters in ({}, {"include_total": "false"}, {"include_total": "true"})
        ]
        assert totals == [None, None, 7]

    def test_list_contains_no_task_of_another_user(self, service: Service, user: str, titles: list[str]) -> None:
        other_user = f"{user}-other"
        assert service.client(other_user).get(tasks(other_user)).json()["items"] == []

    @pytest.mark.parametrize(
        "query",
        [
            "limit=0", "limit=101", "limit=", "limit=5.0", "limit=%2B5", "limit=1_0", "limit=05", "limit=x",
            "offset=-1", "offset=2147483648", f"offset={2**63}",
            pytest.param(f"offset={'9' * 4000}", id="offset of 4000 digits"),
            "completed=yes", "completed=True", "completed=1", "completed=",
            "include_total=on",
            "cursor=", "cursor=x", f"cursor={'A' * 27}", "cursor=%00",
        ],
    )  # fmt: skip
    def test_list_rejects_an_invalid_value(self, client: httpx.Client, user: str, query: str) -> None:
        rejected = client.get(f"{tasks(user)}?{query}")
        assert rejected.status_code == 422
        assert [error["parameter"] for error in rejected.json()["errors"]] == [query.partition("=")[0]]

    @pytest.mark.parametrize("query", ["limit=1&limit=2", "Limit=1", "unknown=1", "unknown", "%00=1", "%ff=1"])
    def test_list_rejects_unknown_and_repeated_parameters(self, client: httpx.Client, user: str, query: str) -> None:
        assert client.get(f"{tasks(user)}?{query}").status_code == 422

    def test_list_rejects_cursor_with_offset(self, client: httpx.Client, user: str, titles: list[str]) -> None:
        cursor = client.get(tasks(user), params={"limit": 1}).json()["next_cursor"]
        assert client.get(tasks(user), params={"cursor": cursor, "offset": 0}).status_code == 422

    def test_list_rejects_a_changed_cursor_and_that_of_another_user(
        self, service: Service, client: httpx.Client, user: str, titles: list[str]
    ) -> None:
        cursor = client.get(tasks(user), params={"limit": 1}).json()["next_cursor"]
        changed = ("B" if cursor[0] != "B" else "C") + cursor[1:]
        assert client.get(tasks(user), params={"cursor": changed}).status_code == 422
        other_user = f"{user}-other"
        rejected = service.client(other_user).get(tasks(other_user), params={"cursor": cursor})
        assert rejected.status_code == 422

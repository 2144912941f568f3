"""What each task operation does when all is well, and its own refusals. 401, 403 and 404 for every operation come
from the contract, in test_authorization.py."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import pairwise

import asyncpg
import httpx
import pytest

from support.databases import execute
from support.service import Service


def tasks(user: str) -> str:
    return f"/api/{user}/tasks"


@pytest.fixture
def task(client: httpx.Client, user: str) -> dict[str, object]:
    created = client.post(tasks(user), json={"title": "Buy milk", "description": "Two litres"})
    assert created.status_code == 201
    return dict(created.json())


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


WRITES: dict[str, Callable[[httpx.Client, str], httpx.Response]] = {
    "update": lambda client, one: client.put(one, json={"title": "Buy oat milk"}),
    "update without a change": lambda client, one: client.put(one, json={"title": "Buy milk"}),
    "toggle": lambda client, one: client.patch(f"{one}/complete"),
    "set": lambda client, one: client.patch(f"{one}/complete", json={"completed": True}),
    "set without a change": lambda client, one: client.patch(f"{one}/complete", json={"completed": False}),
}


class TestUpdatedAt:
    @pytest.mark.parametrize("write", WRITES)
    def test_rises_with_each_write(self, client: httpx.Client, user: str, task: dict[str, object], write: str) -> None:
        times = [str(task["updated_at"])]
        times += [WRITES[write](client, f"{tasks(user)}/{task['id']}").json()["updated_at"] for _ in range(3)]
        assert times == sorted(set(times))
        assert client.get(f"{tasks(user)}/{task['id']}").json()["created_at"] == task["created_at"]

    @pytest.mark.parametrize("write", WRITES)
    def test_rises_if_a_later_write_is_the_first_to_end(
        self, database_url: str, client: httpx.Client, user: str, task: dict[str, object], write: str
    ) -> None:
        """The write begins, waits for a lock, and another one that began later is committed before it goes on."""

        async def run() -> tuple[datetime, datetime]:
            holder, observer = [await asyncpg.connect(database_url) for _ in range(2)]
            async with holder.transaction():
                await holder.execute("SELECT FROM task WHERE id = $1 FOR UPDATE", task["id"])
                writing = asyncio.create_task(asyncio.to_thread(WRITES[write], client, f"{tasks(user)}/{task['id']}"))
                async with asyncio.timeout(30):
                    while not await observer.fetchval(WAITS_FOR, holder.get_server_pid()):
                        await asyncio.sleep(0.005)
                between: datetime = await holder.fetchval(
                    "UPDATE task SET updated_at = clock_timestamp() WHERE id = $1 RETURNING updated_at", task["id"]
                )
            written = await writing
            for connection in holder, observer:
                await connection.close()
            return between, datetime.fromisoformat(written.json()["updated_at"])

        between, last = asyncio.run(run())
        assert last > between

    def test_rises_among_many_writers(
        self, service: Service, database_url: str, user: str, task: dict[str, object], request: pytest.FixtureRequest
    ) -> None:
        """A trigger keeps every time in the order in which the rows were written."""

        def write(number: int) -> None:
            kinds = list(WRITES.values())
            for turn in range(20):
                answer = kinds[(number + turn) % len(kinds)](service.client(user), f"{tasks(user)}/{task['id']}")
                assert answer.status_code == 200

        execute(database_url, KEEP_TIMES)
        try:
            with ThreadPoolExecutor(8) as threads:
                list(threads.map(write, range(8)))
            times = asyncio.run(fetch(database_url, "SELECT updated_at FROM written ORDER BY number"))
        finally:
            execute(database_url, "DROP FUNCTION keep_time CASCADE; DROP TABLE written")
        backwards = sum(later <= earlier for earlier, later in pairwise(times))
        request.node.user_properties.append(("figures", f"updated_at: {len(times)} writes, {backwards} backwards"))
        assert (len(times), backwards) == (8 * 20, 0)

    @pytest.mark.parametrize(
        ("created_at", "updated_at", "least"),
        [
            ("2999-01-01T00:00:00Z", "2999-01-01T00:00:00Z", "2999-01-01T00:00:00.000001Z"),
            ("2999-01-01T00:00:00Z", "2000-01-01T00:00:00Z", "2999-01-01T00:00:00Z"),
            ("2000-01-01T00:00:00Z", "9999-12-31T23:59:59.999998Z", "9999-12-31T23:59:59.999999Z"),
            ("2000-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
            ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
        ],
        ids=["clock set back", "before created_at", "nearly the last one", "the last one", "created at the last one"],
    )
    @pytest.mark.parametrize("write", WRITES)
    def test_stays_within_the_contract(
        self,
        database_url: str,
        client: httpx.Client,
        user: str,
        task: dict[str, object],
        write: str,
        created_at: str,
        updated_at: str,
        least: str,
    ) -> None:
        asyncio.run(fetch(database_url, SET_TIMES, created_at, updated_at, task["id"]))
        written = WRITES[write](client, f"{tasks(user)}/{task['id']}")
        assert written.status_code == 200
        assert datetime.fromisoformat(written.json()["updated_at"]) == datetime.fromisoformat(least)


# A statement of another connection waits for one of this process.
WAITS_FOR = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid)))"

KEEP_TIMES = """
    CREATE TABLE written (number bigint GENERATED ALWAYS AS IDENTITY, updated_at timestamptz);
    CREATE FUNCTION keep_time() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO written (updated_at) VALUES (NEW.updated_at);
        RETURN NEW;
    END $$;
    CREATE TRIGGER keep_time AFTER UPDATE ON task FOR EACH ROW EXECUTE FUNCTION keep_time();
"""


SET_TIMES = """
    UPDATE task SET created_at = $1::text::timestamptz, updated_at = $2::text::timestamptz WHERE id = $3
"""


async def fetch(url: str, query: str, *arguments: object) -> list[datetime]:
    connection = await asyncpg.connect(url)
    try:
        return [row[0] for row in await connection.fetch(query, *arguments)]
    finally:
        await connection.close()


class TestDeleteTask:
    def test_deletes_once(self, client: httpx.Client, user: str, task: dict[str, object]) -> None:
        url = f"{tasks(user)}/{task['id']}"
        deleted = client.delete(url)
        assert (deleted.status_code, deleted.content) == (204, b"")
        assert "content-type" not in deleted.headers
        assert (client.delete(url).status_code, client.get(url).status_code) == (404, 404)
        assert client.get(tasks(user)).json()["items"] == []


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

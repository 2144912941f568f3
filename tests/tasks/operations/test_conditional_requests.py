"""Conditional requests (RFC 9110, section 13): 304 if the client has the present state, and 412 instead of a change of
a state that the client has not read."""

import asyncio
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import asyncpg
import httpx
import pytest

from fastapi_contract.entity_tags import tags
from support.operations import tasks
from support.service import Service, running, settings_for
from todo_api.app import create_app
from todo_api.database.database import Database
from todo_api.database.session import Session, SessionStats
from todo_api.database.statement import Statement
from todo_api.tasks import queries
from todo_api.tasks.filters import Filters

CHANGES: dict[str, Callable[[httpx.Client, str, dict[str, str]], httpx.Response]] = {
    "PUT": lambda client, url, headers: client.put(url, json={"title": "Buy oat milk"}, headers=headers),
    "PATCH": lambda client, url, headers: client.patch(url, json={"title": "Buy oat milk"}, headers=headers),
    "complete": lambda client, url, headers: client.patch(f"{url}/complete", json={"completed": True}, headers=headers),
    "toggle": lambda client, url, headers: client.patch(f"{url}/complete", headers=headers),
    "DELETE": lambda client, url, headers: client.delete(url, headers=headers),
}
each_change = pytest.mark.parametrize("change", CHANGES)


def list_etag(client: httpx.Client, user: str) -> str:
    return client.get(tasks(user)).headers["ETag"]


class TestEntityTag:
    def test_etag_of_each_answer_with_one_task_is_the_one_in_its_body(self, client: httpx.Client, user: str) -> None:
        created = client.post(tasks(user), json={"title": "Buy milk"})
        url = created.headers["Location"]
        answers = [
            created,
            client.get(url),
            client.put(url, json={"title": "a"}),
            client.patch(url, json={"title": "b"}),
            client.patch(f"{url}/complete"),
            client.put(url, json={"title": "c"}, headers={"If-Match": '"0"'}),
        ]
        client.delete(url)
        answers.append(client.post(f"{url}/restore"))
        bodies = [answer.json().get("task", answer.json()) for answer in answers]
        assert [answer.status_code for answer in answers] == [201, 200, 200, 200, 200, 412, 200]
        assert [answer.headers["ETag"] for answer in answers] == [body["etag"] for body in bodies]
        (item,) = client.get(tasks(user)).json()["items"]
        assert item == bodies[-1]

    def test_etag_changes_with_each_write_and_is_never_reused(
        self, client: httpx.Client, user: str, url: str, task: dict[str, object]
    ) -> None:
        etags = [task["etag"]]
        for _ in range(3):
            etags += [
                client.put(url, json={"title": "Buy milk"}).json()["etag"],
                client.patch(url, json={"title": "Buy milk"}).json()["etag"],
                client.patch(f"{url}/complete").json()["etag"],
                client.patch(f"{url}/complete", json={"completed": False}).json()["etag"],
            ]
            assert client.delete(url).status_code == 204
            etags.append(client.post(f"{url}/restore").json()["etag"])
        assert len(set(etags)) == len(etags)

    @each_change
    def test_etag_of_the_list_changes_with_each_write(
        self, client: httpx.Client, user: str, url: str, change: str
    ) -> None:
        before = list_etag(client, user)
        assert CHANGES[change](client, url, {}).is_success
        after = list_etag(client, user)
        client.post(f"{url}/restore")
        assert len({before, after, list_etag(client, user)}) == (3 if change == "DELETE" else 2)

    def test_etag_of_the_list_stays_if_nothing_is_written(self, client: httpx.Client, user: str, url: str) -> None:
        before = list_etag(client, user)
        assert client.post(f"{url}/restore").status_code == 200
        unknown = f"{tasks(user)}/{2**53 - 1}"
        assert {CHANGES[change](client, unknown, {}).status_code for change in CHANGES} == {404}
        assert client.put(url, json={}).status_code == 422
        assert list_etag(client, user) == before

    def test_etag_of_the_list_does_not_depend_on_other_users(
        self, service: Service, client: httpx.Client, user: str, url: str
    ) -> None:
        before = list_etag(client, user)
        other = f"{user}-other"
        assert service.client(other).post(tasks(other), json={"title": "x"}).status_code == 201
        assert list_etag(client, user) == before


def known(etag: str) -> dict[str, list[tuple[str, str]]]:
    """Values of If-None-Match that match an entity tag."""
    return {
        "tag": [("If-None-Match", etag)],
        "star": [("If-None-Match", "*")],
        "star and an empty element": [("If-None-Match", "*,")],
        "weak tag": [("If-None-Match", f"W/{etag}")],
        "list": [("If-None-Match", f'"x", {etag},W/"y"')],
        "empty elements": [("If-None-Match", f', ,"x" ,, {etag},')],
        "two lines": [("If-None-Match", '"x"'), ("If-None-Match", etag)],
        "tag with a comma before": [("If-None-Match", f'"a,b", {etag}')],
    }


MATCHES = list(known(""))
OTHERS = ['"x"', 'W/"x"', '"x", "y"', '"1,2"', '""', '"*"']


class TestIfNoneMatch:
    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    @pytest.mark.parametrize("kind", MATCHES)
    @pytest.mark.parametrize("resource", ["task", "list"])
    def test_known_state_is_304_without_a_body(
        self, client: httpx.Client, user: str, url: str, method: str, kind: str, resource: str
    ) -> None:
        target = url if resource == "task" else tasks(user)
        etag = client.get(target).headers["ETag"]
        answer = client.request(method, target, headers=known(etag)[kind])
        assert (answer.status_code, answer.headers["ETag"], answer.content) == (304, etag, b"")
        assert "content-type" not in answer.headers
        assert answer.headers["Cache-Control"] == "no-store"

    @pytest.mark.parametrize("field", OTHERS)
    @pytest.mark.parametrize("resource", ["task", "list"])
    def test_other_state_is_200_with_a_body(
        self, client: httpx.Client, user: str, url: str, field: str, resource: str
    ) -> None:
        target = url if resource == "task" else tasks(user)
        answer = client.get(target, headers={"If-None-Match": field})
        assert (answer.status_code, answer.json()) == (200, client.get(target).json())

    @each_change
    def test_304_ends_with_each_write(self, client: httpx.Client, user: str, url: str, change: str) -> None:
        headers = {"If-None-Match": list_etag(client, user)}
        assert client.get(tasks(user), headers=headers).status_code == 304
        assert CHANGES[change](client, url, {}).is_success
        fresh = client.get(tasks(user), headers=headers)
        assert (fresh.status_code, fresh.json()) == (200, client.get(tasks(user)).json())

    def test_list_is_304_with_each_filter_and_cursor(self, client: httpx.Client, user: str) -> None:
        for number in range(6):
            client.post(tasks(user), json={"title": str(number), "completed": number % 2 == 0})
        queries: list[dict[str, str]] = [{}, {"include_total": "true"}, {"offset": "2"}, {"completed": "true"}]
        for filters in {}, {"completed": "true"}, {"completed": "false"}:
            cursor = client.get(tasks(user), params={"limit": 1, **filters}).json()["next_cursor"]
            queries.append({"cursor": cursor, **filters})
        for query in queries:
            page = client.get(tasks(user), params=query)
            headers = {"If-None-Match": page.headers["ETag"]}
            assert client.get(tasks(user), params=query, headers=headers).status_code == 304
            other = client.get(tasks(user), params=query, headers={"If-None-Match": '"0"'})
            assert (other.status_code, other.json()) == (200, page.json())

    def test_list_without_tasks_has_an_etag_that_changes_with_the_first_task(
        self, client: httpx.Client, user: str
    ) -> None:
        headers = {"If-None-Match": list_etag(client, user)}
        assert client.get(tasks(user), headers=headers).status_code == 304
        client.post(tasks(user), json={"title": "Buy milk"})
        assert client.get(tasks(user), headers=headers).status_code == 200

    def test_deleted_task_is_404_though_its_state_is_known(self, client: httpx.Client, url: str) -> None:
        etag = client.get(url).headers["ETag"]
        client.delete(url)
        for field in etag, "*":
            assert client.get(url, headers={"If-None-Match": field}).status_code == 404

    @pytest.mark.parametrize("kind", [kind for kind in MATCHES if "star" not in kind])
    def test_304_of_a_list_reads_no_task(
        self, database_url: str, client: httpx.Client, user: str, url: str, kind: str
    ) -> None:
        lines = known(list_etag(client, user))[kind]
        plans = asyncio.run(plans_of(database_url, user, tags(", ".join(field for _, field in lines), weak=True)))
        assert [node["Actual Loops"] for node in plans if node.get("Relation Name") == "task"] == [0]
        assert [node["Actual Loops"] for node in plans if node.get("Relation Name") == "task_list"] == [1]


class ExplainingSession(Session):
    """Also records how PostgreSQL runs a statement."""

    plan: Any

    async def fetch_all(self, statement: Statement, /, **parameters: Any) -> list[asyncpg.Record]:
        explain = replace(statement, sql=f"EXPLAIN (ANALYZE, FORMAT JSON) {statement.sql}")
        ((plan,),) = await super().fetch_all(explain, **parameters)
        self.plan = json.loads(plan)[0]["Plan"]
        return await super().fetch_all(statement, **parameters)


def nodes(plan: Any) -> Iterator[Any]:
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


async def plans_of(database_url: str, user: str, etags: list[str] | None) -> list[Any]:
    async with Database(database_url) as database:
        session = ExplainingSession(database, SessionStats())
        page = await queries.list_page(session, user, Filters(), limit=50, known=etags)
    assert page.tasks == []
    return list(nodes(session.plan))


class TestIfMatch:
    @each_change
    @pytest.mark.parametrize(
        "field", ['"0"', 'W/"1"', '"0", "2"', '"0,1"', '"1!"'],
        ids=["other tag", "weak tag", "other tags", "tag with a comma", "longer tag"],
    )  # fmt: skip
    def test_other_state_is_412_with_the_present_task_and_nothing_is_changed(
        self, client: httpx.Client, user: str, url: str, task: dict[str, object], change: str, field: str
    ) -> None:
        before = list_etag(client, user)
        rejected = CHANGES[change](client, url, {"If-Match": field})
        assert (rejected.status_code, rejected.json()["type"]) == (412, "/problems/task-changed")
        assert (rejected.json()["task"], rejected.headers["ETag"]) == (task, task["etag"])
        assert (client.get(url).json(), list_etag(client, user)) == (task, before)

    @each_change
    @pytest.mark.parametrize("field", ['"1"', "*", '"0" , "1"', 'W/"1", "1"', ',"1",'])
    def test_present_state_is_changed(self, client: httpx.Client, url: str, change: str, field: str) -> None:
        assert CHANGES[change](client, url, {"If-Match": field}).is_success
        assert client.get(url).headers.get("ETag") != '"1"'

    def test_several_lines_are_one_list(self, client: httpx.Client, url: str) -> None:
        headers = [("If-Match", '"0"'), ("If-Match", '"1"')]
        assert client.put(url, json={"title": "x"}, headers=headers).status_code == 200

    @each_change
    @pytest.mark.parametrize("field", ['"7"', "*"])
    def test_404_comes_before_412(self, client: httpx.Client, user: str, url: str, change: str, field: str) -> None:
        client.delete(url)
        assert CHANGES[change](client, url, {"If-Match": field}).status_code == 404
        assert CHANGES[change](client, f"{tasks(user)}/{2**53 - 1}", {"If-Match": field}).status_code == 404

    @each_change
    @pytest.mark.parametrize("field", ["", "1", '"1', "W/1", 'w/"1"', '"1" "2"', '*, "1"', "**", '"1";', '"a b"'])
    def test_malformed_field_is_422(
        self, client: httpx.Client, url: str, task: dict[str, object], change: str, field: str
    ) -> None:
        rejected = CHANGES[change](client, url, {"If-Match": field})
        assert rejected.status_code == 422
        assert [error["parameter"] for error in rejected.json()["errors"]] == ["If-Match"]
        assert client.get(url, headers={"If-None-Match": field}).status_code == 422
        assert client.get(url).json() == task

    @each_change
    def test_one_of_50_changes_of_the_same_state_at_once_is_carried_out(
        self, client: httpx.Client, url: str, task: dict[str, object], change: str
    ) -> None:
        """Comparison and change are one statement."""
        headers = {"If-Match": str(task["etag"])}
        with ThreadPoolExecutor(16) as threads:
            answers = list(threads.map(lambda _: CHANGES[change](client, url, headers), range(50)))
        codes = sorted(answer.status_code for answer in answers)
        # The same deletion again is carried out already.
        assert codes == ([204] * 50 if change == "DELETE" else [200, *[412] * 49])
        if change != "DELETE":
            now = client.get(url).json()
            assert (now["etag"], {json.dumps(each.json().get("task", now)) for each in answers}) == (
                '"2"',
                {json.dumps(now)},
            )


@pytest.fixture(scope="module")
def strict_service(database_url: str) -> Iterator[Service]:
    """A service that requires If-Match."""
    with running(create_app(settings_for(database_url, require_if_match=True))) as service:
        yield service


class TestRequiredIfMatch:
    @each_change
    def test_change_without_if_match_is_428(
        self, strict_service: Service, user: str, url: str, task: dict[str, object], change: str
    ) -> None:
        client = strict_service.client(user)
        rejected = CHANGES[change](client, url, {})
        assert (rejected.status_code, rejected.json()["type"]) == (428, "/problems/precondition-required")
        assert client.get(url).json() == task

    @each_change
    @pytest.mark.parametrize("field", ['"1"', "*"])
    def test_change_with_if_match_is_carried_out(
        self, strict_service: Service, user: str, url: str, change: str, field: str
    ) -> None:
        assert CHANGES[change](strict_service.client(user), url, {"If-Match": field}).is_success

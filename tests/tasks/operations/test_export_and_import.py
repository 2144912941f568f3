"""All tasks can be taken along, and brought back."""

import csv
import io
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from icalendar import Calendar

from support.operations import tasks
from support.service import Service, running, settings_for
from todo_api.app import create_app
from todo_api.tasks import queries

NDJSON = {"Content-Type": "application/x-ndjson"}
TITLES = ["Buy milk", 'Say "hello", twice', "Zeile\nund Zeile", "漢字 🥛", "=1+1", "BEGIN:VTODO", "a;b\\c" * 20]


def create_all(client: httpx.Client, user: str) -> list[dict[str, Any]]:
    """Create a task of each kind, and return them, oldest first."""
    members: list[dict[str, Any]] = [
        {},
        {"description": "Two; litres,\r\n or 漢字" * 40, "completed": True, "priority": "urgent"},
        {"due_date": "2026-12-24", "labels": ["home", "a, b", "Café"], "priority": "low"},
        {"due_at": "2026-12-24T17:30:00.123456Z", "priority": "high"},
    ]
    created = [
        client.post(tasks(user), json={"title": title, **members[number % 4]}) for number, title in enumerate(TITLES)
    ]
    assert {answer.status_code for answer in created} == {201}
    return [answer.json() for answer in created]


def export(client: httpx.Client, user: str, media_type: str = "application/x-ndjson") -> httpx.Response:
    answer = client.get(f"{tasks(user)}/export", headers={"Accept": media_type})
    assert answer.status_code == 200
    return answer


def records(answer: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line) for line in answer.text.splitlines()]


def send(client: httpx.Client, user: str, content: str | bytes) -> httpx.Response:
    return client.post(f"{tasks(user)}/import", content=content, headers=NDJSON)


def content(task: dict[str, Any]) -> dict[str, Any]:
    """The members of a task that an export has, without the time of the last change."""
    names = ("title", "description", "completed", "due_date", "due_at", "priority", "labels", "created_at")
    return {name: task[name] for name in names}


class TestExport:
    def test_lines_have_all_tasks_oldest_first(self, client: httpx.Client, user: str) -> None:
        created = create_all(client, user)
        deleted = client.post(tasks(user), json={"title": "x"}).json()
        client.delete(f"{tasks(user)}/{deleted['id']}")
        found = records(export(client, user))
        assert [content(each) for each in found] == [content(each) for each in created]
        assert [each["external_id"] for each in found] == [f"todo-api:{user}:{each['id']}" for each in created]

    def test_table_has_a_row_for_each_task(self, client: httpx.Client, user: str) -> None:
        created = create_all(client, user)
        answer = export(client, user, "text/csv")
        rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
        assert [row["title"] for row in rows] == [each["title"] for each in created]
        assert [row["description"] for row in rows] == [each["description"] or "" for each in created]
        assert [row["completed"] for row in rows] == [str(each["completed"]).lower() for each in created]
        assert rows[2]["labels"] == "home, a, b, Café"
        assert [row["due_date"] or row["due_at"] for row in rows] == [
            each["due_date"] or each["due_at"] or "" for each in created
        ]

    def test_calendar_has_a_to_do_for_each_task(self, client: httpx.Client, user: str) -> None:
        created = create_all(client, user)
        answer = export(client, user, "text/calendar")
        assert max(len(line.encode()) for line in answer.text.split("\r\n")) <= 75
        todos: list[Any] = Calendar.from_ical(answer.text).walk("VTODO")
        assert [str(each["summary"]) for each in todos] == [each["title"] for each in created]
        # Line ends of a text are all written the same (RFC 5545, section 3.3.11).
        assert [str(each.get("description", "")) for each in todos] == [
            (each["description"] or "").replace("\r\n", "\n") for each in created
        ]
        assert [str(each["status"]) for each in todos] == [
            "COMPLETED" if each["completed"] else "NEEDS-ACTION" for each in created
        ]
        assert [each["due"].dt.isoformat() if "due" in each else None for each in todos] == [
            None, None, "2026-12-24", "2026-12-24T17:30:00+00:00", None, None, "2026-12-24",
        ]  # fmt: skip
        assert [str(each) for each in todos[2]["categories"].cats] == ["home", "a, b", "Café"]
        assert [each["priority"] for each in todos] == [5, 1, 9, 3, 5, 1, 9]

    def test_no_tasks_are_an_empty_answer(self, client: httpx.Client, user: str) -> None:
        assert export(client, user).content == b""
        assert len(export(client, user, "text/csv").text.splitlines()) == 1
        assert Calendar.from_ical(export(client, user, "text/calendar").text).walk("VTODO") == []

    def test_other_media_type_is_406(self, client: httpx.Client, user: str) -> None:
        assert client.get(f"{tasks(user)}/export", headers={"Accept": "text/html"}).status_code == 406

    def test_pages_of_statements_join_without_a_seam(
        self, client: httpx.Client, user: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        created = create_all(client, user)
        for size in range(1, len(created) + 2):
            monkeypatch.setattr(queries, "EXPORTED", size)
            assert [content(each) for each in records(export(client, user))] == [content(each) for each in created]


class TestImport:
    def test_export_is_imported_into_another_account_once(
        self, service: Service, client: httpx.Client, user: str
    ) -> None:
        create_all(client, user)
        exported = export(client, user)
        other = f"{user}-other"
        client = service.client(other)
        count = len(TITLES)
        assert send(client, other, exported.content).json() == {"created": count, "existing": 0}
        again = export(client, other)
        assert [{**each, "updated_at": None} for each in records(again)] == [
            {**each, "updated_at": None} for each in records(exported)
        ]
        assert send(client, other, exported.content).json() == {"created": 0, "existing": count}
        listed = client.get(tasks(other), params={"include_total": "true"}).json()
        assert listed["total"] == len(listed["items"]) == count
        done = client.get(tasks(other), params={"include_total": "true", "completed": "true"}).json()
        assert done["total"] == len(done["items"])

    def test_export_is_not_imported_into_its_own_account(self, client: httpx.Client, user: str) -> None:
        created = create_all(client, user)
        exported = export(client, user)
        assert send(client, user, exported.content).json() == {"created": 0, "existing": len(created)}
        client.delete(f"{tasks(user)}/{created[0]['id']}")
        assert send(client, user, exported.content).json() == {"created": 1, "existing": len(created) - 1}
        assert [content(each) for each in records(export(client, user))] == [content(each) for each in created]

    def test_ids_of_others_are_no_own_ids(self, service: Service, client: httpx.Client, user: str) -> None:
        """Nor is a number alone."""
        task = client.post(tasks(user), json={"title": "x"}).json()
        for external_id in (str(task["id"]), f"todo-api:{user}-other:{task['id']}", f"other:{user}:{task['id']}"):
            line = json.dumps({"external_id": external_id, "title": "y"})
            assert send(client, user, line).json() == {"created": 1, "existing": 0}

    def test_same_id_twice_is_created_once(self, client: httpx.Client, user: str) -> None:
        lines = [json.dumps({"external_id": "a", "title": title}) for title in ("first", "second")]
        assert send(client, user, "\n".join(lines)).json() == {"created": 1, "existing": 1}
        assert [each["title"] for each in records(export(client, user))] == ["first"]

    def test_absent_members_have_the_defaults_of_a_new_task(self, client: httpx.Client, user: str) -> None:
        assert send(client, user, '{"external_id": "a", "title": "x"}').json()["created"] == 1
        (task,) = client.get(tasks(user)).json()["items"]
        new = client.post(tasks(user), json={"title": "x"}).json()
        assert {**content(task), "created_at": None} == {**content(new), "created_at": None}

    def test_deleted_task_is_imported_again_and_can_be_restored(self, client: httpx.Client, user: str) -> None:
        line = '{"external_id": "a", "title": "x"}'
        send(client, user, line)
        (task,) = client.get(tasks(user)).json()["items"]
        client.delete(f"{tasks(user)}/{task['id']}")
        assert send(client, user, line).json() == {"created": 1, "existing": 0}
        assert client.post(f"{tasks(user)}/{task['id']}/restore").status_code == 200
        assert len(client.get(tasks(user)).json()["items"]) == 2

    def test_labels_and_words_of_imported_tasks_are_found(self, client: httpx.Client, user: str) -> None:
        lines = [json.dumps({"external_id": str(n), "title": f"word{n % 3}", "labels": ["Home"]}) for n in range(9)]
        send(client, user, "\n".join(lines))
        for query in ({"label": "home"}, {"q": "word1", "label": "HOME"}, {"q": "word1"}):
            found = client.get(tasks(user), params=query).json()["items"]
            assert len(found) == (3 if "q" in query else 9)

    def test_invalid_line_is_named_and_none_is_imported(self, client: httpx.Client, user: str) -> None:
        lines = ['{"external_id": "a", "title": "x"}', '{"external_id": "b", "title": ""}']
        answer = send(client, user, "\n".join(lines))
        assert (answer.status_code, [error["pointer"] for error in answer.json()["errors"]]) == (422, ["#/1/title"])
        lines[1] = '{"external_id": "b", "title": "x", "labels": ["a", "A"]}'
        answer = send(client, user, "\n".join(lines))
        assert [error["pointer"] for error in answer.json()["errors"]] == ["#/1/labels/1"]
        assert export(client, user).content == b""

    def test_null_of_a_member_that_is_always_set_is_422(self, client: httpx.Client, user: str) -> None:
        answer = send(client, user, '{"external_id": "a", "title": "x", "priority": null}')
        assert [error["pointer"] for error in answer.json()["errors"]] == ["#/0/priority"]

    def test_import_beyond_the_limit_is_409_and_none_is_imported(self, user: str, database_url: str) -> None:
        with running(create_app(settings_for(database_url, max_tasks=5))) as service:
            client = service.client(user)
            lines = [json.dumps({"external_id": str(n), "title": "x"}) for n in range(6)]
            answer = send(client, user, "\n".join(lines))
            assert (answer.status_code, answer.json()["type"]) == (409, "/problems/too-many-tasks")
            assert export(client, user).content == b""
            assert send(client, user, "\n".join(lines[:5])).json() == {"created": 5, "existing": 0}
            assert send(client, user, "\n".join(lines[:5])).json() == {"created": 0, "existing": 5}

    def test_imports_at_once_create_each_task_once(self, service: Service, user: str) -> None:
        lines = "\n".join(json.dumps({"external_id": str(n), "title": "x"}) for n in range(50))
        with ThreadPoolExecutor(8) as threads:
            results = list(threads.map(lambda _: send(service.client(user), user, lines).json(), range(8)))
        assert sum(result["created"] for result in results) == 50
        assert {result["created"] + result["existing"] for result in results} == {50}

    def test_imported_tasks_are_in_the_feed_of_changes(self, client: httpx.Client, user: str) -> None:
        since = client.get(f"{tasks(user)}/changes").json()["next_since"]
        lines = "\n".join(json.dumps({"external_id": str(n), "title": str(n)}) for n in range(25))
        send(client, user, lines)
        seen: list[str] = []
        while True:
            page = client.get(f"{tasks(user)}/changes", params={"since": since, "limit": 10}).json()
            seen += [task["title"] for task in page["changed"]]
            since = page["next_since"]
            if not page["has_more"]:
                break
        assert sorted(seen, key=int) == [str(n) for n in range(25)]

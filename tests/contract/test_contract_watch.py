"""ContractWatch fails on each broken promise, and reports each promise that no test has seen."""

import subprocess
import sys
from typing import Any

import httpx
import pytest
from todo_contract import models

from support import ROOT
from support.contract_watch import BrokenContractError, ContractWatch, Promise
from support.operations import CONTRACT, resolve
from support.optional_parts import OptionalParts
from support.waivers import MUTANT_WAIVERS, PART_WAIVERS, WAIVERS
from todo_api.tasks import queries

HEADERS = {
    "X-Request-ID": "x",
    "API-Version": CONTRACT.document["info"]["version"],
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "ETag": '"1"',
}
TASK: dict[str, Any] = {
    **resolve({"$ref": "#/components/examples/TaskExample"})["value"],
    "id": 1,
    "user_id": "a",
    "title": "x",
    "description": None,
    "completed": False,
    "created_at": "2026-11-22T09:30:00Z",
    "updated_at": "2026-11-22T09:30:00.123Z",
}
PAGE: dict[str, Any] = {"items": [TASK], "next_cursor": None}
NOT_FOUND = {
    "type": "/problems/task-not-found",
    "title": "Task not found",
    "status": 404,
    "detail": "x",
    "instance": "/requests/x",
    "request_id": "x",
}


@pytest.fixture
def watch() -> ContractWatch:
    return ContractWatch()


def observe(
    watch: ContractWatch, status: int, method: str = "GET", path: str = "/api/a/tasks/1", **response: Any
) -> None:
    headers = {**HEADERS, **response.pop("headers", {})}
    present = {name: value for name, value in headers.items() if value is not None}
    whole = httpx.Response(status, headers=present, **response)

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(status, headers=whole.headers, stream=httpx.ByteStream(whole.content))

    hooks = {"response": [watch.observe]}
    with httpx.Client(transport=httpx.MockTransport(answer), base_url="http://test", event_hooks=hooks) as client:
        client.request(method, path)


PROBLEM = {"Content-Type": "application/problem+json"}


def test_response_that_keeps_the_contract_passes(watch: ContractWatch) -> None:
    observe(watch, 200, json=TASK)
    observe(watch, 404, json=NOT_FOUND, headers=PROBLEM)
    observe(watch, 204, "DELETE")
    headers = {"", "the header X-Request-ID", "the header API-Version"}
    assert watch.seen == {
        *(("getTask", 200, part) for part in {*headers, "the header ETag", "application/json"}),
        *(("getTask", 404, part) for part in {*headers, "application/problem+json"}),
        *(("deleteTask", 204, part) for part in headers),
    }


def test_response_to_head_is_no_proof_of_get(watch: ContractWatch) -> None:
    observe(watch, 200, "HEAD", json=TASK)
    assert watch.seen == set()


@pytest.mark.parametrize(
    ("status", "response"),
    [
        (202, {"json": TASK}),
        (200, {"json": {**TASK, "id": "1"}}),
        (200, {"json": {**TASK, "created_at": "2026-11-22T09:30:00+00:00"}}),
        (200, {"json": {key: value for key, value in TASK.items() if key != "title"}}),
        (200, {"json": None}),
        (200, {"text": "x"}),
        (200, {"json": TASK, "headers": {"Content-Type": "text/json"}}),
        (200, {"json": TASK, "headers": {"X-Request-ID": None}}),
        (200, {"json": TASK, "headers": {"X-Request-ID": "a b"}}),
        (200, {"json": TASK, "headers": {"Cache-Control": None}}),
        (200, {"json": TASK, "headers": {"X-Content-Type-Options": None}}),
        (404, {"json": NOT_FOUND}),
        (404, {"json": {**NOT_FOUND, "type": "/problems/forbidden"}, "headers": PROBLEM}),
        (404, {"json": {**NOT_FOUND, "status": 403}, "headers": PROBLEM}),
        (404, {"json": {**NOT_FOUND, "request_id": "y"}, "headers": PROBLEM}),
        (503, {"json": {**NOT_FOUND, "type": "/problems/database-unavailable"}, "headers": PROBLEM}),
    ],
    ids=[
        "undocumented status",
        "wrong type of a member",
        "time with an offset",
        "missing member",
        "null",
        "text",
        "wrong media type",
        "no X-Request-ID",
        "invalid X-Request-ID",
        "no Cache-Control",
        "no X-Content-Type-Options",
        "problem as JSON",
        "problem of another status",
        "wrong status in the problem",
        "wrong instance",
        "title and status of another problem",
    ],
)
def test_response_that_breaks_the_contract_fails(watch: ContractWatch, status: int, response: dict[str, Any]) -> None:
    with pytest.raises(BrokenContractError):
        observe(watch, status, **response)
    # Otherwise it would break each mutant, too.
    assert (watch.seen, watch.recording.exchanges) == (set(), [])


def test_unknown_problem_type_outside_the_operations_fails(watch: ContractWatch) -> None:
    with pytest.raises(BrokenContractError):
        observe(watch, 404, path="/nowhere", json={**NOT_FOUND, "type": "/problems/unknown"}, headers=PROBLEM)


def test_clients_of_the_fixtures_are_watched(client: httpx.Client, user: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def get(*_: object) -> models.Task:
        return models.Task(**TASK).model_copy(update={"id": 0})

    monkeypatch.setattr(queries, "get", get)
    with pytest.raises(BrokenContractError, match="is less than the minimum"):
        client.get(f"/api/{user}/tasks/1")


class TestUnseen:
    def test_contract_promises_more_than_50_responses(self, watch: ContractWatch) -> None:
        assert len(watch.promised) > 50

    def test_nothing_is_reported_if_all_promises_are_seen(self, watch: ContractWatch) -> None:
        assert watch.unseen(watch.promised, {}) == []

    @staticmethod
    def without(watch: ContractWatch, operation: str, status: int) -> set[Promise]:
        return {each for each in watch.promised if each[:2] != (operation, status)}

    def test_response_that_was_never_seen_is_reported_without_its_parts(self, watch: ContractWatch) -> None:
        (line,) = watch.unseen(self.without(watch, "getTask", 503), {})
        assert line.startswith("getTask promises 503, and no test has seen it")

    @pytest.mark.parametrize("part", ["application/problem+json", "the header Retry-After"])
    def test_part_of_a_response_that_was_never_seen_is_reported(self, watch: ContractWatch, part: str) -> None:
        (line,) = watch.unseen(watch.promised - {("getTask", 503, part)}, {})
        assert line.startswith(f"getTask promises {part} of 503, and no test has seen it")

    def test_optional_header_is_no_promise_of_each_operation(self, watch: ContractWatch) -> None:
        assert ("listTasks", 200, "the header Link") not in watch.promised

    def test_waived_response_is_not_reported(self, watch: ContractWatch) -> None:
        assert watch.unseen(self.without(watch, "getTask", 503), {("getTask", 503): "because"}) == []

    @pytest.mark.parametrize("promise", [("getTask", 503), ("getTask", 418)], ids=["seen", "not promised"])
    def test_needless_waiver_is_reported(self, watch: ContractWatch, promise: tuple[str, int]) -> None:
        (line,) = watch.unseen(watch.promised, {promise: "because"})
        assert "is not needed: remove it" in line

    def test_every_waiver_has_a_reason(self) -> None:
        reasons = [*WAIVERS.values(), *PART_WAIVERS.values(), *MUTANT_WAIVERS.values()]
        assert reasons
        assert all(reasons)


def test_whole_run_fails_if_a_promise_was_not_seen() -> None:
    """The run is whole, but its only file calls no operation."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-n0",
        "-p",
        "no:cacheprovider",
        "-o",
        "testpaths=tests/service/test_settings.py",
    ]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == pytest.ExitCode.TESTS_FAILED, run.stdout
    assert "contract: getTask promises 404, and no test has seen it" in run.stdout


class TestOptionalParts:
    """What a response may lack: a test must have seen it once."""

    def test_parts_of_the_contract_are_its_optional_members_and_headers(self, watch: ContractWatch) -> None:
        assert set(watch.unseen_parts([], {})) >= {
            f"no test has seen {part}: add a test, or a waiver with its reason in tests/support/waivers.py"
            for part in (
                "the header Link of TaskPageResponse",
                "the header WWW-Authenticate of BadRequestResponse",
                "the header WWW-Authenticate of InvalidRequestResponse",
                "the member InputError.limit",
                "the member InputError.parameter",
                "the member InputError.pointer",
                "the member TaskPage.total",
            )
        }

    def test_response_with_an_optional_member_is_remembered(self) -> None:
        watch = ContractWatch()
        page: dict[str, Any] = {"items": [], "next_cursor": None}
        observe(watch, 200, path="/api/a/tasks", json=page)
        assert watch.parts == set()
        headers = {"Link": '</api/a/tasks>; rel="next"'}
        observe(watch, 200, path="/api/a/tasks", json={**page, "total": 1}, headers=headers)
        assert watch.parts == {"the member TaskPage.total", "the header Link of TaskPageResponse"}

    def test_needless_waiver_is_reported(self) -> None:
        waivers = {"the member TaskPage.total": "a reason", "the member Task.none": "a reason"}
        errors = ContractWatch().unseen_parts(["the member TaskPage.total"], waivers)
        assert errors[-2:] == [f"the waiver for {part} is not needed: remove it" for part in sorted(waivers)]

    def test_values_of_an_enum_are_parts(self) -> None:
        kind = {"enum": ["a", "b"]}
        schema = {"type": "object", "required": ["kind"], "properties": {"kind": kind}}
        response = {"content": {"application/json": {"schema": {"type": "array", "items": schema}}}}
        operation = {"operationId": "list", "responses": {"200": response}}
        parts = OptionalParts({"paths": {"/": {"get": operation}}})
        assert parts.promised() == {f"the value {value} of list 200 items.kind" for value in "ab"}
        assert {*parts.of(operation, "200", {}, [{"kind": "a"}], None)} == {"the value a of list 200 items.kind"}

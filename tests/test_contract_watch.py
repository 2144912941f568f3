"""The watch over the responses bites: each broken promise is seen, and each promise that was never seen is told."""

import subprocess
import sys
from typing import Any

import httpx
import pytest
from contract_watch import ROOT, BrokenContractError, ContractWatch
from todo_contract import models
from waivers import WAIVERS

from todo_api.tasks import queries

HEADERS = {
    "X-Request-ID": "x",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
TASK: dict[str, Any] = {
    "id": 1,
    "user_id": "a",
    "title": "x",
    "description": None,
    "completed": False,
    "created_at": "2026-11-22T09:30:00Z",
    "updated_at": "2026-11-22T09:30:00.123Z",
}
NOT_FOUND = {
    "type": "/problems/task-not-found",
    "title": "There is no such task",
    "status": 404,
    "detail": "x",
    "instance": "x",
}


@pytest.fixture(scope="module")
def watch() -> ContractWatch:
    return ContractWatch()


def observe(
    watch: ContractWatch, status: int, method: str = "GET", path: str = "/api/a/tasks/1", **response: Any
) -> None:
    headers = {**HEADERS, **response.pop("headers", {})}
    wanted = {name: value for name, value in headers.items() if value is not None}
    whole = httpx.Response(status, headers=wanted, **response)

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(status, headers=whole.headers, stream=httpx.ByteStream(whole.content))

    hooks = {"response": [watch.observe]}
    with httpx.Client(transport=httpx.MockTransport(answer), base_url="http://test", event_hooks=hooks) as client:
        client.request(method, path)


PROBLEM = {"Content-Type": "application/problem+json"}


def test_a_kept_contract_passes(watch: ContractWatch) -> None:
    observe(watch, 200, json=TASK)
    observe(watch, 404, json=NOT_FOUND, headers=PROBLEM)
    observe(watch, 204, "DELETE")
    assert {("getTask", 200), ("getTask", 404), ("deleteTask", 204)} <= watch.seen


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
        (404, {"json": {**NOT_FOUND, "instance": "y"}, "headers": PROBLEM}),
        (503, {"json": {**NOT_FOUND, "type": "/problems/database-unavailable"}, "headers": PROBLEM}),
    ],
)
def test_a_broken_one_does_not(watch: ContractWatch, status: int, response: dict[str, Any]) -> None:
    with pytest.raises(BrokenContractError):
        observe(watch, status, **response)


def test_a_stray_answer_must_be_a_known_problem(watch: ContractWatch) -> None:
    with pytest.raises(BrokenContractError):
        observe(watch, 404, path="/nowhere", json={**NOT_FOUND, "type": "/problems/unknown"}, headers=PROBLEM)


def test_the_clients_of_the_tests_are_watched(client: httpx.Client, user: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def get(*_: object) -> models.Task:
        return models.Task(**TASK).model_copy(update={"id": 0})

    monkeypatch.setattr(queries, "get", get)
    with pytest.raises(BrokenContractError, match="is less than the minimum"):
        client.get(f"/api/{user}/tasks/1")


class TestUnseen:
    @pytest.fixture
    def all_seen(self, watch: ContractWatch) -> set[tuple[str, int]]:
        return watch.promised

    def test_there_are_many_promises(self, watch: ContractWatch) -> None:
        assert len(watch.promised) > 50

    def test_all_seen_is_well(self, watch: ContractWatch) -> None:
        assert watch.unseen(watch.promised, {}) == []

    def test_one_that_was_never_seen_is_told(self, watch: ContractWatch) -> None:
        (told,) = watch.unseen(watch.promised - {("getTask", 503)}, {})
        assert told.startswith("getTask promises 503, and no test has seen it")

    def test_unless_it_is_waived(self, watch: ContractWatch) -> None:
        assert watch.unseen(watch.promised - {("getTask", 503)}, {("getTask", 503): "because"}) == []

    @pytest.mark.parametrize("promise", [("getTask", 503), ("getTask", 418)])
    def test_a_waiver_that_is_not_needed_is_told(self, watch: ContractWatch, promise: tuple[str, int]) -> None:
        (told,) = watch.unseen(watch.promised, {promise: "because"})
        assert "is not needed: remove it" in told

    def test_every_waiver_has_a_reason(self) -> None:
        assert all(WAIVERS.values())


def test_a_run_that_has_not_seen_all_fails() -> None:
    """The real run, but of a single file that sees nothing."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-n0",
        "-p",
        "no:cacheprovider",
        "-o",
        "testpaths=tests/test_settings.py",
    ]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == pytest.ExitCode.TESTS_FAILED, run.stdout
    assert "contract: getTask promises 404, and no test has seen it" in run.stdout

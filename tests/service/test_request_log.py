"""The log line of a request: operation, method and status."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from support.service import Service
from todo_api.logs import add_context

TASKS, TASK = "/api/{user_id}/tasks", "/api/{user_id}/tasks/{task_id}"
PREFLIGHT = {"Origin": "http://localhost:3000", "Access-Control-Request-Method": "GET"}

Line = dict[str, Any]

CASES: dict[str, tuple[str, str, dict[str, Any], Line]] = {
    "an operation": ("GET", "", {}, {"operation": "listTasks", "path": TASKS, "status": 200}),
    "a creation": ("POST", "", {"json": {"title": "x"}}, {"operation": "createTask", "path": TASKS, "status": 201}),
    "a HEAD": ("HEAD", "", {}, {"operation": "listTasks", "path": TASKS, "status": 200}),
    "a missing task": ("GET", "/1", {}, {"operation": "getTask", "path": TASK, "status": 404}),
    "an invalid body": ("PUT", "/1", {"json": {}}, {"operation": "updateTask", "path": TASK, "status": 422}),
    "an unknown path": ("GET", "/1/2/3", {}, {"operation": None, "path": None, "status": 404}),
    "an unknown method": ("PATCH", "", {}, {"operation": None, "status": 405}),
    "a HEAD of a path without GET": ("HEAD", "/1/complete", {}, {"operation": None, "status": 405}),
    "a preflight": ("OPTIONS", "", {"headers": PREFLIGHT}, {"operation": None, "path": None, "status": 200}),
    "OPTIONS without an origin": ("OPTIONS", "", {}, {"operation": None, "status": 405}),
    "no token": ("DELETE", "/1", {"headers": {"Authorization": ""}}, {"operation": "deleteTask", "status": 401}),
}


@pytest.mark.parametrize(("method", "path", "request_", "expected"), CASES.values(), ids=CASES)
def test_log_line_of_a_request_has_its_operation_method_and_status(
    service: Service, user: str, method: str, path: str, request_: dict[str, Any], expected: Line
) -> None:
    headers = {"X-Request-ID": user, **request_.get("headers", {})}
    with capture_logs(processors=[add_context]) as lines:
        answer = service.client(user).request(method, f"/api/{user}/tasks{path}", **{**request_, "headers": headers})
        # The line is written in the event loop step that ends the response, so before this next request is read.
        service.client().get("/health")
    (line,) = [line for line in lines if line["event"] == "request" and line["request_id"] == user]
    assert answer.status_code == expected["status"]
    assert line.items() >= {"level": "info", "method": method, **expected}.items()
    assert line["duration_ms"] > 0

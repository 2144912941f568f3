"""`Prefer: status=…` and `Prefer: example=…` on the service with the embedded database."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from fastapi_contract.contract import Operation
from support.contract_watch import ContractWatch
from support.operations import CONTRACT, OPERATIONS, resolve, tasks
from support.service import NO_TLS, Service, running, settings_for
from todo_api.app import create_app

LIST = CONTRACT.operations["listTasks"]
CREATE = CONTRACT.operations["createTask"]
ORIGIN = "http://localhost:3000"


@pytest.fixture(scope="module", params=[True, False], ids=["shortcut", "no-shortcut"])
def development(request: pytest.FixtureRequest, database_url: str) -> Iterator[Service]:
    settings = settings_for(database_url, allowed_origins=(ORIGIN,))
    with running(create_app(settings, shortcut=request.param, mode="development")) as service:
        yield service


@pytest.fixture
def watch() -> ContractWatch:
    """A watch of its own, because a preferred answer proves nothing about the service."""
    return ContractWatch()


@pytest.fixture
def client(development: Service, watch: ContractWatch) -> Iterator[httpx.Client]:
    """A client without a token."""
    hooks = {"response": [watch.observe]}
    with httpx.Client(base_url=development.url, event_hooks=hooks, verify=NO_TLS) as client:
        yield client


def url(operation: Operation) -> str:
    return operation.url(**dict.fromkeys(operation.template.names, "1"))


def contents() -> Iterator[tuple[Operation, int, str | None, str | None]]:
    """Yield each promised response: its operation, status, media type and the name of its example."""
    for operation in OPERATIONS:
        for status, response in operation.responses.items():
            if not response.get("content"):
                yield operation, int(status), None, None
            for media_type, media in response.get("content", {}).items():
                for name in media["examples"]:
                    yield operation, int(status), media_type, name


def test_each_promise_can_be_preferred(client: httpx.Client, watch: ContractWatch) -> None:
    for operation, status, media_type, name in contents():
        prefer = f"status={status}" if name is None else f"status={status}, example={name}"
        headers = {"Prefer": prefer, "Accept": str(media_type)}
        answer = client.request(operation.method, url(operation), headers=headers)
        assert (answer.status_code, answer.headers["Preference-Applied"]) == (status, prefer)
        is_choice = len(operation.responses[str(status)].get("content", {})) > 1
        assert ("Accept" in answer.headers["Vary"].split(", ")) == is_choice
        if name is not None:
            value: Any = resolve(operation.responses[str(status)]["content"][media_type]["examples"][name])["value"]
            given: Any = answer.json() if str(media_type).endswith("json") else answer.text
            expected = {**value, **{key: given[key] for key in ("instance", "request_id")}} if status >= 400 else value
            assert given == expected
    assert watch.promised == watch.seen


def test_preferred_answer_changes_nothing(client: httpx.Client, development: Service, user: str) -> None:
    answer = client.post(tasks(user), json={"title": "x"}, headers={"Prefer": "status=201"})
    assert answer.status_code == 201
    assert development.client(user).get(tasks(user)).json()["items"] == []


def test_page_of_another_origin_can_prefer_an_answer(client: httpx.Client, user: str) -> None:
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "prefer"}
    allowed = client.options(tasks(user), headers=asked)
    assert allowed.status_code == 200
    assert "Prefer" in allowed.headers["Access-Control-Allow-Headers"]
    answer = client.get(tasks(user), headers={"Origin": ORIGIN, "Prefer": "status=503"})
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (503, ORIGIN)
    assert "Retry-After" in answer.headers


@pytest.mark.parametrize(
    ("prefer", "status"),
    [
        pytest.param("status=503", 503, id="token"),
        pytest.param('STATUS = "503"', 503, id="quoted, capitals and spaces"),
        pytest.param("respond-async, status=503; a=b, wait=5", 503, id="between others"),
        pytest.param("status=503, status=404", 503, id="twice"),
        pytest.param("example=empty", 200, id="example without a status"),
    ],
)
def test_preference_is_read_as_rfc_7240_says(client: httpx.Client, user: str, prefer: str, status: int) -> None:
    assert client.get(tasks(user), headers={"Prefer": prefer}).status_code == status


def test_preferences_of_several_lines_are_read(client: httpx.Client, user: str) -> None:
    lines = [("Prefer", "return=minimal"), ("Prefer", "status=503")]
    assert client.get(tasks(user), headers=lines).status_code == 503


def test_preferred_head_has_no_body(client: httpx.Client, user: str) -> None:
    answer = client.head(tasks(user), headers={"Prefer": "status=200"})
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["Content-Length"]) > 0


@pytest.mark.parametrize(
    "prefer",
    [
        pytest.param("status=404", id="status of other operations"),
        pytest.param('status="２"', id="other digits"),
        pytest.param("status=", id="no value"),
        pytest.param("example=nothing", id="unknown example"),
        pytest.param("status=401, example=empty", id="example of another status"),
    ],
)
def test_answer_that_is_not_promised_is_rejected_with_those_that_are(
    client: httpx.Client, user: str, prefer: str
) -> None:
    answer = client.get(tasks(user), headers=[(b"Prefer", prefer.encode())])
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/invalid-request")
    detail = answer.json()["detail"]
    assert "of listTasks" in detail
    assert all(status in detail for status in LIST.responses)
    assert " empty" in detail


@pytest.mark.parametrize(
    "prefer", ["return=minimal", "wait=10", "", "statuses=1", "=", '"status=503"', 'x="status=503"']
)
def test_other_preferences_are_ignored(development: Service, user: str, prefer: str) -> None:
    answer = development.client(user).get(tasks(user), headers=[(b"Prefer", prefer.encode())])
    assert (answer.status_code, answer.json()["items"]) == (200, [])


def test_preference_for_a_path_that_is_no_operation_is_ignored(client: httpx.Client) -> None:
    assert client.get("/openapi.yaml", headers={"Prefer": "status=503"}).status_code == 200
    assert client.get("/nothing", headers={"Prefer": "status=503"}).status_code == 404


@pytest.mark.parametrize("shortcut", [True, False], ids=["shortcut", "no-shortcut"])
def test_production_rejects_a_preferred_answer_and_carries_nothing_out(
    database_url: str, user: str, watch: ContractWatch, shortcut: bool
) -> None:
    with running(create_app(settings_for(database_url), shortcut=shortcut)) as service:
        for prefer in ("status=503", "example=empty", "return=minimal, status=503"):
            answer = service.client(user).post(tasks(user), json={"title": "x"}, headers={"Prefer": prefer})
            assert (answer.status_code, answer.json()["type"]) == (400, "/problems/invalid-request")
            assert "Prefer" in answer.json()["detail"]
        assert service.client(user, Prefer="return=minimal").get(tasks(user)).json()["items"] == []

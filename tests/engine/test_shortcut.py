"""The shortcut returns the same response as FastAPI: each request is sent to a service with it and one without."""

import json
import re
from collections.abc import Iterator

import fastapi.routing
import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, RootModel, computed_field, field_serializer
from todo_contract import models

from fastapi_contract.answers import model_of, successes_of
from fastapi_contract.contract import Operation
from fastapi_contract.serializers import _needs_pydantic, serializer
from support.operations import CONTRACT, OF_TASKS, send
from support.service import Service, running, settings_for
from todo_api.app import create_app


@pytest.fixture(scope="module")
def with_shortcut(database_url: str) -> Iterator[Service]:
    """A service with the shortcut, even if the tests run with --no-shortcut."""
    with running(create_app(settings_for(database_url), shortcut=True)) as service:
        yield service


@pytest.fixture(scope="module")
def without_shortcut(database_url: str) -> Iterator[Service]:
    """The same service, with FastAPI alone."""
    with running(create_app(settings_for(database_url), shortcut=False)) as service:
        yield service


@pytest.fixture
def fastapi_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(**_: object) -> None:
        raise AssertionError("FastAPI answers")

    monkeypatch.setattr(fastapi.routing, "solve_dependencies", fail)


@pytest.mark.usefixtures("fastapi_fails")
@pytest.mark.parametrize("operation", OF_TASKS, ids=lambda operation: operation.id)
def test_valid_request_takes_the_shortcut(with_shortcut: Service, user: str, operation: Operation) -> None:
    client = with_shortcut.client(user)
    task = client.post(f"/api/{user}/tasks", json={"title": "x"}).json()
    assert send(client, operation, user, task["id"]).status_code == operation.successes[0]


@pytest.mark.usefixtures("fastapi_fails")
def test_app_without_the_shortcut_passes_requests_to_fastapi(without_shortcut: Service) -> None:
    assert httpx.get(f"{without_shortcut.url}/health").status_code == 500


METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
PATHS = [
    "/", "/health", "/health/ready", "/health/", "/nothing", "/api//tasks", "/api/USER/tasks",
    "/api/USER/tasks/TASK", "/api/USER/tasks/TASK/complete", "/api/USER/tasks/0", "/api/USER/tasks/+1",
    "/api/USER/tasks/9007199254740991", "/api/USER/tasks/x", "/api/USER/tasks/", "/api/USER/tasks/TASK/",
    "/api/USER/tasks/TASK/else", "/api/other/tasks", "/api/other/tasks/x", "/api/USER/tasks/TASK%2Fcomplete",
]  # fmt: skip
QUERIES = [
    "", "", "limit=1", "limit=0", "limit=x", "limit=1&limit=1", "completed=true&limit=2", "completed=yes", "offset=1",
    "offset=1&cursor=x", "cursor=AAAAAAAAAAAAAAAAAAAAAAAAAAA", "include_total=true", "unknown=1", "check=true",
    "check=maybe", "=", "&",
]  # fmt: skip
BODIES = [
    b"", b"{}", b"null", b"[]", b"{", b'{"title": "x"}', b'{"title": ""}', b'{"title": null}', b'{"title": 1, "a": 2}',
    b'{"completed": true}', b'{"completed": 1}', b'{"description": null}', b'{"title": "x", "title": "y"}', b"\xff",
    b'{"title": "x", "description": "y", "completed": false}',
]  # fmt: skip
HEADERS: list[dict[str, str]] = [
    {"Content-Type": "application/json"},
    {"Content-Type": "application/json"},
    {"Content-Type": "text/plain"},
    {},
    {"Content-Type": "application/json", "Origin": "http://localhost:3000"},
    {"Content-Type": "application/json", "Authorization": "Bearer x"},
    {"Content-Type": "application/json", "Authorization": ""},
]


@pytest.fixture(scope="module")
def both(with_shortcut: Service, without_shortcut: Service) -> list[httpx.Client]:
    return [server.client("shortcut") for server in (with_shortcut, without_shortcut)]


@given(st.sampled_from(METHODS), st.sampled_from(PATHS), st.sampled_from(QUERIES), st.sampled_from(BODIES),
       st.sampled_from(HEADERS))  # fmt: skip
@settings(derandomize=True, database=None, deadline=None, max_examples=400)
def test_random_request_gets_the_same_response_with_and_without_shortcut(
    both: list[httpx.Client], method: str, path: str, query: str, body: bytes, headers: dict[str, str]
) -> None:
    def answer(client: httpx.Client) -> object:
        task = client.post("/api/shortcut/tasks", json={"title": "x"}).json()["id"]
        url = path.replace("USER", "shortcut").replace("TASK", str(task)) + (f"?{query}" if query else "")
        response = client.request(method, url, content=body, headers=headers)
        client.delete(f"/api/shortcut/tasks/{task}")
        return _comparable(response)

    responses = [answer(client) for client in both]
    assert responses[0] == responses[1]


def _comparable(response: httpx.Response) -> object:
    """Return a response without its ids, times and cursors, which differ each time."""
    volatile = {"date", "x-request-id", "content-length", "location", "link"}
    values = sorted((name, value) for name, value in response.headers.multi_items() if name not in volatile)
    body = re.sub(r'"(id|instance|next_cursor|created_at|updated_at)":("[^"]*"|\d+)', r'"\1":0', response.text)
    return response.status_code, sorted(response.headers), values, body


class Renamed(BaseModel):
    id: int = Field(serialization_alias="number")


class Computed(BaseModel):
    id: int

    @computed_field
    def double(self) -> int:
        return 2 * self.id


class Rewritten(BaseModel):
    id: int

    @field_serializer("id")
    def as_text(self, value: int) -> str:
        return str(value)


class Hidden(BaseModel):
    id: int = Field(exclude=True)


class Sometimes(BaseModel):
    id: int = Field(exclude_if=lambda value: value == 1)


class Listed(RootModel[list[int]]):
    pass


class Open(BaseModel, extra="allow"):
    id: int


class Bytes(BaseModel):
    id: bytes


class TestSerializer:
    """orjson serializes a model only if its members are what pydantic would serialize."""

    @pytest.mark.parametrize("operation", CONTRACT.operations.values(), ids=lambda operation: operation.id)
    def test_model_of_the_contract_is_serialized_by_orjson(self, operation: Operation) -> None:
        for success in successes_of(CONTRACT, operation):
            model = model_of(CONTRACT, operation, success, models)
            assert model is None or not _needs_pydantic(model.__pydantic_core_schema__)

    @pytest.mark.parametrize(
        ("model", "serialized"),
        [
            (Renamed(id=1), {"number": 1}),
            (Computed(id=1), {"id": 1, "double": 2}),
            (Rewritten(id=1), {"id": "1"}),
            (Hidden(id=1), {}),
            (Sometimes(id=1), {}),
            (Listed([1]), [1]),
            (Open.model_validate({"id": 1, "more": 2}), {"id": 1, "more": 2}),
            (Bytes(id=b"1"), {"id": "1"}),
        ],
        ids=lambda value: type(value).__name__ if isinstance(value, BaseModel) else str(value),
    )
    def test_model_with_custom_serialization_is_serialized_by_pydantic(
        self, model: BaseModel, serialized: object
    ) -> None:
        assert json.loads(serializer(type(model))(model)) == serialized
        assert json.loads(serializer(list[type(model)])([model])) == [serialized]  # type: ignore[misc]

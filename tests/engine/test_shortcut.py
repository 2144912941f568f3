"""The shortcut returns the same response as FastAPI: each request is sent to a service with it and one without."""

import json
import re
from collections.abc import Iterator
from datetime import date
from typing import Any, Literal
from uuid import UUID

import fastapi.routing
import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import AwareDatetime, BaseModel, Field, RootModel, TypeAdapter, computed_field, field_serializer
from todo_contract import models

from fastapi_contract.contract import Operation
from fastapi_contract.responses.answers import is_json, model_of, successes_of
from fastapi_contract.responses.serializers import _needs_pydantic, serializer
from fastapi_contract.shortcut import Shortcut
from support.operations import CONTRACT, OPERATIONS, create_things, every_operation, resolve, send
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


async def fastapi_fails(**_: object) -> None:
    raise AssertionError("FastAPI answers")


@every_operation
def test_valid_request_takes_the_shortcut_if_its_route_is_compiled(
    with_shortcut: Service, without_shortcut: Service, monkeypatch: pytest.MonkeyPatch, user: str, operation: Operation
) -> None:
    things = create_things(without_shortcut.client(user), user)
    # Only now, because the operation that creates a thing may not be compiled.
    monkeypatch.setattr(fastapi.routing, "solve_dependencies", fastapi_fails)
    app = without_shortcut.app
    assert app.middleware_stack is not None
    is_compiled = operation.id in Shortcut(app.middleware_stack, app).operations
    answer = send(with_shortcut.client(user), operation, user, things)
    assert (answer.status_code in operation.successes) is is_compiled


def test_app_without_the_shortcut_passes_requests_to_fastapi(
    without_shortcut: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fastapi.routing, "solve_dependencies", fastapi_fails)
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
    """Return a response without its ids, times, cursors and entity tag, which differ each time."""
    volatile = {"date", "x-request-id", "content-length", "location", "link", "etag"}
    values = sorted((name, value) for name, value in response.headers.multi_items() if name not in volatile)
    body = re.sub(
        r'"(id|instance|request_id|next_cursor|created_at|updated_at)":("[^"]*"|\d+)', r'"\1":0', response.text
    )
    return response.status_code, sorted(response.headers), values, body


class Plain(BaseModel):
    is_open: bool
    kind: Literal["a", "b"]
    day: date
    at: AwareDatetime
    id: UUID
    texts: list[str]
    number: int | None = None


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


EXAMPLES = [
    pytest.param(model_of(CONTRACT, operation, success, models), resolve(example)["value"], id=success.class_name)
    for operation in OPERATIONS
    for success in successes_of(CONTRACT, operation)
    if success.media_type and is_json(success.media_type)
    for example in operation.responses[str(success.status)]["content"][success.media_type]["examples"].values()
]


class TestSerializer:
    """orjson serializes a model only if its members are what pydantic would serialize."""

    @pytest.mark.parametrize(("model", "example"), EXAMPLES)
    def test_example_of_the_contract_is_serialized_as_it_is_written(self, model: Any, example: object) -> None:
        answer = TypeAdapter(model).validate_json(json.dumps(example))
        assert json.loads(serializer(model)(answer)) == example

    def test_model_without_custom_serialization_is_serialized_by_orjson(self) -> None:
        assert not _needs_pydantic(Plain.__pydantic_core_schema__)
        made = Plain(is_open=True, kind="a", day="2026-12-31", at="2026-12-31T10:30:00+01:00", id=UUID(int=1), texts=[])  # type: ignore[arg-type]
        assert serializer(Plain)(made) == made.model_dump_json().encode()

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

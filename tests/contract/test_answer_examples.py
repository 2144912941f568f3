"""Each example of an answer equals an answer that a request causes: a frontend can be built on the examples alone.

Ids, times, cursors and users differ each time, so their order is compared instead of their values.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest

from fastapi_contract.contract import Operation
from support.answer_causes import CAUSES, LIST, Scene, value
from support.operations import OPERATIONS, resolve
from support.service import Service, running, settings_for
from todo_api.app import create_app
from todo_api.database.session import Session

GROUPS = {
    "id": "id",
    "user_id": "user",
    "external_id": "external id",
    "created_at": "time",
    "updated_at": "time",
    "next_cursor": "cursor",
    "deleted": "id",
    "next_since": "token",
    "request_id": "request",
}
"""The members that differ each time, and the group in which the order of their values is compared."""


WAIVERS = {
    "TooManyRequestsExample": "test_rate_limits.py compares it, because health checks are never limited.",
    "getServiceInfo page": "It is abridged; test_home_page.py compares it with the page.",
}


def examples() -> Iterator[tuple[Operation, int, str]]:
    """Yield each example of each operation: the status of its answer, and the name of its component."""
    for operation in OPERATIONS:
        for status, response in operation.responses.items():
            for media in response.get("content", {}).values():
                for name, example in media.get("examples", {}).items():
                    yield operation, int(status), example.get("$ref", f"{operation.id} {name}").rpartition("/")[2]


def can_cause(operation: Operation, name: str) -> bool:
    """Return whether the operation has what the example is about: responses are shared by operations."""
    if name == "InvalidParameterExample":
        return operation is LIST
    content = resolve(operation.spec.get("requestBody", {})).get("content", {})
    if name == "InvalidBodyExample":
        members: dict[str, Any] = resolve(content.get("application/json", {}).get("schema", {})).get("properties", {})
        return "title" in members
    if name in {"UnsupportedMediaTypeExample", "MalformedBodyExample"}:
        return list(content) == ["application/json"]
    if name == "ContentTooLargeExample":
        return "x-max-bytes" not in resolve(operation.spec["requestBody"])
    return name in CAUSES


VARYING = re.compile(r"todo-api:[^:]+:[0-9]+|[0-9T:-]{15,}([.][0-9]+)?Z")
"""What differs each time in a text: ids and times."""


def comparable(body: Any, ranks: dict[str, list[Any]] | None = None) -> Any:
    """Return a body with each value that differs each time replaced by its type and its rank in the body."""
    if ranks is None:
        found = defaultdict(set)
        for name, each in _members(body):
            found[GROUPS[name]].add(each)
        ranks = {group: sorted(each) for group, each in found.items()}
    if isinstance(body, str) and "\r\n" in body:
        # A line of a calendar that is too long continues after a space.
        return VARYING.sub("", body.replace("\r\n ", ""))
    if isinstance(body, list):
        return [comparable(each, ranks) for each in body]
    if not isinstance(body, dict):
        return body
    compared = {
        name: comparable(each, ranks) if not varies(name, each)
        else [(type(one), ranks[GROUPS[name]].index(one)) for one in each] if isinstance(each, list)
        else (type(each), ranks[GROUPS[name]].index(each))
        for name, each in body.items()
    }  # fmt: skip
    if "instance" in body:
        compared["instance"] = body["instance"].replace(body["request_id"], "")
    return compared


def varies(name: Any, value: Any) -> bool:
    """Return whether a member differs each time. The id of a command is the client's."""
    return name in GROUPS and value is not None and not (name == "id" and isinstance(value, str))


def _members(body: Any) -> Iterator[tuple[Any, Any]]:
    for name, each in body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ():
        if varies(name, each):
            yield from ((name, one) for one in each) if isinstance(each, list) else [(name, each)]
        yield from _members(each)


@pytest.fixture(scope="module")
def unavailable() -> Iterator[Service]:
    """A service whose database and issuer cannot be reached: no server listens on port 1."""
    settings = settings_for(
        "postgresql://127.0.0.1:1/unused", database_wait_timeout=0.1, better_auth_jwks_url="http://127.0.0.1:1/jwks"
    )
    with running(create_app(settings)) as service:
        yield service


@pytest.fixture(scope="module")
def strict(database_url: str) -> Iterator[Service]:
    """A service that requires If-Match."""
    with running(create_app(settings_for(database_url, require_if_match=True))) as service:
        yield service


SERVICES = {503: "unavailable", 428: "strict"}


@pytest.mark.parametrize(
    ("operation", "status", "name"),
    [pytest.param(*each, id=f"{each[0].id} {each[1]} {each[2]}") for each in examples() if can_cause(each[0], each[2])],
)
def test_example_of_an_answer_equals_an_answer(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    user: str,
    database_url: str,
    operation: Operation,
    status: int,
    name: str,
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise RuntimeError

    if status == 500:
        monkeypatch.setattr(Session, "fetch_one", fail)
        monkeypatch.setattr(Session, "fetch_all", fail)
    service: Service = request.getfixturevalue(SERVICES.get(status, "service"))

    answer = CAUSES[name](Scene(service, user, database_url), operation)

    # A stream of one item is its JSON.
    body = answer.json() if answer.headers["Content-Type"].endswith("json") else answer.text
    assert (answer.status_code, comparable(body)) == (status, comparable(value(name)))


def test_each_example_of_an_answer_has_a_cause() -> None:
    caused = {name for operation, _, name in examples() if can_cause(operation, name)}
    left = {name for _, _, name in examples()} - caused - WAIVERS.keys()
    assert not left, (
        "Add a request that causes an equal answer to CAUSES in tests/support/answer_causes.py, or a reason to WAIVERS."
    )
    assert caused == CAUSES.keys()


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"owner": "a"}, id="member"),
        pytest.param({"title": "x"}, id="value"),
        pytest.param({"description": None}, id="null"),
        pytest.param({"id": "42"}, id="type of an id"),
        pytest.param({"updated_at": "2027-01-01T00:00:00Z"}, id="order of times"),
    ],
)
def test_example_with_another_part_differs(change: dict[str, Any]) -> None:
    assert comparable({**value("TaskExample"), **change}) != comparable(value("TaskExample"))

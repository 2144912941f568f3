"""Limits on the query, the media type and the body. protocol/test_protocol_limits.py has those on headers."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from fastapi_contract.contract import Operation
from fastapi_contract.validation.bodies import MAX_BODY
from fastapi_contract.validation.input_errors import MAX_ERRORS
from fastapi_contract.validation.parameters import MAX_QUERY
from fastapi_contract.validation.strict_json import MAX_DEPTH, MAX_OBJECTS, MAX_VALUES, StrictJSONError, loads
from support.operations import WITH_BODY, Form, every_operation, owned, request_of, resolve, send, with_body
from support.raw import connect
from support.schema_values import wrong
from support.service import Service, running, settings_for
from todo_api.app import create_app

JSON = {"Content-Type": "application/json"}
OBJECTS = [
    pytest.param(form, schema, id=form.id)
    for form in WITH_BODY
    if form.media_type == "application/json"
    for schema in [resolve(form.media["schema"])]
    if schema.get("type") == "object" and schema.get("additionalProperties") is False
]

with_closed_object = pytest.mark.parametrize(("form", "schema"), OBJECTS)


@pytest.fixture(scope="module")
def without_shortcut(database_url: str) -> Iterator[Service]:
    with running(create_app(settings_for(database_url), shortcut=False)) as service:
        yield service


@pytest.fixture(params=["shortcut", "no shortcut"])
def either(request: pytest.FixtureRequest) -> Service:
    name = "service" if request.param == "shortcut" else "without_shortcut"
    service: Service = request.getfixturevalue(name)
    return service


# --- the query


@every_operation
def test_query_over_4_kib_is_414(either: Service, user: str, operation: Operation) -> None:
    response = send(either.client(user), operation, user, params="x" * MAX_QUERY)  # httpx adds "="
    assert (response.status_code, response.json()["type"]) == (414, "/problems/uri-too-long")


@every_operation
def test_query_of_4_kib_is_read(either: Service, user: str, operation: Operation) -> None:
    response = send(either.client(user), operation, user, params="x" * (MAX_QUERY - 1))
    assert (response.status_code, response.json()["errors"][0]["parameter"]) == (422, "x" * 255)


@owned
def test_401_and_403_come_before_414(either: Service, user: str, operation: Operation) -> None:
    query: dict[str, Any] = {"params": "x" * MAX_QUERY}
    assert send(either.client(), operation, user, **query).status_code == 401
    assert send(either.client(user), operation, "another", **query).status_code == 403


def test_errors_of_unknown_parameters_are_limited_to_100(either: Service) -> None:
    query = "&".join(f"{number:x}" for number in range(900))
    problem = either.client().get(f"/health?{query}").json()
    assert [error["parameter"] for error in problem["errors"]] == [f"{number:x}" for number in range(MAX_ERRORS)]
    assert problem["detail"] == "The input does not fit the contract in more than 100 places. See errors."


# --- the body


@with_body
def test_declared_body_over_its_limit_is_413_before_it_is_read(either: Service, user: str, form: Form) -> None:
    url = request_of(either.client(user), form, user).url.raw_path.decode()
    head = (
        f"{form.operation.method} {url} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {either.token(user)}\r\n"
        f"Content-Type: {form.media_type}\r\nContent-Length: {form.limit + 1}\r\n\r\n"
    )
    with connect(either.url) as connection:
        connection.sendall(head.encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")


@with_closed_object
def test_declared_body_of_its_limit_is_read(either: Service, user: str, form: Form, schema: Any) -> None:
    response = send(either.client(user), form, user, content=b"{" + b" " * (form.limit - 1), headers=JSON)
    assert response.status_code == 400


@with_closed_object
def test_null_body_is_422_and_is_not_reported_as_missing(either: Service, user: str, form: Form, schema: Any) -> None:
    problem = send(either.client(user), form, user, content=b"null", headers=JSON).json()
    assert problem["errors"] == [{"code": "type", "detail": "Must be an object.", "pointer": "#"}]


def unknown(count: int, value: str = "1") -> str:
    return ",".join(f'"{number:x}":{value}' for number in range(count))


@with_closed_object
@pytest.mark.parametrize("count", [1, 99, 100, 101, 4900])
@pytest.mark.parametrize("place", ["before", "after"])
def test_unknown_members_do_not_displace_the_errors_of_known_ones(
    either: Service, user: str, form: Form, schema: Any, count: int, place: str
) -> None:
    name, member = next(iter(schema["properties"].items()))
    known = next(f'"{name}":{json.dumps(each.value)}' for each in wrong(member, resolve) if not each.path)
    parts = [unknown(count), known] if place == "before" else [known, unknown(count)]
    body = "{" + ",".join(parts) + "}"
    problem = send(either.client(user), form, user, content=body, headers=JSON).json()
    errors = problem["errors"]
    pointers = [error["pointer"] for error in errors if error["code"] == "unknown_member"]
    others = [error["pointer"] for error in errors if error["code"] != "unknown_member"]
    assert set(others) == {f"#/{each}" for each in (name, *schema.get("required", ()))}
    assert pointers == [f"#/{number:x}" for number in range(min(count, MAX_ERRORS - len(others)))]
    number = count + len(others) if count + len(others) <= MAX_ERRORS else "more than 100"
    assert problem["detail"].endswith(f" in {number} places. See errors.")


@pytest.mark.parametrize(
    ("count", "status"), [(MAX_VALUES, 422), (MAX_VALUES + 2, 400)], ids=["5000 values", "5002 values"]
)
def test_body_with_more_than_5000_values_is_400(either: Service, user: str, count: int, status: int) -> None:
    body = b'{"title": "a, b", "x": [%s]}' % b",".join([b"1"] * count)
    url = f"/api/{user}/tasks"
    assert either.client(user).post(url, content=body, headers=JSON).status_code == status


def test_commas_in_a_string_do_not_count_as_values() -> None:
    text = '{"a": "%s"}' % (',\\",' * MAX_VALUES)
    assert loads(text.encode()) == json.loads(text)


@pytest.mark.parametrize(
    ("document", "depth"),
    [("[]", 1), ('["]]]"]', 1), ('["[[["]', 1), ('["\\"[[["]', 1), ('{"a":[{"b":[1]},[]]}', 4)],
    ids=["array", "closing text", "opening text", "quote in text", "mixed"],
)
def test_depth_is_that_of_the_brackets_outside_text(document: str, depth: int) -> None:
    levels = MAX_DEPTH - depth
    text = "[" * levels + document + "]" * levels
    assert loads(text.encode()) == json.loads(text)
    with pytest.raises(StrictJSONError, match="nested too deeply"):
        loads(f"[{text}]".encode())


@pytest.mark.parametrize(
    ("count", "status"), [(MAX_OBJECTS - 1, 422), (MAX_OBJECTS, 400)], ids=["1000 objects", "1001 objects"]
)
def test_body_with_more_than_1000_objects_is_400(either: Service, user: str, count: int, status: int) -> None:
    body = b'{"title":[' + b",".join([b"{}"] * count) + b"]}"
    response = either.client(user).post(f"/api/{user}/tasks", content=body, headers=JSON)
    assert response.status_code == status
    assert status == 422 or response.json()["detail"].endswith("more than 1000 objects.")


@pytest.mark.parametrize(
    "media_type",
    ['application/json; x="a;b\\""', "application/json;;", "APPLICATION/JSON;charset=utf8"],
    ids=["quoted parameter", "empty parameters", "upper case"],
)
def test_parameters_of_the_media_type_do_not_change_the_errors(either: Service, user: str, media_type: str) -> None:
    answer = either.client(user).post(
        f"/api/{user}/tasks", content=b'{"title":""}', headers={"Content-Type": media_type}
    )
    assert answer.json()["errors"] == [
        {"code": "too_short", "detail": "Must have at least 1 character.", "limit": 1, "pointer": "#/title"}
    ]


def test_braces_in_a_string_do_not_count_as_objects(client: httpx.Client, user: str) -> None:
    assert client.post(f"/api/{user}/tasks", json={"title": "x", "description": "{" * 2000}).status_code == 201


@pytest.mark.parametrize(
    ("name", "pointer"),
    [
        ("a" * 1500, "#/" + "a" * 998),
        ("\u4e00" * 300, "#/" + "%E4%B8%80" * 80),
        ("a\u4e00" * 300, "#/" + "a%E4%B8%80" * 60),
        ("~/" * 700, "#/" + ("~0~1" * 250)[:998]),
        ("<" * 300, "#/" + "%3C" * 240),
        ("\u4e00" * 80, "#/" + "%E4%B8%80" * 80),
    ],
    ids=["ASCII", "not ASCII", "mixed", "escapes", "percent-encoded ASCII", "not too long"],
)
def test_pointer_to_a_long_name_is_shortened(client: httpx.Client, user: str, name: str, pointer: str) -> None:
    response = client.post(f"/api/{user}/tasks", content=json.dumps({name: 1, "title": "x"}), headers=JSON)
    assert [error["pointer"] for error in response.json()["errors"]] == [pointer]


# --- CPU cost


def filled(item: Callable[[int], str], frame: str) -> bytes:
    """Return a body of just under 64 KiB: `frame` with `*` replaced by `item(0)`, `item(1)`, ..."""
    items: list[str] = []
    size = len(frame)
    while size + len(each := item(len(items)).encode()) + 1 < MAX_BODY:
        items.append(each.decode())
        size += len(each) + 1
    return frame.replace("*", ",".join(items)).encode()


BODIES = {
    "unknown members": filled(lambda n: f'"{n:x}":1', "{*}"),
    "unknown members, escaped": filled(lambda n: f'"\\u{n + 0x4000:04x}":1', "{*}"),
    "unknown members, long names": filled(lambda n: f'"{n:x}{"~/" * 300}":1', "{*}"),
    "unknown members, long names in two scripts": filled(lambda n: f'"{n}' + "a\u4e00~<" * 90 + '":1', "{*}"),
    "unknown members, long names beyond ASCII": filled(lambda n: '"' + chr(0x4E00 + n) * 215 + '":1', "{*}"),
    "one long name": b'{"%s":1}' % (b"a" * (MAX_BODY - 6)),
    "one name many times": filled(lambda n: '"a":1', "{*}"),
    "an array of objects": filled(lambda n: "{}", "[*]"),
    "an array of small objects as the title": filled(lambda n: '{"a":1}', '{"title":[*]}'),
    "an array of numbers": filled(lambda n: "1", "[*]"),
    "an array of fractions": filled(lambda n: "1.5", "[*]"),
    "an array of exponents": filled(lambda n: "1e9", "[*]"),
    "numbers of 4,300 digits": filled(lambda n: "9" * 4300, "[*]"),
    "digits": b'{"title":' + b"9" * (MAX_BODY - 10) + b"}",
    "deep arrays": b"[" * MAX_BODY,
    "deep objects": b'{"a":' * (MAX_BODY // 5),
    "a title of spaces": b'{"title":"%s"}' % (b" " * (MAX_BODY - 12)),
    "a title of escapes": b'{"title":"%s"}' % (b"\\u0041" * (MAX_BODY // 6 - 2)),
    "a blank title with NUL": b'{"title":"%s\\u0000"}' % (b" " * 199),
    "a long description": b'{"title":"x","description":"%s"}' % (b"x" * (MAX_BODY - 32)),
    "white space": b" " * MAX_BODY,
}
QUERIES = {
    "unknown parameters": "&".join(f"{n:x}" for n in range(4096))[:MAX_QUERY],
    "separators": "&" * MAX_QUERY + "x",
    "an escaped name": ("%ff" * MAX_QUERY)[:MAX_QUERY],
    "one parameter many times": ("limit=1&" * MAX_QUERY)[:MAX_QUERY],
    "8 KiB": "x" * 8192,
}
MEDIA_TYPES = {
    "parameters": "application/json" + ";a=b" * 8000,
    "separators": "application/json" + " ;" * 16000 + "!",
    "white space": "application/json" + " " * 32000 + "!",
    "an open quotation": 'application/json;a="' + "\\a" * 16000,
}


def cost(app: FastAPI, token: str, body: bytes, query: str = "", media_type: str = "application/json") -> float:
    """Return the CPU time of a rejected createTask in milliseconds: the minimum of five."""
    assert app.middleware_stack is not None
    scope: dict[str, Any] = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http", "method": "POST",
        "path": "/api/cost/tasks", "raw_path": b"/api/cost/tasks", "query_string": query.encode(), "root_path": "",
        "headers": [
            (b"host", b"x"), (b"authorization", b"Bearer " + token.encode()), (b"content-type", media_type.encode()),
        ],
    }  # fmt: skip
    statuses = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    async def measure() -> float:
        times = []
        for _ in range(5):
            start = time.thread_time()
            await app.middleware_stack({**scope}, receive, send)  # type: ignore[misc]
            times.append(time.thread_time() - start)
        return min(times) * 1000

    spent = asyncio.run(measure())
    assert all(400 <= status < 500 for status in statuses), statuses
    return spent


def test_cost_of_rejected_requests_is_printed(
    service: Service, without_shortcut: Service, record_property: Callable[[str, object], None]
) -> None:
    token = service.token("cost")
    kinds: dict[str, dict[str, Any]] = {
        **{f"body of {name}": {"body": body} for name, body in BODIES.items()},
        **{f"query of {name}": {"body": b"{", "query": query} for name, query in QUERIES.items()},
        **{f"media type with {name}": {"body": b"{}", "media_type": each} for name, each in MEDIA_TYPES.items()},
    }
    for name, kind in kinds.items():
        figures = [cost(each.app, token, **kind) for each in (service, without_shortcut)]
        record_property(f"rejected {name}", "{:.2f} ms, without the shortcut {:.2f}".format(*figures))

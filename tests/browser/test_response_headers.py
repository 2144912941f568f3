"""A page of another origin, in a real browser, reads and sends each header of the contract.

Everything is derived from the contract: an operation or a header that is added to it is tested as well.
"""

import json
from collections.abc import Iterator
from itertools import product
from typing import Any
from urllib.parse import parse_qsl, urlencode

import httpx
import pytest
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from fastapi_contract.contract import Operation
from fastapi_contract.middleware.request_context import RequestContext
from support.chromium import Chromium
from support.operations import (
    CONTRACT,
    OPERATIONS,
    SECURED,
    create_things,
    forms,
    path_of,
    request_of,
    resolve,
)
from support.service import Service, running, settings_for
from todo_api.app import create_app

FETCH = "tests/browser/fetch.mjs"
TRACING = ["traceparent", "tracestate", "baggage", "sentry-trace"]
"""The headers that Sentry and OpenTelemetry add to each request of a page."""
WITHOUT_BODY = (204, 304)

Call = dict[str, Any]
Answer = dict[str, Any]


def headers_of(operation: Operation, status: str) -> dict[str, Any]:
    """The headers of one response in the contract, by name in lower case."""
    return {name.lower(): resolve(each) for name, each in operation.responses[status].get("headers", {}).items()}


PROMISED = [(operation, status) for operation in OPERATIONS for status in operation.responses]
HEADERS = {name for operation, status in PROMISED for name in headers_of(operation, status)}
DEPRECATION = {"deprecation", "sunset", "link"} if any(operation.is_deprecated for operation in OPERATIONS) else set()


async def answer_with_example(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the status and the headers of the response that the query names, and the names of the headers that
    the request has."""
    query = dict(parse_qsl(scope["query_string"].decode()))
    documented = headers_of(CONTRACT.operations[query["operation"]], query["status"])
    headers = {name: str(header.get("example", "x")) for name, header in documented.items()}
    answer = JSONResponse([name.decode() for name, _ in scope["headers"]], int(query["status"]), headers)
    if answer.status_code in WITHOUT_BODY:
        answer.body = b""
        del answer.headers["Content-Length"]
    await answer(scope, receive, send)


@pytest.fixture(scope="module")
def origin(page_port: int) -> str:
    return f"http://localhost:{page_port}"


@pytest.fixture(scope="module")
def other_origin(page_port: int) -> str:
    return f"http://127.0.0.1:{page_port}"


@pytest.fixture(scope="module")
def open_service(database_url: str, origin: str) -> Iterator[Service]:
    with running(create_app(settings_for(database_url, allowed_origins=(origin,)))) as service:
        yield service


@pytest.fixture(scope="module")
def examples(database_url: str, origin: str) -> Iterator[Service]:
    """The service, with `answer_with_example` behind its CORS, because tests cannot cause each response."""
    # Without a limit, whose layer would be around the inner app.
    app = create_app(settings_for(database_url, allowed_origins=(origin,), rate_limit_address=0))
    context: ASGIApp | None = app.middleware_stack
    assert isinstance(context, RequestContext)
    context.app = answer_with_example
    with running(app) as service:
        yield service


def example_call(service: Service, operation: Operation, status: str, **others: Any) -> Call:
    query = urlencode({"operation": operation.id, "status": status})
    return {"method": operation.method, "url": f"{service.url}{path_of(operation, user_id='a')}?{query}", **others}


def real_calls(service: Service, user: str) -> Iterator[tuple[int, Call]]:
    """Calls of each operation in each form, and those that are rejected, with their statuses."""
    client = service.client(user)
    for form in [form for operation in OPERATIONS for form in forms(operation)]:
        operation, things = form.operation, create_things(client, user)
        request = request_of(client, form, user, things)
        # A page of one thing has a link to the next page.
        if any(each["name"] == "limit" for each in operation.parameters):
            request.url = request.url.copy_merge_params({"limit": 1})
        yield operation.successes[0], real_call(request)
        yield 422, real_call(request_of(client, form, user, things, params={"unknown": 1}))
        if operation in SECURED:
            yield 401, real_call(request_of(client, form, user, things, headers={"Authorization": "Bearer x"}))


def real_call(request: httpx.Request) -> Call:
    """The same request from a page, which cannot send all headers of httpx."""
    headers = {name: request.headers[name] for name in CONTRACT.request_headers if name in request.headers}
    body = {"body": request.content.decode()} if request.content else {}
    return {"method": request.method, "url": str(request.url), "headers": headers, **body}


def test_page_reads_each_contract_header_of_real_answers(
    chromium: Chromium, open_service: Service, origin: str, user: str
) -> None:
    statuses, calls = zip(*real_calls(open_service, user), strict=True)

    answers = chromium.run(FETCH, {"url": origin, "calls": calls})

    assert [answer.get("status") for answer in answers] == list(statuses)
    read: set[str] = set()
    for call, answer in zip(calls, answers, strict=True):
        expected = {name: text for name, text in answer["received"].items() if name in HEADERS | DEPRECATION}
        assert expected.items() <= answer["headers"].items(), (call["method"], call["url"])
        read |= expected.keys()
    assert DEPRECATION | {"api-version", "link", "location", "www-authenticate", "x-request-id"} <= read


def test_page_reads_each_header_that_the_contract_promises(chromium: Chromium, examples: Service, origin: str) -> None:
    calls = [example_call(examples, operation, status) for operation, status in PROMISED]

    answers = chromium.run(FETCH, {"url": origin, "calls": calls})

    unread = {
        f"{operation.id} {status}: {name}"
        for (operation, status), answer in zip(PROMISED, answers, strict=True)
        for name in headers_of(operation, status)
        if name not in answer.get("headers", {})
    }
    assert unread == set()
    assert [str(answer["status"]) for answer in answers] == [status for _, status in PROMISED]


def test_page_sends_each_header_with_each_method(chromium: Chromium, examples: Service, origin: str) -> None:
    """A preflight asks for each, because each pair has a URL of its own."""
    by_method = {operation.method: operation for operation in OPERATIONS}
    assert by_method.keys() == {*CONTRACT.methods}
    sent = [
        ([name], example_call(examples, operation, "200" if "200" in operation.responses else "422"))
        for operation, name in product(by_method.values(), [*CONTRACT.request_headers, *TRACING])
    ]
    sent += [([*CONTRACT.request_headers, *TRACING], call) for _, call in sent[:: len(sent) // len(by_method)]]
    calls = [
        # Any value, but for one that makes a media type.
        {**call, "url": f"{call['url']}&number={number}", "headers": dict.fromkeys(names, "application/json")}
        for number, (names, call) in enumerate(sent)
    ]

    answers = chromium.run(FETCH, {"url": origin, "calls": calls})

    for (names, call), answer in zip(sent, answers, strict=True):
        assert "error" not in answer, (call["method"], names)
        assert {name.lower() for name in names} <= {*json.loads(answer["text"])}


@pytest.mark.parametrize("rejected", [{"headers": {"X-Other": "x"}}, {"method": "SEARCH"}], ids=["header", "method"])
def test_page_sends_no_other_header_or_method(
    chromium: Chromium, examples: Service, origin: str, rejected: Call
) -> None:
    call = example_call(examples, CONTRACT.operations["getServiceInfo"], "200")

    accepted, other = chromium.run(FETCH, {"url": origin, "calls": [call, {**call, **rejected}]})

    assert (accepted["status"], other["error"]) == (200, "TypeError")


def test_page_of_an_origin_that_is_not_allowed_reads_nothing(
    chromium: Chromium, open_service: Service, examples: Service, origin: str, other_origin: str, user: str
) -> None:
    calls = [example_call(examples, operation, status) for operation, status in PROMISED]
    calls += [call for _, call in real_calls(open_service, user)]
    # Simple requests, whose answers the browser gets: it must not show them.
    opaque = [{**call, "mode": "no-cors"} for call in calls if call["method"] == "GET"]

    answers = chromium.run(FETCH, {"url": other_origin, "calls": calls + opaque})

    assert [answer.get("error") for answer in answers[: len(calls)]] == ["TypeError"] * len(calls)
    assert [(each["status"], each["headers"], each["text"]) for each in answers[len(calls) :]] == [(0, {}, "")] * len(
        opaque
    )

"""Streams of items: NDJSON and server-sent events, how they end, and how they are cut off."""

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from fastapi_contract.application import contract_app
from fastapi_contract.contract import Contract
from fastapi_contract.router import ContractRouter
from support.contract_watch import BrokenContractError, ContractWatch
from support.service import running

TIMEOUT = 30

CONTRACT = """
openapi: 3.1.0
info: {title: Streams, version: 1.0.0}
paths:
  /lines:
    get:
      operationId: listLines
      responses:
        "200":
          description: Lines
          headers: {X-Total: {schema: {type: string}}}
          content: {application/x-ndjson: {schema: {$ref: "#/components/schemas/Line"}}}
  /events:
    get:
      operationId: watchLines
      responses:
        "200": {description: Events, content: {text/event-stream: {schema: {$ref: "#/components/schemas/Line"}}}}
  /endless:
    get:
      operationId: watchEndlessly
      responses:
        "200": {description: Events, content: {text/event-stream: {schema: {$ref: "#/components/schemas/Line"}}}}
  /broken:
    get:
      operationId: watchBroken
      responses:
        "200": {description: Numbers, content: {application/x-ndjson: {schema: {type: integer}}}}
  /invalid:
    get:
      operationId: watchInvalid
      responses:
        "200": {description: Numbers, content: {application/x-ndjson: {schema: {type: integer, maximum: 1}}}}
components:
  schemas: {Line: {type: object, required: [from], properties: {from: {type: integer}, text: {type: string}}}}
"""


class Endless:
    """Sends an item, and then waits for ever."""

    def __init__(self, item: Any) -> None:
        self.item = item
        self.closed = threading.Event()

    async def __call__(self) -> AsyncIterator[Any]:
        try:
            yield self.item
            await asyncio.Event().wait()
        finally:
            self.closed.set()


def app_of(models: Any, answers: Any, endless: Endless, *, shortcut: bool) -> FastAPI:
    router = ContractRouter(contract := Contract.parse(CONTRACT.encode()), models, answers=answers)

    async def lines() -> AsyncIterator[Any]:
        yield models.Line(from_=1, text="ä\n")
        yield models.Line(from_=2)

    async def numbers() -> AsyncIterator[int]:
        yield 1
        yield 2

    async def broken_numbers() -> AsyncIterator[int]:
        yield 1
        raise RuntimeError("The source of the stream failed.")

    async def list_lines() -> Any:
        return answers.ListLines200(lines(), x_total="2")

    async def watch_lines() -> Any:
        return answers.WatchLines200(lines())

    async def watch_endlessly() -> Any:
        return answers.WatchEndlessly200(endless())

    async def watch_broken() -> Any:
        return answers.WatchBroken200(broken_numbers())

    async def watch_invalid() -> Any:
        return answers.WatchInvalid200(numbers())

    for operation_id, handler, returned in (
        ("listLines", list_lines, answers.ListLines200),
        ("watchLines", watch_lines, answers.WatchLines200),
        ("watchEndlessly", watch_endlessly, answers.WatchEndlessly200),
        ("watchBroken", watch_broken, answers.WatchBroken200),
        ("watchInvalid", watch_invalid, answers.WatchInvalid200),
    ):
        handler.__annotations__["return"] = returned
        router.operation(operation_id)(handler)
    return contract_app(contract, [router], shortcut=shortcut)


@pytest.fixture(params=[True, False], ids=["shortcut", "no-shortcut"])
def shortcut(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def endless(models: Any) -> Endless:
    return Endless(models.Line(from_=1))


@pytest.fixture
def client(models: Any, answers: Any, endless: Endless, *, shortcut: bool) -> Iterator[httpx.Client]:
    with (
        running(app_of(models, answers, endless, shortcut=shortcut)) as service,
        httpx.Client(base_url=service.url, timeout=TIMEOUT) as client,
    ):
        yield client


@pytest.mark.parametrize(
    ("path", "media_type", "body"),
    [
        pytest.param("/lines", "application/x-ndjson", '{"from":1,"text":"ä\\n"}\n{"from":2}\n', id="ndjson"),
        pytest.param(
            "/events",
            "text/event-stream; charset=utf-8",
            'data: {"from":1,"text":"ä\\n"}\n\ndata: {"from":2}\n\n',
            id="events",
        ),
    ],
)
def test_stream_has_all_items(client: httpx.Client, contract: Path, path: str, media_type: str, body: str) -> None:
    response = client.get(path)
    assert (response.headers["Content-Type"], response.text) == (media_type, body)
    ContractWatch(contract).observe(response)


def test_stream_has_its_headers(client: httpx.Client) -> None:
    headers = client.get("/lines").headers
    assert headers["X-Total"] == "2"
    assert "Content-Length" not in headers


def test_connection_serves_another_request_after_a_stream(client: httpx.Client) -> None:
    assert [client.get("/lines").status_code for _ in range(3)] == [200, 200, 200]


def test_response_watch_rejects_an_item_that_breaks_its_schema(client: httpx.Client, contract: Path) -> None:
    with pytest.raises(BrokenContractError, match="an item of the stream: 2 is greater than"):
        ContractWatch(contract).observe(client.get("/invalid"))


def test_head_of_an_endless_stream_ends(client: httpx.Client) -> None:
    response = client.head("/endless")
    assert (response.status_code, response.content) == (200, b"")


def test_item_is_sent_before_the_next_one_exists(client: httpx.Client) -> None:
    with client.stream("GET", "/endless") as response:
        assert next(response.iter_raw()) == b'data: {"from":1}\n\n'


def test_stream_is_closed_when_the_client_leaves(client: httpx.Client, endless: Endless) -> None:
    with client.stream("GET", "/endless") as response:
        # Kept, because httpx closes the response with its iterator.
        chunks = response.iter_raw()
        next(chunks)
        assert not endless.closed.is_set()
    assert endless.closed.wait(TIMEOUT)


def test_stream_whose_source_fails_is_incomplete(client: httpx.Client) -> None:
    with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
        client.get("/broken")


def test_stream_ends_completely_when_the_service_shuts_down(
    models: Any, answers: Any, endless: Endless, *, shortcut: bool
) -> None:
    received: list[bytes] = []
    with ExitStack() as stack:
        with running(app_of(models, answers, endless, shortcut=shortcut)) as service:
            client = stack.enter_context(httpx.Client(base_url=service.url, timeout=TIMEOUT))
            chunks = stack.enter_context(client.stream("GET", "/endless")).iter_raw()
            next(chunks)
            # Reads on while the service shuts down. An incomplete response would be an exception.
            reader = threading.Thread(target=lambda: received.extend([*chunks, b"end"]))
            reader.start()
        reader.join(TIMEOUT)
        assert received == [b"end"]
    assert endless.closed.is_set()


@pytest.mark.parametrize("operation", ["ListLines200", "WatchLines200"])
def test_generated_answer_takes_an_async_iterator_of_its_model(answers: Any, models: Any, operation: str) -> None:
    annotation = inspect.signature(getattr(answers, operation)).parameters["content"].annotation
    assert annotation == AsyncIterator[models.Line]

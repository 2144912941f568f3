"""Streams of items, NDJSON and server-sent events, and of text: how they end, and how they are cut off."""

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from fastapi_contract.application import contract_app
from fastapi_contract.contract import Contract
from fastapi_contract.responses.negotiation import AcceptedMediaType
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
  /endless.txt:
    get:
      operationId: readEndlessly
      responses:
        "200": {description: Text, content: {text/plain: {schema: {type: string}}}}
  /export:
    get:
      operationId: exportLines
      responses:
        "200":
          description: Lines
          headers: {X-Total: {required: true, schema: {type: string}}}
          content:
            application/x-ndjson: {schema: {$ref: "#/components/schemas/Line"}}
            text/csv: {schema: {type: string}}
            text/calendar: {schema: {type: string}}
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
        self.started = threading.Event()
        self.closed = threading.Event()

    def __call__(self) -> AsyncIterator[Any]:
        return self._items(self.item)

    def text(self) -> AsyncIterator[str]:
        return self._items("ä\n")

    async def _items(self, item: Any) -> AsyncIterator[Any]:
        self.started.set()
        try:
            yield item
            await asyncio.Event().wait()
        finally:
            self.closed.set()


async def numbers() -> AsyncIterator[int]:
    yield 1
    yield 2


async def broken_numbers() -> AsyncIterator[int]:
    yield 1
    raise RuntimeError("The source of the stream failed.")


async def pieces() -> AsyncIterator[str]:
    yield "a,"
    yield ""
    yield "ä\r\n"


def app_of(models: Any, answers: Any, endless: Endless, *, shortcut: bool) -> FastAPI:
    router = ContractRouter(contract := Contract.parse(CONTRACT.encode()), models, answers=answers)

    async def lines() -> AsyncIterator[Any]:
        yield models.Line(from_=1, text="ä\n")
        yield models.Line(from_=2)

    async def export_lines(media_type: AcceptedMediaType) -> Any:
        return {
            "application/x-ndjson": lambda: answers.ExportLines200Ndjson(lines(), x_total="2"),
            "text/csv": lambda: answers.ExportLines200Csv(pieces(), x_total="2"),
            "text/calendar": lambda: answers.ExportLines200Calendar("BEGIN:VCALENDAR\r\n", x_total="2"),
        }[media_type]()

    for operation_id, handler, returned in (
        ("listLines", returning(lambda: answers.ListLines200(lines(), x_total="2")), answers.ListLines200),
        ("watchLines", returning(lambda: answers.WatchLines200(lines())), answers.WatchLines200),
        ("watchEndlessly", returning(lambda: answers.WatchEndlessly200(endless())), answers.WatchEndlessly200),
        ("readEndlessly", returning(lambda: answers.ReadEndlessly200(endless.text())), answers.ReadEndlessly200),
        ("exportLines", export_lines, answers.ExportLines),
        ("watchBroken", returning(lambda: answers.WatchBroken200(broken_numbers())), answers.WatchBroken200),
        ("watchInvalid", returning(lambda: answers.WatchInvalid200(numbers())), answers.WatchInvalid200),
    ):
        handler.__annotations__["return"] = returned
        router.operation(operation_id)(handler)
    return contract_app(contract, [router], shortcut=shortcut)


def returning(make: Callable[[], Any]) -> Any:
    """A handler that returns what `make` returns."""

    async def handler() -> Any:
        return make()

    return handler


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


@pytest.mark.parametrize(
    ("accept", "media_type", "length", "body"),
    [
        pytest.param("*/*", "application/x-ndjson", None, '{"from":1,"text":"ä\\n"}\n{"from":2}\n', id="ndjson"),
        pytest.param("text/csv", "text/csv; charset=utf-8", None, "a,ä\r\n", id="text in pieces"),
        pytest.param("text/calendar", "text/calendar; charset=utf-8", "17", "BEGIN:VCALENDAR\r\n", id="whole text"),
    ],
)
def test_accept_header_chooses_between_streams(
    client: httpx.Client, contract: Path, accept: str, media_type: str, length: str | None, body: str
) -> None:
    response = client.get("/export", headers={"Accept": accept})
    assert (response.headers["Content-Type"], response.text) == (media_type, body)
    assert (response.headers["X-Total"], response.headers.get("Content-Length")) == ("2", length)
    ContractWatch(contract).observe(response)


@pytest.mark.parametrize("accept", ["application/x-ndjson", "text/csv", "text/calendar"])
def test_head_has_the_headers_of_each_stream(client: httpx.Client, accept: str) -> None:
    got, head = (client.request(method, "/export", headers={"Accept": accept}) for method in ("GET", "HEAD"))
    names = ("Content-Type", "Content-Length", "X-Total")
    assert [head.headers.get(name) for name in names] == [got.headers.get(name) for name in names]
    assert head.content == b""


in_each_form = pytest.mark.parametrize(
    ("path", "item"),
    [
        pytest.param("/endless", b'data: {"from":1}\n\n', id="events"),
        pytest.param("/endless.txt", "ä\n".encode(), id="text"),
    ],
)


@in_each_form
def test_head_of_an_endless_stream_runs_no_item(client: httpx.Client, endless: Endless, path: str, item: bytes) -> None:
    response = client.head(path)
    assert (response.status_code, response.content) == (200, b"")
    assert item
    assert not endless.started.is_set()


@in_each_form
def test_item_is_sent_before_the_next_one_exists(client: httpx.Client, path: str, item: bytes) -> None:
    with client.stream("GET", path) as response:
        assert next(response.iter_raw()) == item


@in_each_form
def test_stream_is_closed_when_the_client_leaves(
    client: httpx.Client, endless: Endless, path: str, item: bytes
) -> None:
    with client.stream("GET", path) as response:
        # Kept, because httpx closes the response with its iterator.
        chunks = response.iter_raw()
        assert next(chunks) == item
        assert not endless.closed.is_set()
    assert endless.closed.wait(TIMEOUT)


def test_stream_whose_source_fails_is_incomplete(client: httpx.Client) -> None:
    received: list[bytes] = []
    with pytest.raises(httpx.RemoteProtocolError, match="incomplete"), client.stream("GET", "/broken") as response:
        received.extend(response.iter_raw())
    assert received == [b"1\n"]


@in_each_form
def test_stream_ends_completely_when_the_service_shuts_down(
    models: Any, answers: Any, endless: Endless, path: str, item: bytes, *, shortcut: bool
) -> None:
    received: list[bytes] = []
    with ExitStack() as stack:
        with running(app_of(models, answers, endless, shortcut=shortcut)) as service:
            client = stack.enter_context(httpx.Client(base_url=service.url, timeout=TIMEOUT))
            chunks = stack.enter_context(client.stream("GET", path)).iter_raw()
            assert next(chunks) == item
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


def test_generated_answer_of_a_text_takes_a_string_or_its_pieces(answers: Any) -> None:
    annotation = inspect.signature(answers.ReadEndlessly200).parameters["content"].annotation
    assert annotation == str | AsyncIterator[str]

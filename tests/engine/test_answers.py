"""Typed answers: statuses, media types and headers of an operation, proven by the type checker and seen on the wire."""

import inspect
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import httpx
import pytest
from fastapi import FastAPI, Query

from fastapi_contract.application import contract_app
from fastapi_contract.contract import Contract, ContractError
from fastapi_contract.generation import codegen
from fastapi_contract.responses.negotiation import AcceptedMediaType
from fastapi_contract.router import ContractRouter
from support.contract_watch import ContractWatch
from support.service import running

CONTRACT = """
openapi: 3.1.0
info: {title: Answers, version: 1.0.0}
paths:
  /several:
    put:
      operationId: putThing
      parameters: [{name: case, in: query, required: true, schema: {type: string}}]
      responses:
        "200": {description: Changed, content: {application/json: {schema: {$ref: "#/components/schemas/Thing"}}}}
        "201":
          description: Created
          headers:
            Location: {required: true, schema: {type: string}}
            ETag: {schema: {type: string}}
          content: {application/json: {schema: {$ref: "#/components/schemas/Thing"}}}
        "202": {description: Accepted}
        "204": {description: Nothing changed}
  /redirect:
    post:
      operationId: redirect
      responses: {"303": {description: See, headers: {Location: {required: true, schema: {type: string}}}}}
  /cached:
    get:
      operationId: getCached
      responses:
        "200":
          description: Fresh
          headers: {ETag: {required: true, schema: {type: string}}}
          content: {application/json: {schema: {type: array, items: {$ref: "#/components/schemas/Thing"}}}}
        "304": {description: Not modified, headers: {ETag: {required: true, schema: {type: string}}}}
  /csv:
    get:
      operationId: exportThings
      responses:
        "200":
          description: Exported
          headers: {Content-Disposition: {required: true, schema: {type: string}}}
          content: {text/csv: {schema: {type: string}}}
  /binary:
    get:
      operationId: download
      responses: {"200": {description: Data, content: {application/octet-stream: {schema: {}}}}}
  /choice:
    get:
      operationId: choose
      responses:
        "200":
          description: Either
          content:
            application/json: {schema: {$ref: "#/components/schemas/Thing"}}
            text/plain: {schema: {type: string}}
        "406":
          description: Neither
          content:
            application/problem+json:
              schema: {type: object}
              examples: {all: {value: {type: /problems/not-acceptable, title: Not acceptable, status: 406}}}
  /page:
    get:
      operationId: getPage
      responses:
        "200":
          description: A page for people beside JSON, without 406
          content:
            application/json: {schema: {$ref: "#/components/schemas/Thing"}}
            text/html: {schema: {type: string}}
  /inline:
    get:
      operationId: getInline
      responses:
        "200":
          description: Inline
          content: {application/json: {schema: {type: object, required: [n], properties: {n: {type: integer}}}}}
  /list:
    get:
      operationId: getList
      responses:
        "200": {description: List, content: {application/json: {schema: {type: array, items: {type: string}}}}}
components:
  schemas: {Thing: {type: object, required: [from], properties: {from: {type: integer}}}}
"""


def bind(router: ContractRouter, operation_id: str, handler: Any, returned: Any) -> None:
    handler.__annotations__["return"] = returned
    router.operation(operation_id)(handler)


def page_handler(models: Any, answers: Any) -> Any:
    async def get_page(media_type: AcceptedMediaType) -> Any:
        is_page = media_type == "text/html"
        return answers.GetPage200Html("<p>") if is_page else answers.GetPage200Json(models.Thing(from_=4))

    return get_page


def app_of(models: Any, answers: Any, *, shortcut: bool) -> FastAPI:
    contract = Contract.parse(CONTRACT.encode())
    router = ContractRouter(contract, models, answers=answers)

    async def put_thing(query: Any) -> Any:
        thing = models.Thing(from_=1)
        return {
            "changed": lambda: answers.PutThing200(thing),
            "created": lambda: answers.PutThing201(thing, location="/things/1"),
            "tagged": lambda: answers.PutThing201(thing, location="/things/1", etag='"1"'),
            "accepted": answers.PutThing202,
            "nothing": answers.PutThing204,
        }[query.case]()

    async def redirect() -> Any:
        return answers.Redirect303(location="/things/1")

    fresh = iter([True, False] * 10)

    async def get_cached() -> Any:
        if next(fresh):
            return answers.GetCached200([models.Thing(from_=1), models.Thing(from_=2)], etag='"1"')
        return answers.GetCached304(etag='"1"')

    async def export_things() -> Any:
        return answers.ExportThings200("n\n1\nä\n", content_disposition='attachment; filename="things.csv"')

    async def download() -> Any:
        return answers.Download200(b"\0\xff")

    async def choose(media_type: AcceptedMediaType) -> Any:
        is_text = media_type == "text/plain"
        return answers.Choose200Plain("thing") if is_text else answers.Choose200Json(models.Thing(from_=3))

    async def get_inline() -> Any:
        return models.GetInlineResponse(n=1)

    async def get_list() -> Any:
        return ["a", "b"]

    put_thing.__annotations__["query"] = Annotated[models.PutThingParametersQuery, Query()]
    bind(router, "putThing", put_thing, answers.PutThing)
    bind(router, "redirect", redirect, answers.Redirect303)
    bind(router, "getCached", get_cached, answers.GetCached)
    bind(router, "exportThings", export_things, answers.ExportThings200)
    bind(router, "download", download, answers.Download200)
    bind(router, "choose", choose, answers.Choose)
    bind(router, "getPage", page_handler(models, answers), answers.GetPage)
    bind(router, "getInline", get_inline, models.GetInlineResponse)
    bind(router, "getList", get_list, list[str])
    return contract_app(contract, [router], shortcut=shortcut)


@pytest.fixture(scope="module", params=[True, False], ids=["shortcut", "no-shortcut"])
def client(
    request: pytest.FixtureRequest, contract: Path, models: ModuleType, answers: ModuleType
) -> Iterator[httpx.Client]:
    watch = ContractWatch(contract)
    with (
        running(app_of(models, answers, shortcut=request.param)) as service,
        httpx.Client(base_url=service.url, event_hooks={"response": [watch.observe]}) as client,
    ):
        yield client


@pytest.mark.parametrize(
    ("request_line", "status", "headers", "body"),
    [
        ("PUT /several?case=changed", 200, {"content-type": "application/json"}, b'{"from":1}'),
        ("PUT /several?case=created", 201, {"location": "/things/1", "etag": None}, b'{"from":1}'),
        ("PUT /several?case=tagged", 201, {"location": "/things/1", "etag": '"1"'}, b'{"from":1}'),
        ("PUT /several?case=accepted", 202, {"content-length": "0", "content-type": None}, b""),
        ("PUT /several?case=nothing", 204, {"content-length": None, "content-type": None}, b""),
        ("POST /redirect", 303, {"location": "/things/1", "content-length": "0"}, b""),
        ("GET /cached", 200, {"etag": '"1"', "content-type": "application/json"}, b'[{"from":1},{"from":2}]'),
        ("GET /cached", 304, {"etag": '"1"', "content-type": None}, b""),
        (
            "GET /csv",
            200,
            {"content-type": "text/csv; charset=utf-8", "content-disposition": 'attachment; filename="things.csv"'},
            "n\n1\nä\n".encode(),
        ),
        ("GET /binary", 200, {"content-type": "application/octet-stream"}, b"\0\xff"),
        ("GET /choice", 200, {"content-type": "application/json"}, b'{"from":3}'),
        ("GET /inline", 200, {"content-type": "application/json"}, b'{"n":1}'),
        ("GET /list", 200, {"content-type": "application/json"}, b'["a","b"]'),
    ],
)
def test_answer_is_sent_as_documented(
    client: httpx.Client, request_line: str, status: int, headers: dict[str, str | None], body: bytes
) -> None:
    method, path = request_line.split()
    response = client.request(method, path)
    if path == "/cached" and response.status_code != status:
        # It answers 200 and 304 in turn, and the other test may not run in this process.
        response = client.request(method, path)
    assert (response.status_code, response.content) == (status, body)
    assert {name: response.headers.get(name) for name in headers} == headers


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        pytest.param("text/plain", "text/plain; charset=utf-8", id="text"),
        pytest.param("application/json", "application/json", id="json"),
        pytest.param("text/*, */*;q=0.1", "text/plain; charset=utf-8", id="range"),
        pytest.param("image/png", "application/problem+json", id="neither"),
    ],
)
def test_accept_header_chooses_the_answer(client: httpx.Client, accept: str, media_type: str) -> None:
    response = client.get("/choice", headers={"Accept": accept})
    assert response.headers["Content-Type"] == media_type
    # A cache must not return the answer that another Accept has chosen.
    assert "Accept" in response.headers["Vary"].split(", ")
    if accept == "image/png":
        assert (response.status_code, response.json()["type"]) == (406, "/problems/not-acceptable")
        assert response.json()["detail"] == "Send an Accept header that allows application/json or text/plain."


BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        pytest.param(BROWSER, "text/html; charset=utf-8", id="browser"),
        pytest.param("text/html", "text/html; charset=utf-8", id="html"),
        pytest.param("*/*", "application/json", id="any"),
        pytest.param("application/json, text/html", "application/json", id="both"),
        pytest.param("text/html;q=0.5, application/json", "application/json", id="json preferred"),
        pytest.param("", "application/json", id="empty"),
        pytest.param("image/png", "application/json", id="neither"),
        pytest.param("text/html;;q=x", "application/json", id="malformed"),
    ],
)
def test_page_is_for_clients_that_prefer_it_and_json_for_all_others(
    client: httpx.Client, accept: str, media_type: str
) -> None:
    """Clients that were written before the page existed may send any Accept, because no 406 is documented."""
    response = client.get("/page", headers={"Accept": accept})
    assert (response.status_code, response.headers["Content-Type"]) == (200, media_type)
    assert response.headers["Vary"].split(", ") == ["Accept", "Origin"]


def test_accept_header_without_a_choice_is_ignored(client: httpx.Client) -> None:
    response = client.get("/csv", headers={"Accept": "image/png"})
    assert (response.status_code, response.headers["Vary"]) == (200, "Origin")


def test_every_operation_is_compiled(models: ModuleType, answers: ModuleType) -> None:
    app = app_of(models, answers, shortcut=True)
    operations = Contract.parse(CONTRACT.encode()).operations.keys()
    assert app.middleware_stack.app.operations == operations  # type: ignore[union-attr]


def test_required_header_is_a_required_argument(answers: Any) -> None:
    parameters = inspect.signature(answers.PutThing201).parameters
    defaults = {name: each.default for name, each in parameters.items()}
    assert defaults == {"content": inspect.Parameter.empty, "location": inspect.Parameter.empty, "etag": None}


@pytest.mark.parametrize(
    "returned", ["the model", "another answer", "nothing"], ids=["model", "another answer", "no annotation"]
)
def test_handler_with_another_annotation_stops_the_start(models: Any, answers: Any, returned: str) -> None:
    router = ContractRouter(Contract.parse(CONTRACT.encode()), models, answers=answers)

    async def redirect() -> Any: ...

    annotation = {"the model": models.Thing, "another answer": answers.PutThing200, "nothing": None}[returned]
    bind(router, "redirect", redirect, annotation)
    with pytest.raises(ContractError, match=r"annotate redirect\(\) with -> operations.Redirect303"):
        contract_app(router.contract, [router])


def test_answers_that_are_not_generated_stop_the_start(models: ModuleType) -> None:
    router = ContractRouter(Contract.parse(CONTRACT.encode()), models)

    async def redirect() -> None: ...

    router.operation("redirect")(redirect)
    with pytest.raises(ContractError, match=r"Redirect303, which is not generated. Run ./codegen.sh."):
        contract_app(router.contract, [router])


def test_second_run_generates_the_same(contract: Path, models: ModuleType, answers: ModuleType) -> None:
    again = codegen.generate(Contract.parse(contract.read_bytes()), models)
    assert inspect.getsource(answers) == again

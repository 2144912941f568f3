"""Parameters of every location and type reach the handler as the contract's values, and nothing else is accepted."""

import json
from collections.abc import Iterator
from pathlib import Path as FilePath
from types import ModuleType
from typing import Annotated, Any, Literal

import httpx
import pytest
from fastapi import Cookie, FastAPI, Header, Path, Query, Response
from pydantic import MISSING

from fastapi_contract.application import contract_app
from fastapi_contract.contract import Contract
from fastapi_contract.router import ContractRouter
from fastapi_contract.validation.input_errors import InputError
from fastapi_contract.validation.parameters import Parameters
from support import ROOT
from support.node import run
from support.service import running

CONTRACT = """
openapi: 3.1.0
info: {title: Parameters, version: 1.0.0}
paths:
  /query:
    get:
      operationId: readQuery
      parameters:
        - {name: page-size, in: query, schema: {type: integer}}
        - {name: "filter[done]", in: query, schema: {type: [boolean, "null"]}}
        - {name: class, in: query, schema: {enum: [1, 2]}}
        - {name: from, in: query, schema: {anyOf: [{type: integer}, {type: "null"}]}}
        - {name: 2fa, in: query, schema: {type: boolean}}
        - {name: ratio, in: query, schema: {type: number}}
        - {name: kind, in: query, schema: {$ref: "#/components/schemas/Kind"}}
        - {name: only, in: query, schema: {const: 5}}
        - {name: label, in: query, schema: {type: array, items: {type: string}}}
        - {name: ids, in: query, explode: false, schema: {type: array, items: {type: integer}}}
        - {name: flags, in: query, schema: {type: array, items: {type: boolean}}}
      responses: {"204": {description: Done}}
  /path/{from}/{to}:
    parameters:
      - {name: from, in: path, required: true, schema: {type: string}}
      - {name: to, in: path, required: true, schema: {enum: [1, 2]}}
    get:
      operationId: readPath
      parameters: [{name: from, in: path, required: true, schema: {type: integer}}]
      responses: {"204": {description: Done}}
  /texts:
    get:
      operationId: readTexts
      parameters:
        - {name: X-Number, in: header, required: true, schema: {type: integer}}
        - {name: x-Tags, in: header, schema: {type: array, items: {type: string}}}
        - {name: Accept, in: header, schema: {type: integer}}
        - {name: session-id, in: cookie, schema: {type: integer}}
        - {name: 2fa, in: cookie, schema: {type: boolean}}
      responses: {"204": {description: Done}}
components: {schemas: {Kind: {type: string, enum: [low, high, "1"]}}}
"""


def app_of(models: Any, *, shortcut: bool) -> FastAPI:
    contract = Contract.parse(CONTRACT.encode())
    router = ContractRouter(contract, models)

    def answer(response: Response, values: Any) -> None:
        response.headers["X-Values"] = json.dumps(values)

    async def read_query(query: Any, response: Response) -> None:
        answer(
            response, {name: value for name, value in query.model_dump(by_alias=True).items() if value is not MISSING}
        )

    async def read_path(
        start: Annotated[int, Path(alias="from")],
        to: Literal[1, 2],
        response: Response,
    ) -> None:
        answer(response, [start, to])

    async def read_texts(
        response: Response,
        number: Annotated[int, Header(alias="X-Number")],
        tags: Annotated[list[str] | None, Header(alias="X-Tags")] = None,
        session: Annotated[int | None, Cookie(alias="session-id")] = None,
        second: Annotated[bool | None, Cookie(alias="2fa")] = None,
    ) -> None:
        answer(response, [number, tags, session, second])

    read_query.__annotations__["query"] = Annotated[models.ReadQueryParametersQuery, Query()]
    router.operation("readQuery")(read_query)
    router.operation("readPath")(read_path)
    router.operation("readTexts")(read_texts)
    return contract_app(contract, [router], shortcut=shortcut)


@pytest.fixture(scope="module", params=[True, False], ids=["shortcut", "no-shortcut"])
def url(request: pytest.FixtureRequest, models: ModuleType) -> Iterator[str]:
    with running(app_of(models, shortcut=request.param)) as service:
        yield service.url


def values(response: httpx.Response) -> Any:
    assert response.status_code == 204, response.text
    return json.loads(response.headers["X-Values"])


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {}),
        ("page-size=5", {"page-size": 5}),
        ("filter[done]=true", {"filter[done]": True}),
        ("filter%5Bdone%5D=false", {"filter[done]": False}),
        ("filter[done]=null", {}),
        ("class=2", {"class": 2}),
        ("from=-7", {"from": -7}),
        ("2fa=true", {"2fa": True}),
        ("ratio=1.5", {"ratio": 1.5}),
        ("ratio=-2e3", {"ratio": -2000.0}),
        ("ratio=3", {"ratio": 3}),
        ("kind=low", {"kind": "low"}),
        ("kind=1", {"kind": "1"}),
        ("only=5", {"only": 5}),
        ("label=a", {"label": ["a"]}),
        ("label=a&label=b%2Cc&label=a", {"label": ["a", "b,c", "a"]}),
        ("label=", {"label": [""]}),
        ("ids=1,2,3", {"ids": [1, 2, 3]}),
        ("flags=true&flags=false", {"flags": [True, False]}),
        ("label=a&ids=1&label=b", {"label": ["a", "b"], "ids": [1]}),
    ],
)
def test_query_is_read_by_its_types(url: str, query: str, expected: dict[str, Any]) -> None:
    assert values(httpx.get(f"{url}/query?{query}")) == expected


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("page-size=5.0", "page-size"),
        ("page-size=0_1", "page-size"),
        ("page-size=05", "page-size"),
        ("page-size=true", "page-size"),
        ("page_size=5", "page_size"),
        ("page-size=5&page-size=5", "page-size"),
        ("filter[done]=1", "filter[done]"),
        ("filter[done]=True", "filter[done]"),
        ("class=3", "class"),
        ("class_=1", "class_"),
        ("from=x", "from"),
        ("from_=1", "from_"),
        ("2fa=yes", "2fa"),
        ("ratio=%201.5", "ratio"),
        ("ratio=1_0.5", "ratio"),
        ("ratio=1e999", "ratio"),
        ("ratio=nan", "ratio"),
        ("kind=medium", "kind"),
        ("only=6", "only"),
        ("ids=1,x", "ids"),
        ("ids=1,", "ids"),
        ("ids=1&ids=2", "ids"),
        ("flags=true&flags=1", "flags"),
        ("labels=a", "labels"),
    ],
)
def test_query_of_another_type_is_422(url: str, query: str, parameter: str) -> None:
    response = httpx.get(f"{url}/query?{query}")
    assert response.status_code == 422
    assert {error["parameter"] for error in response.json()["errors"]} == {parameter}


def test_path_is_read_by_the_parameter_of_the_operation(url: str) -> None:
    assert values(httpx.get(url + "/path/7/2")) == [7, 2]


@pytest.mark.parametrize("path", ["/path/x/1", "/path/7/3", "/path/7/x", "/path/7.0/1"])
def test_path_of_another_type_is_422(url: str, path: str) -> None:
    assert httpx.get(url + path).status_code == 422


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([("X-Number", "1")], [1, None, None, None]),
        ([("x-number", "1"), ("X-TAGS", "a, b")], [1, ["a", "b"], None, None]),
        ([("X-Number", "1"), ("X-Tags", "a"), ("X-Tags", "b,c")], [1, ["a", "b", "c"], None, None]),
        ([("X-Number", "1"), ("Cookie", "session-id=5; 2fa=true; other=x")], [1, None, 5, True]),
        ([("X-Number", "1"), ("Accept", "text/plain")], [1, None, None, None]),
    ],
    ids=["required", "names in another case", "array in two headers", "cookies", "ignored header"],
)
def test_headers_and_cookies_are_read_by_their_types(
    url: str, headers: list[tuple[str, str]], expected: list[Any]
) -> None:
    assert values(httpx.get(url + "/texts", headers=headers)) == expected


@pytest.mark.parametrize(
    ("headers", "parameter"),
    [
        ([], "X-Number"),
        ([("X-Number", "x")], "X-Number"),
        ([("X-Number", "1.0")], "X-Number"),
        ([("X-Number", "1"), ("X-Number", "1")], "X-Number"),
        ([("X-Number", "1"), ("Cookie", "session-id=x")], "session-id"),
        ([("X-Number", "1"), ("Cookie", "2fa=1")], "2fa"),
    ],
    ids=["missing", "text", "fraction", "repeated", "text in a cookie", "number for a boolean"],
)
def test_headers_and_cookies_of_another_type_are_422(url: str, headers: list[tuple[str, str]], parameter: str) -> None:
    response = httpx.get(url + "/texts", headers=headers)
    assert response.status_code == 422
    assert [error["parameter"] for error in response.json()["errors"]] == [parameter]


def test_every_operation_is_compiled(models: ModuleType) -> None:
    app = app_of(models, shortcut=True)
    assert app.middleware_stack.app.operations == {"readQuery", "readPath", "readTexts"}  # type: ignore[union-attr]


# What createQuerySerializer of openapi-fetch writes, which leaves out an empty array.
SERIALIZE = """
import {{ createQuerySerializer }} from "{}";
const values = JSON.parse(process.argv[2]);
const serialize = createQuerySerializer({{ array: {{ style: "form", explode: process.argv[3] === "true" }} }});
process.stdout.write(JSON.stringify(values.map((label) => serialize({{ label }}))));
"""


@pytest.mark.parametrize("explode", [True, False], ids=["exploded", "not exploded"])
def test_array_of_a_typescript_client_is_read_as_it_was_sent(explode: bool, tmp_path: FilePath) -> None:
    """`label=` is an array with one empty text (OpenAPI 3.1.1, appendix C: RFC 6570 leaves out an empty list)."""
    sent: list[list[str]] = [[], [""], ["", ""], ["a"], ["a,b", ""], ["ä&=", " "]]
    script = tmp_path / "serialize.mjs"
    script.write_text(SERIALIZE.format(ROOT / "node_modules/openapi-fetch/dist/index.mjs"))
    written = run(script, json.dumps(sent), json.dumps(explode))
    assert written.returncode == 0, written.stderr
    queries = json.loads(written.stdout)
    assert queries[:2] == ["", "label="]
    schema = {"type": "array", "items": {"type": "string"}}
    parameters = Parameters({}, [{"name": "label", "in": "query", "explode": explode, "schema": schema}])
    errors: list[InputError] = []
    received = [parameters.read_query(query.encode(), errors).get("label", []) for query in queries]
    assert (received, errors) == (sent, [])

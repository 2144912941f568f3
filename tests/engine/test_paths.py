"""A request reaches the operation of the most specific path template, in any order of contract and code."""

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Annotated, Any

import httpx
import pytest
from fastapi import FastAPI, Path, Response

from fastapi_contract.application import contract_app
from fastapi_contract.contract import Contract
from fastapi_contract.paths import Paths, PathTemplate
from fastapi_contract.router import ContractRouter
from support.service import running

OPERATIONS = {
    "getTask": ("get", "/tasks/{task_id}"),
    "createNamedTask": ("post", "/tasks/{task_id}"),
    "getStats": ("get", "/tasks/stats"),
    "archiveTask": ("post", "/tasks/{task_id}:archive"),
    "getCalendar": ("get", "/tasks/{task_id}.ics"),
    "getSpan": ("get", "/spans/{from}-{to}"),
    "getPart": ("get", "/projects/{project-id}/sections/{2fa}/tasks/{filter[done]}"),
    "getLatest": ("get", "/projects/{project-id}/sections/latest/tasks/{filter[done]}"),
}


def document(operation_ids: list[str]) -> bytes:
    lines = ["openapi: 3.1.0", "info: {title: Paths, version: 1.0.0}", "paths:"]
    for path in dict.fromkeys(OPERATIONS[operation_id][1] for operation_id in operation_ids):
        parameters = [
            f'{{name: "{name}", in: path, required: true, schema: {{type: string}}}}'
            for name in PathTemplate(path).names
        ]
        lines += [f'  "{path}":', f"    parameters: [{', '.join(parameters)}]"]
        for operation_id in operation_ids:
            if OPERATIONS[operation_id][1] == path:
                responses = 'responses: {"204": {description: Done}}'
                lines.append(f"    {OPERATIONS[operation_id][0]}: {{operationId: {operation_id}, {responses}}}")
    return "\n".join(lines).encode()


def handler_of(operation_id: str) -> Callable[..., Any]:
    """Return a handler that responds with its operationId and its path parameters, in headers."""

    def answer(response: Response, *values: str) -> None:
        response.headers["X-Operation"] = operation_id
        response.headers["X-Values"] = " ".join(values)

    async def handler_of_none(response: Response) -> None:
        answer(response)

    async def handler_of_one(response: Response, one: str) -> None:
        answer(response, one)

    async def handler_of_two(response: Response, one: str, two: str) -> None:
        answer(response, one, two)

    async def handler_of_three(response: Response, one: str, two: str, three: str) -> None:
        answer(response, one, two, three)

    names = PathTemplate(OPERATIONS[operation_id][1]).names
    handler: Callable[..., Any] = (handler_of_none, handler_of_one, handler_of_two, handler_of_three)[len(names)]
    for argument, name in zip(("one", "two", "three"), names, strict=False):
        handler.__annotations__[argument] = Annotated[str, Path(alias=name)]
    return handler


def app_of(operation_ids: list[str], *, shortcut: bool) -> FastAPI:
    contract = Contract.parse(document(operation_ids))
    router = ContractRouter(contract, ModuleType("models"))
    for operation_id in operation_ids:
        router.operation(operation_id)(handler_of(operation_id))
    return contract_app(contract, [router], shortcut=shortcut)


@pytest.fixture(scope="module", params=[True, False], ids=["shortcut", "no-shortcut"])
def shortcut(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(scope="module", params=[list(OPERATIONS), list(reversed(OPERATIONS))], ids=["in order", "reversed"])
def url(request: pytest.FixtureRequest, shortcut: bool) -> Iterator[str]:
    with running(app_of(request.param, shortcut=shortcut)) as service:
        yield service.url


@pytest.mark.parametrize(
    ("request_line", "operation_id", "values"),
    [
        ("GET /tasks/5", "getTask", "5"),
        ("GET /tasks/stats", "getStats", ""),
        ("GET /tasks/statistics", "getTask", "statistics"),
        ("GET /tasks/%73tats", "getStats", ""),
        ("POST /tasks/5", "createNamedTask", "5"),
        ("POST /tasks/5:archive", "archiveTask", "5"),
        ("POST /tasks/a:b:archive", "archiveTask", "a:b"),
        ("POST /tasks/:archive", "createNamedTask", ":archive"),
        ("POST /tasks/5:archived", "createNamedTask", "5:archived"),
        ("GET /tasks/5.ics", "getCalendar", "5"),
        ("GET /tasks/5xics", "getTask", "5xics"),
        ("GET /spans/1-2", "getSpan", "1 2"),
        ("GET /spans/1-2-3", "getSpan", "1-2 3"),
        ("GET /projects/p/sections/s/tasks/t", "getPart", "p s t"),
        ("GET /projects/p/sections/latest/tasks/t", "getLatest", "p t"),
    ],
)
def test_request_reaches_the_most_specific_operation(
    url: str, request_line: str, operation_id: str, values: str
) -> None:
    method, path = request_line.split()
    response = httpx.request(method, url + path)
    assert (response.status_code, response.headers.get("X-Operation")) == (204, operation_id)
    assert response.headers["X-Values"] == values


@pytest.mark.parametrize(
    ("request_line", "allow"),
    [
        ("POST /tasks/stats", "GET, HEAD"),
        ("DELETE /tasks/5", "GET, HEAD, POST"),
        ("GET /tasks/5:archive", "POST"),
        ("POST /tasks/5.ics", "GET, HEAD"),
    ],
)
def test_method_of_a_less_specific_template_is_405(url: str, request_line: str, allow: str) -> None:
    method, path = request_line.split()
    response = httpx.request(method, url + path)
    assert (response.status_code, response.headers["Allow"]) == (405, allow)


@pytest.mark.parametrize("path", ["/tasks", "/tasks/", "/tasks//", "/spans/12", "/spans/-", "/spans/1-", "/projects/p"])
def test_path_that_fits_no_template_is_404(url: str, path: str) -> None:
    assert httpx.get(url + path).status_code == 404


def test_shortcut_compiles_every_path() -> None:
    app = app_of(list(OPERATIONS), shortcut=True)
    shortcut = app.middleware_stack.app  # type: ignore[union-attr]
    assert shortcut.operations == OPERATIONS.keys()


@pytest.mark.parametrize(
    ("template", "values", "url"),
    [
        ("/tasks/{task_id}:archive", {"task_id": 5}, "/tasks/5:archive"),
        ("/a/{x-y}/{filter[done]}", {"x-y": "a/b", "filter[done]": True}, "/a/a%2Fb/true"),
        ("/a/{class}.ics", {"class": ".."}, "/a/%2E%2E.ics"),
    ],
    ids=["integer", "slash and boolean", "dot segment"],
)
def test_url_is_matched_by_the_template_that_built_it(template: str, values: dict[str, str | int], url: str) -> None:
    assert PathTemplate(template).url(values) == url
    found = Paths([template]).find(url)
    assert found is not None
    assert found[0].template == template


@pytest.mark.parametrize("values", [{}, {"task_id": ""}], ids=["missing", "empty"])
def test_url_without_a_value_raises_an_error(values: dict[str, str]) -> None:
    with pytest.raises(KeyError, match="task_id"):
        PathTemplate("/tasks/{task_id}").url(values)

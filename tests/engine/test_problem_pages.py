"""Each problem type is explained: as a page for people and as JSON for programs, from any contract."""

import re
from collections.abc import Iterator
from html import unescape
from types import ModuleType
from typing import Any

import httpx
import pytest

from fastapi_contract.application import contract_app
from fastapi_contract.contract import Contract
from fastapi_contract.problems import problem_types
from fastapi_contract.router import ContractRouter
from support.operations import CONTRACT as TODO
from support.prefix_proxy import prefix_proxy
from support.service import WATCH, Service, running

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
CONTRACT = """
openapi: 3.1.0
info: {title: "Values & <more>", version: 1.0.0}
servers: [{url: /v2}]
tags: [{name: all values}]
paths:
  /values/{value_id}:
    parameters: [{name: value_id, in: path, required: true, schema: {type: integer}}]
    get:
      operationId: getValue
      tags: [all values]
      responses: {"200": {$ref: "#/components/responses/Value"}, "404": {$ref: "#/components/responses/Missing"}}
    delete:
      operationId: deleteValue
      responses:
        "200": {$ref: "#/components/responses/Value"}
        "404": {$ref: "#/components/responses/Missing"}
        "409":
          description: In use.
          content:
            application/problem+json:
              schema: {oneOf: [{$ref: "#/components/schemas/InUse"}, {$ref: "#/components/schemas/Missing"}]}
              example: {type: /v2/problems/in-use, title: In use, status: 409, detail: "<b>"}
components:
  responses:
    Value: {description: A value., content: {application/json: {schema: {type: string}}}}
    Missing:
      description: Not there.
      content:
        application/problem+json:
          schema: {$ref: "#/components/schemas/Missing"}
          examples: {one: {$ref: "#/components/examples/Missing"}}
  examples: {Missing: {value: {type: /v2/problems/missing, title: It is missing, status: 404}}}
  schemas:
    Missing:
      description: |
        There is **no** value, see [RFC 9110](https://example.com) and [this](javascript:alert).

        Send `GET` for another one, <script>.

        Then stop.
      type: object
      properties: {type: {type: string, const: /v2/problems/missing}, cause: {$ref: "#/components/schemas/Missing"}}
    InUse: {type: object, properties: {type: {$ref: "#/components/schemas/InUseType"}}}
    InUseType: {type: string, enum: [/v2/problems/in-use]}
"""


def app(**options: Any) -> Any:
    contract = Contract.parse(CONTRACT.encode())
    router = ContractRouter(contract, ModuleType("models"))

    @router.operation("getValue")
    async def get_value(value_id: int) -> str:
        return str(value_id)

    @router.operation("deleteValue")
    async def delete_value(value_id: int) -> str:
        return str(value_id)

    return contract_app(contract, [router], **options)


@pytest.fixture(scope="module", params=[True, False], ids=["shortcut", "no-shortcut"])
def client(request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    with running(app(shortcut=request.param)) as service, httpx.Client(base_url=service.url) as client:
        yield client


def text_of(page: httpx.Response) -> str:
    """Return the text that a person reads."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", page.text.partition("<main")[2])).split())


class TestAnyContract:
    def test_json_has_what_the_contract_says(self, client: httpx.Client) -> None:
        found = client.get("/v2/problems/missing").json()
        assert found.pop("description").startswith("There is **no** value")
        operations = [(each["operation"], each["method"], each["status"]) for each in found["operations"]]
        assert operations == [("getValue", "GET", 404), ("deleteValue", "DELETE", 404), ("deleteValue", "DELETE", 409)]
        assert found["operations"][0] == {
            "operation": "getValue",
            "method": "GET",
            "path": "/v2/values/{value_id}",
            "status": 404,
            "documentation": "/v2/docs#/all%20values/getValue",
        }
        del found["operations"]
        example = {"type": "/v2/problems/missing", "title": "It is missing", "status": 404}
        assert found == {**example, "example": example}

    def test_example_is_that_of_the_type_and_the_title_that_of_the_example(self, client: httpx.Client) -> None:
        found = client.get("/v2/problems/in-use").json()
        assert (found["title"], found["status"], found["example"]["detail"]) == ("In use", 409, "<b>")

    def test_page_has_the_same_and_shows_html_as_text(self, client: httpx.Client) -> None:
        page = client.get("/v2/problems/missing", headers=HTML)
        text = text_of(page)
        assert "What it means There is no value" in text
        assert "What a client should do Send GET for another one, <script>. Then stop. Example" in text
        assert '"title": "It is missing"' in text
        assert "deleteValue DELETE /v2/values/{value_id} 409" in text
        assert 'href="/v2/docs#/all%20values/getValue"' in page.text
        assert 'href="https://example.com"' in page.text
        for unsafe in ("<script", 'href="javascript', "<more>", "<b>"):
            assert unsafe not in page.text
        assert "<b>" in text_of(client.get("/v2/problems/in-use", headers=HTML))

    def test_list_has_each_problem_type_in_the_order_of_statuses(self, client: httpx.Client) -> None:
        items = client.get("/v2/problems").json()["items"]
        assert items == sorted(items, key=lambda item: (item["status"], item["type"]))
        types = {item["type"] for item in items}
        assert {"/v2/problems/missing", "/v2/problems/in-use", "/v2/problems/not-found"} <= types
        page = client.get("/v2/problems", headers=HTML)
        for item in items:
            assert f'href="{item["type"]}"' in page.text
            assert client.get(item["type"]).json() == item
        assert "There is no value" in text_of(page)

    def test_type_that_only_the_engine_raises_is_explained(self, client: httpx.Client) -> None:
        rejected = client.get("/v2/elsewhere").json()
        found = client.get(rejected["type"]).json()
        assert (found["title"], found["status"], found["operations"]) == (rejected["title"], rejected["status"], [])
        assert found["example"].keys() == rejected.keys()
        text = text_of(client.get(rejected["type"], headers=HTML))
        assert "What a client should do Correct the path" in text
        assert "Any request may have it" in text

    @pytest.mark.parametrize("name", ["unknown", "", "missing/", "Missing"], ids=["name", "empty", "slash", "case"])
    def test_unknown_type_is_a_problem_for_browsers_too(self, client: httpx.Client, name: str) -> None:
        rejected = client.get(f"/v2/problems/{name}", headers=HTML)
        assert (rejected.status_code, rejected.json()["type"]) == (404, "/v2/problems/not-found")

    def test_links_begin_with_the_prefix_of_a_proxy(self) -> None:
        with (
            running(app(root_path="/todo")) as service,
            prefix_proxy(service.url, "/todo") as url,
            httpx.Client(base_url=url.removesuffix("/todo")) as browser,
        ):
            for path in ("/todo/v2/problems", "/todo/v2/problems/missing"):
                page = browser.get(path, headers=HTML).text
                links = set(re.findall(r'href="(/[^"#]*)', page))
                assert f"{path.rpartition('/problems')[0]}/docs" in links
                for link in links:
                    assert link.startswith("/todo/v2/")
                    assert browser.get(link).status_code == 200, link
            # The type is that of the responses, which a prefix does not change.
            found = browser.get("/todo/v2/problems/missing").json()
            assert (found["type"], found["operations"][0]["documentation"]) == (
                "/v2/problems/missing",
                "/todo/v2/docs#/all%20values/getValue",
            )


class TestContent:
    @pytest.mark.parametrize("path", ["/problems", "/problems/task-not-found"], ids=["list", "type"])
    @pytest.mark.parametrize(
        ("accept", "media_type"),
        [
            pytest.param(HTML["Accept"], "text/html; charset=utf-8", id="browser"),
            pytest.param("*/*", "application/json", id="any"),
            pytest.param("text/html, application/json", "application/json", id="both"),
            pytest.param("image/png", "application/json", id="neither"),
        ],
    )
    def test_page_is_for_clients_that_prefer_it(
        self, service: Service, path: str, accept: str, media_type: str
    ) -> None:
        found = service.client().get(path, headers={"Accept": accept})
        assert (found.status_code, found.headers["Content-Type"]) == (200, media_type)
        assert found.headers["Vary"].split(", ") == ["Accept", "Accept-Encoding", "Origin"]

    @pytest.mark.parametrize("path", ["/problems", "/problems/task-not-found"], ids=["list", "type"])
    def test_both_are_compressed_and_revalidated(self, service: Service, path: str) -> None:
        tags = set()
        for accept in ("application/json", "text/html"):
            found = service.client(Accept=accept).get(path, headers={"Accept-Encoding": "gzip"})
            assert (found.headers["Content-Encoding"], found.headers["Cache-Control"]) == ("gzip", "no-cache")
            tags.add(found.headers["ETag"])
            again = service.client(Accept=accept).get(path, headers={"If-None-Match": found.headers["ETag"]})
            assert (again.status_code, again.headers["Vary"]) == (304, found.headers["Vary"])
        assert len(tags) == 2

    def test_page_needs_no_script_and_no_inline_style(self, service: Service) -> None:
        page = service.client().get("/problems", headers=HTML)
        assert page.headers["Content-Security-Policy"] == (
            "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; "
            "frame-ancestors 'none'"
        )
        assert not re.search(r"<script|<style| style=| on[a-z]+=", page.text)


class TestThisContract:
    def test_list_is_the_closed_list_of_the_contract(self, service: Service) -> None:
        items = service.client().get("/problems").json()["items"]
        assert {item["type"] for item in items} == WATCH.problem_types | {"/problems/command-stopped"}

    @pytest.mark.parametrize("type_", problem_types())
    def test_problem_type_says_what_it_means_and_what_to_do(self, service: Service, type_: str) -> None:
        found = service.client().get(type_).json()
        assert (found["title"], found["status"]) == (problem_types()[type_].title, problem_types()[type_].status)
        meaning, _, remedy = found["description"].partition("\n\n")
        assert meaning
        assert remedy
        assert found["example"]["title"] == found["title"]
        text = text_of(service.client().get(type_, headers=HTML))
        assert "What it means" in text
        assert "What a client should do" in text

    def test_operations_are_those_whose_responses_have_the_type(self, service: Service) -> None:
        found = service.client().get("/problems/too-many-tasks").json()["operations"]
        assert {each["operation"] for each in found} >= {"createTask", "importTasks", "restoreTask"}
        for each in found:
            operation = TODO.operations[each["operation"]]
            assert str(each["status"]) in operation.responses
            assert each["path"] == operation.path

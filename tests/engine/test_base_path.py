"""A contract is served below the path of its servers, and behind a proxy that removes a prefix; each URL follows."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest
import yaml
from structlog.testing import capture_logs

from fastapi_contract.application import contract_app
from fastapi_contract.contract import Contract, InvalidContractError
from fastapi_contract.overview import overview
from fastapi_contract.router import ContractRouter
from support.one_operation import content
from support.prefix_proxy import prefix_proxy
from support.service import running

PATHS: dict[str, Any] = {
    "/values/{value_id}": {
        "get": {
            "operationId": "getValue",
            "parameters": [{"name": "value_id", "in": "path", "required": True, "schema": {"type": "integer"}}],
            "responses": {"200": {"description": "", **content({"type": "string"})}},
        }
    },
    "/": {"get": {"operationId": "getRoot", "responses": {"204": {"description": ""}}}},
}
BASE_PATHS = {
    "path": [{"url": "/v2"}],
    "final slash": [{"url": "/v2/"}],
    "whole URL": [{"url": "https://example.com/v2"}],
    "host without scheme": [{"url": "//example.com/v2"}],
    "variables": [
        {
            "url": "{scheme}://{host}/{version}",
            "variables": {
                "scheme": {"default": "https", "enum": ["http", "https"]},
                "host": {"default": "example.com"},
                "version": {"default": "v2"},
            },
        }
    ],
    "two servers": [{"url": "https://example.com/v2"}, {"url": "/v2"}],
}
NO_BASE_PATHS = {
    "none": None, "empty list": [], "slash": [{"url": "/"}], "host": [{"url": "https://example.com"}],
    "place of the document": [{"url": "./"}],
}  # fmt: skip

shortcut = pytest.mark.parametrize("shortcut", [True, False], ids=["shortcut", "no-shortcut"])


def contract(servers: Any, **others: Any) -> Contract:
    document = {"openapi": "3.1.0", "info": {"title": "x", "version": "1.0.0"}, "paths": PATHS, **others}
    document |= {} if servers is None else {"servers": servers}
    return Contract.parse(yaml.safe_dump(document, sort_keys=False).encode())


def app(parsed: Contract, **options: Any) -> Any:
    router = ContractRouter(parsed, ModuleType("models"))

    @router.operation("getValue")
    async def get_value(value_id: int) -> str:
        return parsed.operations["getValue"].url(value_id=value_id)

    @router.operation("getRoot")
    async def get_root() -> None:
        return None

    return contract_app(parsed, [router], **options)


@contextmanager
def client_of(parsed: Contract, **options: Any) -> Iterator[httpx.Client]:
    with running(app(parsed, **options)) as service, httpx.Client(base_url=service.url) as client:
        yield client


def assert_pages_lead_on(client: httpx.Client, root: str) -> None:
    """Each URL of the documentation is below `root`, and exists."""
    for page in (f"{root}/docs", f"{root}/redoc", f"{root}/problems", f"{root}/problems/validation-failed"):
        text = client.get(page, headers={"Accept": "text/html"}).text
        linked = {*re.findall(r'(?:src|href|spec-url)="([^"#]+)', text)}
        assert f"{root}/problems" in linked
        assert f'data-root="{root}"' in text or not page.endswith("/docs")
        for url in linked:
            assert url.startswith(f"{root}/")
            assert client.get(url).status_code == 200, url


class TestBasePath:
    @shortcut
    @pytest.mark.parametrize("servers", BASE_PATHS.values(), ids=BASE_PATHS)
    def test_operations_are_served_below_it(self, servers: Any, shortcut: bool) -> None:
        with client_of(contract(servers), shortcut=shortcut) as client:
            assert client.get("/v2/values/5").json() == "/v2/values/5"
            assert client.head("/v2/values/5").status_code == 200
            assert client.get("/v2/").status_code == 204
            for path in ("/values/5", "/", "/v2", "/v2x/values/5", "/v2/v2/values/5", "/v1/values/5"):
                assert client.get(path).status_code == 404, path

    @pytest.mark.parametrize("servers", NO_BASE_PATHS.values(), ids=NO_BASE_PATHS)
    def test_servers_without_a_path_have_none(self, servers: Any) -> None:
        parsed = contract(servers)
        assert parsed.base_path == ""
        with client_of(parsed) as client:
            assert client.get("/values/5").json() == "/values/5"
            assert client.get("/").status_code == 204

    @shortcut
    def test_problems_are_below_it(self, shortcut: bool) -> None:
        with client_of(contract(BASE_PATHS["path"]), shortcut=shortcut) as client:
            problems = [
                client.get("/v2/values/x"),
                client.get("/elsewhere"),
                client.get("/v2/elsewhere"),
                client.get("/v2/problems/elsewhere"),
                client.get("/v2/docs/assets/elsewhere"),
                client.delete("/v2/values/5"),
                client.get("/v2/values/5", headers={"X": "x" * 40_000}),
                client.options("/v2/", headers={"Origin": "https://a.test", "Access-Control-Request-Method": "GET"}),
            ]
            assert [each.status_code for each in problems] == [422, 404, 404, 404, 404, 405, 431, 400]
            for each in problems:
                assert each.json()["type"].startswith("/v2/problems/")
                page = client.get(each.json()["type"])
                assert page.status_code == 200
                assert each.json()["type"] in page.text
            assert problems[5].headers["Allow"] == "GET, HEAD"
            assert "/v2/openapi.yaml" in problems[1].json()["detail"]

    def test_documentation_is_below_it(self) -> None:
        parsed = contract(BASE_PATHS["path"])
        with client_of(parsed) as client:
            assert_pages_lead_on(client, "/v2")
            assert client.get("/v2/openapi.yaml").content == parsed.source
            assert client.get("/v2/openapi.json").json() == parsed.document
            assert client.get("/docs").status_code == 404

    def test_list_of_operations_has_it(self) -> None:
        parsed = contract(BASE_PATHS["path"])
        assert "  /v2/values/{value_id}  " in overview(app(parsed), parsed)

    def test_log_has_the_path_of_the_contract(self) -> None:
        with capture_logs() as lines, client_of(contract(BASE_PATHS["path"])) as client:
            client.get("/v2/values/5")
            client.get("/elsewhere")
        requests = [(line["path"], line["status"]) for line in lines if line["event"] == "request"]
        assert requests == [("/values/{value_id}", 200), (None, 404)]

    def test_problem_type_outside_of_it_is_a_fault(self) -> None:
        problem = {"type": "object", "properties": {"type": {"enum": ["/problems/not-found", "/v2/problems/x"]}}}
        paths = {**PATHS, "/": {"get": {"operationId": "getRoot", "responses": {
            "204": {"description": ""},
            "404": {"description": "", "content": {"application/problem+json": {"schema": problem}}},
        }}}}  # fmt: skip
        assert contract([{"url": "/"}], paths=paths).base_path == ""
        with pytest.raises(InvalidContractError) as raised:
            contract([{"url": "/v2"}], paths=paths)
        [fault] = raised.value.differences
        assert fault.endswith(
            "getRoot has problem types outside of the base path /v2, such as /problems/not-found: "
            "write /v2/problems/not-found."
        )


class TestRootPath:
    @shortcut
    @pytest.mark.parametrize(
        ("servers", "urls"),
        [
            pytest.param(None, [{"url": "/todo"}], id="no servers"),
            pytest.param([{"url": "/"}], [{"url": "/todo"}], id="slash"),
            pytest.param([{"url": "."}], [{"url": "."}], id="place of the document"),
            pytest.param([{"url": "/v2"}], [{"url": "/todo/v2"}], id="base path"),
            pytest.param([{"url": "/todo"}], [{"url": "/todo"}], id="prefix as the base path"),
            pytest.param([{"url": "https://a.test/todo/v2"}], [{"url": "https://a.test/todo/v2"}], id="whole URL"),
        ],
    )
    def test_each_url_begins_with_the_prefix(self, servers: Any, urls: Any, shortcut: bool) -> None:
        parsed = contract(servers)
        root = "/todo/v2" if parsed.base_path.endswith("/v2") else "/todo"
        with running(app(parsed, root_path="/todo", shortcut=shortcut)) as service, httpx.Client() as client:
            for direct in (root, root.removeprefix("/todo")):
                assert client.get(f"{service.url}{direct}/values/5").json() == f"{root}/values/5"
                assert client.get(f"{service.url}{direct}/docs").status_code == 200
            with prefix_proxy(service.url, "/todo") as url:
                outside = url.removesuffix("/todo")
                with httpx.Client(base_url=outside) as browser:
                    assert_pages_lead_on(browser, root)
                    found = browser.get(f"{root}/values/5").json()
                    assert browser.get(found).json() == found == f"{root}/values/5"
                    rejected = browser.get(f"{root}/values/x")
                    assert rejected.json()["type"] == f"{parsed.base_path}/problems/validation-failed"
                    assert browser.get(f"{root}/problems/validation-failed").status_code == 200
                    assert browser.delete(f"{root}/values/5").headers["Allow"] == "GET, HEAD"
                    assert f"{root}/openapi.yaml" in browser.get(f"{root}/elsewhere").json()["detail"]
                    document = browser.get(f"{root}/openapi.json").json()
                    assert document["servers"] == urls
                    assert yaml.safe_load(browser.get(f"{root}/openapi.yaml").content) == document
                    # As a client reads the URL of a server.
                    base = urljoin(f"{outside}{root}/openapi.json", urls[0]["url"]).rstrip("/")
                    assert base.endswith(root)

    @shortcut
    @pytest.mark.parametrize("prefix", ["/values", "/docs", "/problems"], ids=["path", "page", "problem"])
    def test_prefix_that_begins_a_path_is_not_removed_from_it(self, prefix: str, shortcut: bool) -> None:
        parsed = contract(None)
        with (
            running(app(parsed, root_path=prefix, shortcut=shortcut)) as service,
            prefix_proxy(service.url, prefix) as url,
            httpx.Client(base_url=url.removesuffix(prefix)) as browser,
        ):
            assert browser.get(f"{prefix}/values/5").json() == f"{prefix}/values/5"
            assert_pages_lead_on(browser, prefix)
            assert browser.get(f"{prefix}/problems/not-found").status_code == 200

    def test_url_of_an_operation_follows_each_mount(self) -> None:
        parsed = contract([{"url": "/v2"}])
        url = parsed.operations["getValue"].url
        assert [(parsed.mount(prefix), url(value_id=5)) for prefix in ("/todo", "")] == [
            ("/todo/v2", "/todo/v2/values/5"),
            ("/v2", "/v2/values/5"),
        ]

    @pytest.mark.parametrize("prefix", ["todo", "/todo/", "/", "/a b", "/{x}", "/.."], ids=str)
    def test_prefix_that_is_no_path_is_rejected(self, prefix: str) -> None:
        with pytest.raises(ValueError, match="must be a path such as /todo"):
            contract(None).mount(prefix)

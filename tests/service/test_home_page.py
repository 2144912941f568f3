"""`/` says what the service is: JSON for programs, and a page for people."""

import re
from collections.abc import Iterator
from html import unescape

import httpx
import pytest

from fastapi_contract.openapi.document import resolve
from support.operations import CONTRACT
from support.prefix_proxy import prefix_proxy
from support.service import Service, running, settings_for
from todo_api.app import create_app
from todo_api.contract import load_contract

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def page_of(service: Service, **headers: str) -> str:
    answer = service.client(**BROWSER, **headers).get("/")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    return answer.text


def test_program_gets_json_and_browser_a_page(service: Service) -> None:
    client = service.client()
    for accept in ("*/*", "application/json", "image/png", "application/json, text/html"):
        assert client.get("/", headers={"Accept": accept}).json()["name"] == "todo-api"
    assert page_of(service).startswith('<!doctype html>\n<html lang="en">\n')


def test_page_has_all_lines_of_its_example(service: Service) -> None:
    content = CONTRACT.operations["getServiceInfo"].responses["200"]["content"]["text/html"]
    example = resolve(CONTRACT.document, content["examples"]["page"])["value"]
    page = page_of(service)
    for line in example.splitlines():
        assert line in page


def test_page_links_what_exists(service: Service) -> None:
    links = set(re.findall(r'href="([^"]+)"', page_of(service)))
    assert {"/docs", "/redoc", "/problems", "/openapi.yaml", "/client.tgz"} <= links
    for link in links:
        assert service.client().get(link).status_code == 200, link


def test_request_of_the_page_is_answered(service: Service) -> None:
    command = unescape(page_of(service))
    found = re.search(r'curl (\S+) \\\n  -H "Authorization: Bearer \$\(\.venv/bin/todo-api token (\w+)\)"<', command)
    assert found is not None
    url, user = found.groups()
    assert url.startswith(service.url)
    assert service.client(user).get(url).status_code == 200
    assert f"npm install {service.url}/client.tgz" in command


@pytest.mark.parametrize(
    ("forwarded", "scheme"),
    [
        pytest.param("https", "https", id="https"),
        pytest.param("http", "http", id="http"),
        pytest.param("javascript", "http", id="no scheme of HTTP"),
    ],
)
def test_urls_have_the_scheme_of_the_proxy(service: Service, forwarded: str, scheme: str) -> None:
    page = page_of(service, **{"X-Forwarded-Proto": forwarded, "Host": "todo.example.com"})
    assert f"npm install {scheme}://todo.example.com/client.tgz" in page


def test_host_is_shown_as_text(service: Service) -> None:
    # Others are rejected, or are no host for httpx.
    assert "<b>" not in page_of(service, Host="<b>x")


@pytest.fixture
def prefixed(database_url: str) -> Iterator[Service]:
    with running(create_app(settings_for(database_url, root_path="/todo"))) as service:
        yield service
    # A process has one contract, with one prefix.
    load_contract().mount("")


def test_urls_begin_with_the_prefix_of_a_proxy(prefixed: Service) -> None:
    with prefix_proxy(prefixed.url, "/todo") as url, httpx.Client(headers=BROWSER) as browser:
        page = browser.get(f"{url}/").text
        links = set(re.findall(r'href="(/[^"]+)"', page))
        assert {"/todo/", "/todo/docs", "/todo/client.tgz"} <= links
        assert all(link.startswith("/todo/") for link in links)
        assert "/todo/api/alice/tasks" in page


def test_page_has_the_policy_of_pages(service: Service) -> None:
    answer = service.client(**BROWSER).get("/")
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self'; ")
    assert answer.headers["Vary"].split(", ") == ["Accept", "Origin"]
    assert answer.headers["Cache-Control"] == "no-store"
    assert not re.search(r"<script|<style| style=| on[a-z]+=", answer.text)

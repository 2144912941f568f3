"""The server of the page: what a browser may load, send and keep."""

import re
import socket
from urllib.parse import urlsplit

import httpx
import pytest

from support.demo import Demo


@pytest.fixture(scope="module")
def page(demo: Demo) -> httpx.Response:
    return httpx.get(demo.page_url).raise_for_status()


def directives(page: httpx.Response) -> dict[str, list[str]]:
    parts = [each.split() for each in page.headers["Content-Security-Policy"].split(";")]
    return {name: values for name, *values in parts}


def test_page_may_load_only_its_own_files_and_call_only_the_api(demo: Demo, page: httpx.Response) -> None:
    policy = directives(page)

    assert policy.pop("connect-src") == ["'self'", demo.api_url]
    assert policy.pop("default-src") == ["'none'"]
    assert {value for values in policy.values() for value in values} == {"'self'", "'none'"}


def test_page_is_checked_at_each_visit_and_its_assets_are_kept(demo: Demo, page: httpx.Response) -> None:
    assets = re.findall(r'(?:src|href)="(/assets/[^"]+)"', page.text)
    assert {each.rpartition(".")[2] for each in assets} == {"js", "css"}

    kept = {httpx.get(demo.page_url + each).headers["Cache-Control"] for each in assets}

    assert (page.headers["Cache-Control"], kept) == ("no-cache", {"public, max-age=31536000, immutable"})


@pytest.mark.parametrize(("accepted", "encoding"), [("gzip, br", "gzip"), ("br", None)], ids=["gzip", "no gzip"])
def test_page_is_compressed_if_the_browser_accepts_it(demo: Demo, accepted: str, encoding: str | None) -> None:
    answer = httpx.get(demo.page_url, headers={"Accept-Encoding": accepted})

    assert answer.headers.get("Content-Encoding") == encoding
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert answer.text.startswith("<!doctype html>")


@pytest.mark.parametrize(
    "path",
    ["/nothing", "/index.html/", "/../server/auth.ts", "/%2e%2e/server/auth.ts", "/assets", "//", "http://["],
    ids=["unknown", "slash", "parent", "encoded parent", "folder", "empty host", "malformed"],
)
def test_other_path_is_404(demo: Demo, path: str) -> None:
    assert status_of(demo, f"GET {path}") == 404


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("POST", 405)], ids=["HEAD", "POST"])
def test_page_can_only_be_read(demo: Demo, method: str, status: int) -> None:
    answer = httpx.request(method, demo.page_url)

    assert (answer.status_code, answer.content) == (status, b"")


def status_of(demo: Demo, request: str) -> int:
    """Of a request that a client of HTTP would not send as it is."""
    address = urlsplit(demo.page_url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(f"{request} HTTP/1.1\r\nHost: {address.netloc}\r\nConnection: close\r\n\r\n".encode())
        status_line = connection.makefile("rb").readline()
    return int(status_line.split()[1])

"""How requests are read and what every response has in common: faults that the fuzzer does not find."""

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from fastapi_contract.serving.transport import CoalescingTransport
from fastapi_contract.validation.bodies import MAX_BODY
from support.operations import Form, encoded, examples_of, send, with_body
from support.raw import exchange
from support.service import Service

JSON = {"Content-Type": "application/json"}


def post(client: httpx.Client, user: str, content: bytes | Iterator[bytes], **headers: str) -> httpx.Response:
    return client.post(f"/api/{user}/tasks", content=content, headers={**JSON, **headers})


class TestBody:
    @pytest.mark.parametrize(
        "body",
        [
            b"{", b"nope", b'{"title": "x",}', b"{'title': 'x'}", b'{"title": "x"} {}', b'{"title": "tab\there"}',
            b'{"title": NaN}', b'{"title": Infinity}', b'{"title": "x", "completed": -Infinity}',
            b'{"title": "x", "title": "y"}', b'{"title": "x", "x": {"a": 1, "a": 2}}',
            b'\xef\xbb\xbf{"title": "x"}', '{"title": "x"}'.encode("utf-16"), '{"title": "x"}'.encode("utf-32"),
            b'{"title": "\xff"}', b'{"title": "\xed\xa0\x80"}', b'{"title": "x\x00"}',
            b"[" * 20_000, b'{"title":' * 5_000, b'{"title": ' + b"9" * 5_000 + b"}", b'{"title": 1e999}',
            rb'{"title": "\ud800"}', rb'{"title": "\udfff\ud800"}', rb'{"\ud800": 1, "title": "x"}',
        ],
        ids=[
            "unterminated object", "bare word", "trailing comma", "single quotes", "two values", "tab in a string",
            "NaN", "Infinity", "-Infinity", "duplicate member", "duplicate nested member", "byte order mark", "UTF-16",
            "UTF-32", "invalid UTF-8", "surrogate in UTF-8", "NUL", "nested arrays", "nested objects",
            "number of 5000 digits", "infinite number", "lone surrogate", "swapped surrogates", "surrogate in a name",
        ],
    )  # fmt: skip
    def test_body_that_is_no_json_is_400(self, client: httpx.Client, user: str, body: bytes) -> None:
        rejected = post(client, user, body)
        assert (rejected.status_code, rejected.json()["type"]) == (400, "/problems/malformed-body")

    @pytest.mark.parametrize(
        "body",
        [rb'{"title": "\u0000"}', b'{"title": ' + b"9" * 4_000 + b"}", b"[]", b"null", b"1"],
        ids=["escaped NUL", "number of 4000 digits", "array", "null", "number"],
    )
    def test_json_body_that_breaks_the_contract_is_422(self, client: httpx.Client, user: str, body: bytes) -> None:
        assert post(client, user, body).status_code == 422

    @pytest.mark.parametrize(
        "media_type",
        ["text/plain", "application/x-www-form-urlencoded", "application/vnd.x+json", "application/jsonp", "*/*",
         "application/json; charset=utf-16", "application/json, text/plain", "json", pytest.param("", id="empty"),
         "application/json; charset=latin-1; charset=utf-8", "application/json; charset=utf-8; CHARSET=latin-1",
         'application/json; charset="utf-16"', 'application/json; charset="utf-8', "application/json; charset=",
         'application/json; charset=""', "application/json; charset='utf-8'", "application/json; charset = utf-8",
         "application/json; x =y", "application/json; x= y", "application/json; x", "application/json; =y",
         "application/json; x=a b", 'application/json; x="a"b',
         pytest.param('application/json; x="a\\', id="unterminated escape"),
         pytest.param('application/json; x="a\\"', id="unterminated string"),
         "application/json x=y", "application/json, x=y", "application /json",
         pytest.param("application/json;x=\xe9", id="not ASCII"),
         pytest.param("application/json;x=" + "y" * 1100, id="1119 characters")],
    )  # fmt: skip
    def test_other_media_type_is_415(self, client: httpx.Client, user: str, media_type: str) -> None:
        request = client.build_request("POST", f"/api/{user}/tasks", content=b'{"title": "x"}')
        request.headers = httpx.Headers([*request.headers.raw, (b"Content-Type", media_type.encode("latin-1"))])
        rejected = client.send(request)
        assert (rejected.status_code, rejected.json()["type"]) == (415, "/problems/unsupported-media-type")

    @pytest.mark.parametrize(
        "media_types",
        [["application/json", "text/plain"], ["text/plain", "application/json"], ["application/json"] * 2],
        ids=["JSON first", "JSON last", "JSON twice"],
    )
    def test_repeated_media_type_is_415(self, client: httpx.Client, user: str, media_types: list[str]) -> None:
        headers = [(b"Authorization", client.headers["Authorization"].encode())]
        headers += [(b"Content-Type", media_type.encode()) for media_type in media_types]
        answer = client.post(f"/api/{user}/tasks", content=b'{"title": "x"}', headers=headers)
        assert answer.status_code == 415

    def test_missing_media_type_is_415(self, client: httpx.Client, user: str) -> None:
        request = client.build_request("POST", f"/api/{user}/tasks", content=b'{"title": "x"}')
        assert "content-type" not in request.headers
        assert client.send(request).status_code == 415

    @pytest.mark.parametrize(
        "media_type",
        ["application/json", "application/json; charset=utf-8", 'APPLICATION/JSON;charset="UTF-8"',
         "application/json; x=y", "application/json;", "application/json ; ;;", "application/json;x=y;",
         pytest.param('application/json; x="a;b\\""', id="escape in a parameter"), 'application/json; x=""',
         'application/json; x="charset=utf-16"',
         "application/json; x=y; charset=utf-8", "application/json; charset=utf-8; x=y",
         "application/json; charset=utf8",
         pytest.param('application/json; charset="ut\\f-8"', id="escape in the charset"),
         "application/json;charset=utf-8;charset=UTF-8",
         pytest.param("application/json\t;\tx=y", id="tabs"), 'application/json; profile="https://example.com/"',
         pytest.param('application/json; x="\xe9"', id="not ASCII")],
    )  # fmt: skip
    def test_json_media_type_in_any_spelling_is_accepted(
        self, client: httpx.Client, user: str, media_type: str
    ) -> None:
        headers: Any = {"Content-Type": media_type.encode("latin-1")}
        assert client.post(f"/api/{user}/tasks", content=b'{"title": "x"}', headers=headers).status_code == 201

    def test_body_of_64_kib_is_read(self, client: httpx.Client, user: str) -> None:
        body = b'{"title": "x"}'
        assert post(client, user, body + b" " * (MAX_BODY - len(body))).status_code == 201

    @with_body
    @pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "chunked"])
    def test_body_over_its_limit_is_413(self, client: httpx.Client, user: str, form: Form, chunked: bool) -> None:
        body = b" " * (form.limit + 1)
        content = iter([body]) if chunked else body
        _, media_type = encoded(form, examples_of(form)[0])
        rejected = send(client, form, user, content=content, headers={"Content-Type": media_type})
        assert (rejected.status_code, rejected.headers["connection"]) == (413, "close")

    @pytest.mark.parametrize(
        "length", [f"Content-Length: {2**40}", "Transfer-Encoding: chunked"], ids=["with a length", "chunked"]
    )
    def test_body_over_64_kib_is_413_before_its_end_arrives(self, service: Service, user: str, length: str) -> None:
        head = (
            f"POST /api/{user}/tasks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {service.token(user)}\r\n"
            f"Content-Type: application/json\r\n{length}\r\n\r\n"
        )
        chunk = f"{MAX_BODY + 1:x}\r\n" if "chunked" in length else ""
        answer = exchange(service.url, (head + chunk).encode() + b" " * (MAX_BODY + 1))
        assert answer.startswith(b"HTTP/1.1 413 ")

    @with_body
    def test_every_operation_checks_its_media_type_and_syntax(
        self, client: httpx.Client, user: str, form: Form
    ) -> None:
        assert send(client, form, user, content=b"{}").status_code == 415
        assert send(client, form, user, content=b"{}", headers={"Content-Type": "image/png"}).status_code == 415
        if form.media_type == "application/json":
            assert send(client, form, user, content=b"{", headers=JSON).status_code == 400


class TestHttp:
    @pytest.mark.parametrize(
        "request_text",
        [
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nBad Name: x\r\n\r\n",
            "GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
            "NONSENSE\r\n\r\n",
            "GET / HTTP/9.9\r\nHost: a\r\n\r\n",
        ],
        ids=[
            "no Host",
            "two Hosts",
            "two lengths",
            "length and chunks",
            "header name",
            "control character",
            "nonsense",
            "version",
        ],
    )
    def test_malformed_request_is_400_and_closes_the_connection(self, service: Service, request_text: str) -> None:
        head, _, body = exchange(service.url, request_text.encode("latin-1")).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 ")
        assert b"content-type: application/problem+json" in head
        assert json.loads(body)["type"] == "/problems/invalid-request"

    def test_http_1_0_request_needs_no_host(self, service: Service) -> None:
        assert exchange(service.url, b"GET /health HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 200 ")

    @pytest.mark.parametrize(
        "path",
        ["/nowhere", "/health/", "/api", "/api/x/tasks/", "/api/x/tasks/1/", "/API/x/tasks", "/api/a%2Fb/tasks",
         "/api//tasks", "/problems/nothing", "/problems/", "/docs/assets/nothing.js", "/docs/assets/..%2fcore.py"],
    )  # fmt: skip
    def test_unknown_path_is_404_and_not_redirected(self, service: Service, path: str) -> None:
        rejected = service.client().get(path)
        assert (rejected.status_code, rejected.json()["type"]) == (404, "/problems/not-found")

    @pytest.mark.parametrize(
        ("method", "path", "allow"),
        [
            ("POST", "/", "GET, HEAD"),
            ("PATCH", "/api/x/tasks", "GET, HEAD, POST"),
            ("POST", "/api/x/tasks/1", "DELETE, GET, HEAD, PATCH, PUT"),
            ("GET", "/api/x/tasks/1/complete", "PATCH"),
            ("HEAD", "/api/x/tasks/1/complete", "PATCH"),
            ("OPTIONS", "/api/x/tasks", "GET, HEAD, POST"),
            ("TRACE", "/health", "GET, HEAD"),
            ("PROPFIND", "/health/ready", "GET, HEAD"),
            ("DELETE", "/openapi.yaml", "GET, HEAD"),
            ("POST", "/docs", "GET, HEAD"),
            ("PUT", "/docs/assets/swagger-ui.css", "GET, HEAD"),
            ("POST", "/problems/forbidden", "GET, HEAD"),
        ],
    )
    def test_unknown_method_is_405_and_lists_the_known_ones(
        self, service: Service, method: str, path: str, allow: str
    ) -> None:
        rejected = service.client().request(method, path)
        assert (rejected.status_code, rejected.headers["Allow"]) == (405, allow)
        if method != "HEAD":
            assert rejected.json()["type"] == "/problems/method-not-allowed"

    def test_head_has_the_headers_of_get(self, client: httpx.Client, user: str) -> None:
        for path in ("/", "/health", "/docs", "/openapi.json", f"/api/{user}/tasks"):
            get, head = client.get(path), client.head(path)
            assert (head.status_code, head.content) == (200, b"")
            assert head.headers["content-length"] == get.headers["content-length"]
        assert client.head(f"/api/{user}/tasks/1").status_code == 404

    @pytest.mark.parametrize("path", ["/", "/health", "/health/ready"])
    def test_unknown_parameter_of_a_public_operation_is_422(self, service: Service, path: str) -> None:
        assert service.client().get(path, params={"x": 1}).status_code == 422


class Recorder(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closed
        self.writes.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


class TestCoalescingTransport:
    def run(self, *, close: bool) -> Recorder:
        recorder = Recorder()

        async def answer() -> None:
            transport = CoalescingTransport(recorder, asyncio.get_running_loop(), lambda: False)
            transport.write(b"head ")
            transport.write(b"body")
            if close:
                transport.close()
                transport.write(b" and more")
            # The transport sends its buffer in the next iteration of the event loop.
            await asyncio.sleep(0)

        asyncio.run(answer())
        return recorder

    def test_head_and_body_are_sent_in_one_write(self) -> None:
        assert self.run(close=False).writes == [b"head body"]

    def test_data_before_close_is_sent_and_data_after_it_is_not(self) -> None:
        recorder = self.run(close=True)
        assert recorder.writes == [b"head body"]
        assert recorder.closed

    def test_pipelined_requests_are_answered_in_order(self, service: Service) -> None:
        first = b"GET /health HTTP/1.1\r\nHost: x\r\nX-Request-ID: first\r\n\r\n"
        last = b"GET / HTTP/1.1\r\nHost: x\r\nX-Request-ID: last\r\nConnection: close\r\n\r\n"
        answers = exchange(service.url, first + last)
        assert answers.count(b"HTTP/1.1 200 OK") == 2
        assert answers.index(b"x-request-id: first") < answers.index(b"x-request-id: last")


class TestEveryResponse:
    """The clients of the fixtures check X-Request-ID, Cache-Control and nosniff in every response; the rest is here."""

    @pytest.mark.parametrize("request_id", ["x", "a.b_c~d-E9", pytest.param("x" * 128, id="128 characters")])
    def test_safe_request_id_is_kept(self, service: Service, request_id: str) -> None:
        answer = service.client().get("/nowhere", headers={"X-Request-ID": request_id})
        assert answer.headers["X-Request-ID"] == answer.json()["request_id"] == request_id

    @pytest.mark.parametrize(
        "request_id",
        ["", "x" * 129, "a b", "a;b", "é", '"', "a/b"],
        ids=["empty", "129 characters", "space", "semicolon", "not ASCII", "quotation mark", "slash"],
    )
    def test_unsafe_request_id_is_replaced(self, service: Service, request_id: str) -> None:
        answer = service.client().get("/nowhere", headers={b"X-Request-ID": request_id.encode()})
        assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["X-Request-ID"])

    def test_response_is_not_to_be_stored(self, client: httpx.Client, user: str) -> None:
        for path in ("/", "/health", f"/api/{user}/tasks", "/nowhere"):
            assert client.get(path).headers["Cache-Control"] == "no-store"

    def test_response_does_not_name_the_server(self, service: Service) -> None:
        assert "server" not in service.client().get("/").headers

"""What goes over a socket before a request reaches the application: upgrade offers, limits, trailers, versions."""

import json
import logging
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import httpx
import psutil
import pytest

from fastapi_contract.contract import Operation
from fastapi_contract.protocol import HEADERS_TIMEOUT, MAX_HEADER_LINES, MAX_HEADERS, MAX_OVERHEAD, MAX_TARGET
from support.operations import CONTRACT, send
from support.raw import connect, exchange, read_to_end, statuses
from support.service import SECRET, Service
from support.serving import serving
from todo_api.auth.tokens import sign

END = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
"""A last request, behind which the server closes the connection."""


@dataclass
class Target:
    """A service, its user, and a task of the user that is not completed."""

    url: str
    user: str
    token: str
    task: int
    process: int

    def head(self, line: str, *headers: str) -> bytes:
        lines = [f"{line} HTTP/1.1", "Host: x", f"Authorization: Bearer {self.token}", *headers, "", ""]
        return "\r\n".join(lines).encode()

    def is_completed(self) -> bool:
        completed: bool = self._call("GET", f"/{self.task}").json()["completed"]
        return completed

    def titles(self) -> set[str]:
        return {task["title"] for task in self._call("GET", "?limit=100").json()["items"]}

    def create(self, title: str) -> int:
        created: int = self._call("POST", "", {"title": title}).json()["id"]
        return created

    def _call(self, method: str, path: str, body: object = None) -> httpx.Response:
        url = f"{self.url}/api/{self.user}/tasks{path}"
        return httpx.request(method, url, json=body, headers={"Authorization": f"Bearer {self.token}"})


@pytest.fixture(scope="module", params=[1, 2], ids=["one-worker", "two-workers"])
def server(
    request: pytest.FixtureRequest, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("server")
    settings = {"DATABASE_URL": database_url, "BETTER_AUTH_SECRET": SECRET}
    with serving(directory, "--workers", str(request.param), **settings) as running:
        yield f"http://127.0.0.1:{running.port} {running.process.pid}"


@pytest.fixture
def target(server: str, user: str) -> Target:
    url, process = server.split()
    target = Target(url, user, sign(SECRET, user, lifetime=600), 0, int(process))
    target.task = target.create("first")
    return target


def offer(protocol: str) -> list[str]:
    return ["Connection: Upgrade, HTTP2-Settings", f"Upgrade: {protocol}", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"]


PROTOCOLS = ["h2c", "websocket", "TLS/1.2", "IRC/6.9, x/1", "H2C"]
FORMS = ["whole", "body in a second packet", "split body", "chunked", "chunks in packets", "byte by byte"]


def packets(head: bytes, body: bytes, form: str) -> list[bytes]:
    """A request in the packets that a client may send it in. `head` ends without the headers of its framing."""
    length = head[:-2] + b"Content-Length: %d\r\n\r\n" % len(body)
    chunked = head[:-2] + b"Transfer-Encoding: chunked\r\n\r\n"
    half = len(body) // 2
    chunks = [b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:half], body[half:])] + [b"0\r\n\r\n"]
    return {
        "whole": [length + body],
        "body in a second packet": [length, body],
        "split body": [length + body[:half], body[half:]],
        "chunked": [chunked + b"".join(chunks)],
        "chunks in packets": [chunked, *chunks],
        "byte by byte": [length, *(body[at : at + 1] for at in range(len(body)))],
    }[form]


class TestUpgradeOffer:
    """RFC 9110, section 7.8: a server may ignore the offer, and then serves the request as usual."""

    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize("protocol", PROTOCOLS)
    def test_body_is_read_and_the_next_request_is_answered(self, target: Target, protocol: str, form: str) -> None:
        head = target.head(
            f"PATCH /api/{target.user}/tasks/{target.task}/complete",
            "Content-Type: application/json",
            *offer(protocol),
        )
        sent = packets(head, b'{"completed": false}', form)
        # Pipelined behind it, in the same packet as its end.
        sent[-1] += END
        assert statuses(exchange(target.url, *sent)) == [200, 200]
        assert not target.is_completed()

    @pytest.mark.parametrize("form", FORMS)
    def test_post_stores_its_body(self, target: Target, form: str) -> None:
        head = target.head(f"POST /api/{target.user}/tasks", "Content-Type: application/json", *offer("h2c"))
        sent = packets(head, b'{"title": "offered"}', form)
        assert statuses(exchange(target.url, *sent, END)) == [201, 200]
        assert "offered" in target.titles()

    @pytest.mark.parametrize("method", ["GET", "DELETE"])
    def test_request_without_a_body_is_served(self, target: Target, method: str) -> None:
        head = target.head(f"{method} /api/{target.user}/tasks/{target.task}", *offer("websocket"))
        assert statuses(exchange(target.url, head + END)) == [200 if method == "GET" else 204, 200]

    def test_every_request_of_a_connection_may_offer(self, target: Target) -> None:
        head = target.head(f"POST /api/{target.user}/tasks", "Content-Type: application/json", *offer("h2c"))
        sent = [packets(head, b'{"title": "%d"}' % number, "whole")[0] for number in range(3)]
        assert statuses(exchange(target.url, b"".join(sent) + END)) == [201, 201, 201, 200]
        assert {"0", "1", "2"} <= target.titles()

    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize("ending", ["HTTP/1.0", "Connection: close"])
    def test_last_request_of_a_connection_may_offer(self, target: Target, ending: str, form: str) -> None:
        head = target.head(f"POST /api/{target.user}/tasks", "Content-Type: application/json", *offer("h2c"))
        if ending == "HTTP/1.0":
            head = head.replace(b"HTTP/1.1", b"HTTP/1.0")
        else:
            head = head.replace(b"Connection: ", b"Connection: close, ")
        chunked = ending == "HTTP/1.0" and form.startswith("chunk")
        received = exchange(target.url, *packets(head, b'{"title": "last"}', form))
        assert statuses(received) == [400 if chunked else 201]
        assert ("last" in target.titles()) is not chunked

    def test_offer_is_logged_by_the_request_line_alone(
        self, service: Service, caplog: pytest.LogCaptureFixture
    ) -> None:
        """uvicorn would advise to install websockets."""
        request = "\r\n".join(["GET /health HTTP/1.1", "Host: x", *offer("websocket"), "", ""]).encode()
        with caplog.at_level(logging.INFO):
            assert statuses(exchange(service.url, request + END)) == [200, 200]
        lines = [record.getMessage() for record in caplog.records if record.name.startswith("uvicorn")]
        assert lines == []

    def test_curl_http2_sets_the_completion(self, target: Target) -> None:
        curl = shutil.which("curl")
        if curl is None:
            assert os.environ.get("CI") != "true", "curl is missing"
            pytest.skip("curl is not installed")
        command = [curl, "--silent", "--http2", "--request", "PATCH", "--data", '{"completed": false}']
        command += ["--header", "Content-Type: application/json", "--header", f"Authorization: Bearer {target.token}"]
        answer = subprocess.run(
            [*command, f"{target.url}/api/{target.user}/tasks/{target.task}/complete"],
            capture_output=True,
            timeout=30,
            check=True,
        )
        assert json.loads(answer.stdout)["completed"] is False
        assert not target.is_completed()


class TestTrailers:
    """A proxy that checks or removes headers does not see trailers (RFC 9110, section 6.5.1)."""

    @pytest.mark.parametrize("separately", [False, True], ids=["one packet", "trailers in a packet of their own"])
    @pytest.mark.parametrize("trailers", [1, 2], ids=["one trailer", "two trailers"])
    def test_authorization_in_a_trailer_is_dropped(self, target: Target, separately: bool, trailers: int) -> None:
        head = (
            f"POST /api/{target.user}/tasks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            "Transfer-Encoding: chunked\r\nTrailer: Authorization\r\n\r\n"
        ).encode()
        body = b'12\r\n{"title":"hidden"}\r\n0\r\n'
        trailer = f"Authorization: Bearer {target.token}\r\n".encode() + b"X-Request-ID: trailer\r\n" * (trailers - 1)
        sent = [head + body, trailer + b"\r\n" + END] if separately else [head + body + trailer + b"\r\n" + END]
        received = exchange(target.url, *sent)
        assert statuses(received) == [401, 200]
        assert b"x-request-id: trailer" not in received
        assert "hidden" not in target.titles()

    def test_trailer_does_not_become_the_request_id(self, target: Target) -> None:
        head = target.head(f"POST /api/{target.user}/tasks", "Content-Type: application/json", "X-Request-ID: header")
        chunked = head[:-2] + b'Transfer-Encoding: chunked\r\n\r\nd\r\n{"title":"x"}\r\n0\r\n'
        received = exchange(target.url, chunked + b"X-Request-ID: trailer\r\n\r\n" + END)
        assert statuses(received) == [201, 200]
        assert b"x-request-id: header" in received
        assert b"x-request-id: trailer" not in received

    @pytest.mark.parametrize("form", ["short trailers", "one trailer"])
    def test_more_trailers_are_rejected(self, target: Target, form: str) -> None:
        head = target.head(f"POST /api/{target.user}/tasks", "Content-Type: application/json")
        chunked = head[:-2] + b'Transfer-Encoding: chunked\r\n\r\n12\r\n{"title":"hidden"}\r\n0\r\n'
        trailers = b"a: b\r\n" * 20_000 if form == "short trailers" else b"a: %s\r\n" % (b"b" * 2 * MAX_OVERHEAD)
        assert statuses(exchange(target.url, chunked + trailers + b"\r\n" + END)) == [431]
        assert "hidden" not in target.titles()


def problem(received: bytes) -> str:
    kind: str = json.loads(received.rpartition(b"\r\n\r\n")[2])["type"]
    return kind


class TestLimits:
    @pytest.mark.parametrize("operation", CONTRACT.operations.values(), ids=lambda operation: operation.id)
    def test_too_many_headers_are_431_for_every_operation(
        self, service: Service, user: str, operation: Operation
    ) -> None:
        headers = {f"X-{number}": "x" for number in range(MAX_HEADER_LINES)}
        rejected = send(service.client(user), operation, user, headers=headers)
        assert (rejected.status_code, rejected.json()["type"]) == (431, "/problems/header-fields-too-large")
        assert rejected.headers["connection"] == "close"

    @pytest.mark.parametrize("size", [MAX_TARGET, MAX_TARGET + 1], ids=["8 KiB", "8 KiB and a byte"])
    def test_longer_target_is_414(self, service: Service, size: int) -> None:
        target = b"/" + b"a" * (size - 1)
        received = exchange(service.url, b"GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % target)
        assert statuses(received) == [404 if size == MAX_TARGET else 414]
        assert problem(received) == ("/problems/not-found" if size == MAX_TARGET else "/problems/uri-too-long")

    @pytest.mark.parametrize("more", [0, 1], ids=["100", "101"])
    def test_more_header_lines_are_431(self, service: Service, more: int) -> None:
        lines = b"a: b\r\n" * (MAX_HEADER_LINES - 2 + more)
        request = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n" % lines
        assert statuses(exchange(service.url, request)) == [431 if more else 200]

    @pytest.mark.parametrize("more", [0, 1], ids=["32 KiB", "32 KiB and a byte"])
    @pytest.mark.parametrize("size", [4096, 10**6], ids=["packets of 4 KiB", "one packet"])
    def test_larger_headers_are_431(self, service: Service, more: int, size: int) -> None:
        others = b"Host: x\r\nConnection: close\r\n"
        value = b"v" * (MAX_HEADERS - len(others) - len(b"a: \r\n") + more)
        request = b"GET /health HTTP/1.1\r\n%sa: %s\r\n\r\n" % (others, value)
        sent = [request[at : at + size] for at in range(0, len(request), size)]
        assert statuses(exchange(service.url, *sent)) == [431 if more else 200]

    def test_rejection_comes_after_the_answers_before_it(self, service: Service) -> None:
        request = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" * 3 + b"GET /" + b"a" * MAX_TARGET
        assert statuses(exchange(service.url, request)) == [200, 200, 200, 414]

    def test_rejection_has_the_headers_of_every_answer(self, service: Service) -> None:
        headers = b"Host: x\r\nOrigin: http://localhost:3000\r\nX-Request-ID: mine\r\n" + b"a: b\r\n" * MAX_HEADER_LINES
        received = exchange(service.url, b"GET /health HTTP/1.1\r\n" + headers + b"\r\n").lower()
        for header in (
            b"x-request-id: mine",
            b"cache-control: no-store",
            b"x-content-type-options: nosniff",
            b"access-control-allow-origin: http://localhost:3000",
            b"connection: close",
        ):
            assert header in received

    def test_chunk_extensions_are_limited(self, service: Service, user: str) -> None:
        head = (
            f"POST /api/{user}/tasks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {service.token(user)}\r\n"
            "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        ).encode()
        received = exchange(service.url, head, b"d;", *[b"x" * 32768] * 3)
        assert statuses(received) == [431]

    def test_small_chunks_are_not_taken_for_overhead(self, service: Service, user: str) -> None:
        body = b'{"title": "x"}' + b" " * 20_000
        head = (
            f"POST /api/{user}/tasks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {service.token(user)}\r\n"
            "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        ).encode()
        chunks = b"".join(b"001\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
        received = exchange(service.url, head, *(chunks[at : at + 50_000] for at in range(0, len(chunks), 50_000)), END)
        assert statuses(received) == [201, 200]

    def test_headers_that_do_not_come_in_time_are_408(self, service: Service) -> None:
        """All wait at once, for HEADERS_TIMEOUT."""
        answers = {
            b"": [],
            b"\r\n" * 10: [],
            b"GET /hea": [408],
            b"GET /health HTTP/1.1\r\nHost: x\r\nX-Part": [408],
            b"GET /health HTTP/1.1\r\nHost: x\r\n\r\nGET /he": [200, 408],
        }
        with ExitStack() as stack:
            connections = [stack.enter_context(connect(service.url, HEADERS_TIMEOUT + 30)) for _ in answers]
            for connection, sent in zip(connections, answers, strict=True):
                connection.sendall(sent)
            assert [statuses(read_to_end(connection)) for connection in connections] == list(answers.values())

    def test_slow_headers_within_the_time_are_read(self, service: Service) -> None:
        request = END
        assert statuses(exchange(service.url, *(request[at : at + 1] for at in range(len(request))))) == [200]


HEAD = b"POST /health HTTP/1.1\r\nHost: x\r\n"
FLOODS = {
    "short headers": (HEAD, b"a: b\r\n" * 10_000),
    "one header": (HEAD + b"a: ", b"b" * 60_000),
    "target": (b"GET /", b"a" * 60_000),
    "chunk extension": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;", b"a" * 60_000),
    "chunk size": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"0" * 60_000),
    "trailers": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"a: b\r\n" * 10_000),
    "empty lines": (b"", b"\r\n" * 30_000),
}
FLOOD_SIZE = 60 * 1024 * 1024


@pytest.mark.parametrize("kind", FLOODS)
def test_flood_is_rejected_without_being_stored(
    target: Target, kind: str, record_property: Callable[[str, object], None]
) -> None:
    """Memory, and how long other clients wait, are printed: 1,432 MB more and 110 times as long without limits."""
    begin, more = FLOODS[kind]
    processes = [psutil.Process(target.process), *psutil.Process(target.process).children(recursive=True)]
    memory = _memory(processes)
    quiet = _waits(target, lambda: True)
    answer, peak = [b""], [memory]
    flood = threading.Thread(target=lambda: answer.append(_flood(target.url, begin, more)))
    flood.start()

    def is_over() -> bool:
        peak.append(_memory(processes))
        return not flood.is_alive()

    busy = _waits(target, is_over)
    flood.join()
    growth = (max(peak) - memory) / 1e6
    record_property(
        "protocol",
        f"60 MiB of {kind}: answered {statuses(answer[-1]) or 'by closing'}, {growth:.0f} MB more memory, "
        f"others' p99 {quiet:.1f} ms before and {busy:.1f} ms meanwhile",
    )
    assert all(status in (405, 414, 431) for status in statuses(answer[-1]))
    assert growth < 20


def _flood(url: str, begin: bytes, more: bytes) -> bytes:
    """The answer to FLOOD_SIZE bytes, or to as many as the server takes."""
    with connect(url, timeout=60) as connection:
        try:
            connection.sendall(begin)
            for _ in range(FLOOD_SIZE // len(more)):
                connection.sendall(more)
        except ConnectionError:
            pass
        else:
            connection.shutdown(socket.SHUT_WR)
        return read_to_end(connection)


def _memory(processes: list[psutil.Process]) -> int:
    return sum(process.memory_info().rss for process in processes)


def _waits(target: Target, is_over: Callable[[], bool]) -> float:
    """The 99th percentile of the milliseconds that a request of another client takes."""
    waits: list[float] = []
    with httpx.Client(base_url=target.url) as client:
        while len(waits) < 200 or not is_over():
            start = time.perf_counter()
            assert client.get("/health").status_code == 200
            waits.append((time.perf_counter() - start) * 1000)
    return sorted(waits)[int(len(waits) * 0.99)]


class TestMalformed:
    @pytest.mark.parametrize(
        "request_text",
        [
            "GET /health\r\n\r\n",
            "POST /health\r\nHost: x\r\n\r\n",
            "GET /health HTTP/0.9\r\nHost: x\r\n\r\n",
            "GET /health HTTP/2.0\r\nHost: x\r\n\r\n",
            "GET /health HTTP/3.0\r\nHost: x\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n",
            "POST /health HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "POST /health HTTP/1.0\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        ],
        ids=[
            "GET without a version",
            "POST without a version",
            "HTTP 0.9",
            "HTTP 2.0",
            "HTTP 3.0",
            "HTTP 2 preface",
            "CONNECT",
            "chunks in HTTP 1.0",
            "chunks and a length in HTTP 1.0",
        ],
    )
    def test_request_is_400_and_the_connection_closed(self, service: Service, request_text: str) -> None:
        received = exchange(service.url, request_text.encode())
        assert statuses(received) == [400]
        assert problem(received) == "/problems/invalid-request"
        assert b"connection: close" in received

    def test_answers_before_it_are_sent_first(self, service: Service) -> None:
        received = exchange(service.url, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" * 2 + b"NONSENSE\r\n\r\n")
        assert statuses(received) == [200, 200, 400]

    def test_broken_chunk_ends_the_request_that_waits_for_its_body(self, service: Service, user: str) -> None:
        head = (
            f"POST /api/{user}/tasks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {service.token(user)}\r\n"
            "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        ).encode()
        assert statuses(exchange(service.url, head, b"zz\r\n")) == [400]
        assert service.client(user).get(f"/api/{user}/tasks").json()["items"] == []

    def test_rejected_pipelined_body_does_not_disturb_the_answer_before_it(self, service: Service) -> None:
        first = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
        second = b"POST /health HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
        assert statuses(exchange(service.url, first + second)) == [200, 400]

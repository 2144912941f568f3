"""Headers, chunks and trailers are limited, and a malformed request is a problem."""

import socket
import threading
from collections.abc import Callable

import pytest

from fastapi_contract.contract import Operation
from fastapi_contract.serving.protocol import MAX_HEADER_LINES, MAX_HEADERS, MAX_TARGET
from support.load import latency, memory
from support.operations import every_operation, send
from support.raw import connect, exchange, read_to_end, statuses
from support.service import Service
from support.targets import END, Target, problem


class TestLimits:
    @every_operation
    def test_more_than_100_headers_are_431_for_every_operation(
        self, service: Service, user: str, operation: Operation
    ) -> None:
        headers = {f"X-{number}": "x" for number in range(MAX_HEADER_LINES)}
        rejected = send(service.client(user), operation, user, headers=headers)
        assert (rejected.status_code, rejected.json()["type"]) == (431, "/problems/header-fields-too-large")
        assert rejected.headers["connection"] == "close"

    @pytest.mark.parametrize("size", [MAX_TARGET, MAX_TARGET + 1], ids=["8 KiB", "8 KiB and 1 byte"])
    def test_target_over_8_kib_is_414(self, service: Service, size: int) -> None:
        target = b"/" + b"a" * (size - 1)
        received = exchange(service.url, b"GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % target)
        assert statuses(received) == [404 if size == MAX_TARGET else 414]
        assert problem(received) == ("/problems/not-found" if size == MAX_TARGET else "/problems/uri-too-long")

    @pytest.mark.parametrize("more", [0, 1], ids=["100 lines", "101 lines"])
    def test_more_than_100_header_lines_are_431(self, service: Service, more: int) -> None:
        lines = b"a: b\r\n" * (MAX_HEADER_LINES - 2 + more)
        request = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n" % lines
        assert statuses(exchange(service.url, request)) == [431 if more else 200]

    @pytest.mark.parametrize("more", [0, 1], ids=["32 KiB", "32 KiB and 1 byte"])
    @pytest.mark.parametrize("size", [4096, 10**6], ids=["packets of 4 KiB", "one packet"])
    def test_headers_over_32_kib_are_431(self, service: Service, more: int, size: int) -> None:
        others = b"Host: x\r\nConnection: close\r\n"
        value = b"v" * (MAX_HEADERS - len(others) - len(b"a: \r\n") + more)
        request = b"GET /health HTTP/1.1\r\n%sa: %s\r\n\r\n" % (others, value)
        sent = [request[at : at + size] for at in range(0, len(request), size)]
        assert statuses(exchange(service.url, *sent)) == [431 if more else 200]

    def test_rejection_follows_the_responses_to_earlier_requests(self, service: Service) -> None:
        request = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" * 3 + b"GET /" + b"a" * MAX_TARGET
        assert statuses(exchange(service.url, request)) == [200, 200, 200, 414]

    def test_rejection_has_the_common_response_headers(self, service: Service) -> None:
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

    def test_long_chunk_extension_is_431(self, service: Service, user: str) -> None:
        head = (
            f"POST /api/{user}/tasks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {service.token(user)}\r\n"
            "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        ).encode()
        received = exchange(service.url, head, b"d;", *[b"x" * 32768] * 3)
        assert statuses(received) == [431]

    def test_body_in_chunks_of_one_byte_is_read(self, service: Service, user: str) -> None:
        body = b'{"title": "x"}' + b" " * 20_000
        head = (
            f"POST /api/{user}/tasks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {service.token(user)}\r\n"
            "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        ).encode()
        chunks = b"".join(b"001\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
        received = exchange(service.url, head, *(chunks[at : at + 50_000] for at in range(0, len(chunks), 50_000)), END)
        assert statuses(received) == [201, 200]

    def test_slow_headers_within_the_timeout_are_read(self, service: Service) -> None:
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
    """Prints memory and the latency of other clients: without limits, 1,432 MB more and 110 times the latency."""
    begin, more = FLOODS[kind]
    before = memory(target.process)
    quiet = latency(target.url, lambda: True)
    answer, peak = [b""], [before]
    flood = threading.Thread(target=lambda: answer.append(_flood(target.url, begin, more)))
    flood.start()

    def is_over() -> bool:
        peak.append(memory(target.process))
        return not flood.is_alive()

    busy = latency(target.url, is_over)
    flood.join()
    growth = (max(peak) - before) / 1e6
    record_property(
        "protocol",
        f"60 MiB of {kind}: answered {statuses(answer[-1]) or 'by closing'}, {growth:.0f} MB more memory, "
        f"others' p99 {quiet:.1f} ms before and {busy:.1f} ms meanwhile",
    )
    assert all(status in (405, 414, 431) for status in statuses(answer[-1]))
    assert growth < 20


def _flood(url: str, begin: bytes, more: bytes) -> bytes:
    """Return the response to FLOOD_SIZE bytes, or to as many as the server accepts."""
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
    def test_malformed_request_is_400_and_closes_the_connection(self, service: Service, request_text: str) -> None:
        received = exchange(service.url, request_text.encode())
        assert statuses(received) == [400]
        assert problem(received) == "/problems/invalid-request"
        assert b"connection: close" in received

    def test_400_follows_the_responses_to_earlier_requests(self, service: Service) -> None:
        received = exchange(service.url, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" * 2 + b"NONSENSE\r\n\r\n")
        assert statuses(received) == [200, 200, 400]

    def test_malformed_chunk_is_400_and_stores_nothing(self, service: Service, user: str) -> None:
        head = (
            f"POST /api/{user}/tasks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {service.token(user)}\r\n"
            "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        ).encode()
        assert statuses(exchange(service.url, head, b"zz\r\n")) == [400]
        assert service.client(user).get(f"/api/{user}/tasks").json()["items"] == []

    def test_malformed_pipelined_body_does_not_change_the_earlier_response(self, service: Service) -> None:
        first = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
        second = b"POST /health HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
        assert statuses(exchange(service.url, first + second)) == [200, 400]

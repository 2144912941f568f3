"""An offer to upgrade is ignored and the body is read; trailers do not become headers."""

import json
import logging
import os
import shutil
import subprocess

import pytest

from fastapi_contract.serving.protocol import MAX_OVERHEAD
from support.raw import exchange, statuses
from support.service import Service
from support.targets import END, Target


def offer(protocol: str) -> list[str]:
    return ["Connection: Upgrade, HTTP2-Settings", f"Upgrade: {protocol}", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"]


PROTOCOLS = ["h2c", "websocket", "TLS/1.2", "IRC/6.9, x/1", "H2C"]
FORMS = ["whole", "body in a second packet", "split body", "chunked", "chunks in packets", "byte by byte"]


def packets(head: bytes, body: bytes, form: str) -> list[bytes]:
    """Return a request as packets of the given form. `head` has neither Content-Length nor Transfer-Encoding."""
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
    def test_offer_keeps_the_body_and_the_next_request(self, target: Target, protocol: str, form: str) -> None:
        head = target.head(
            f"PATCH /api/{target.user}/tasks/{target.task}/complete",
            "Content-Type: application/json",
            *offer(protocol),
        )
        sent = packets(head, b'{"completed": false}', form)
        # The next request is pipelined in the last packet.
        sent[-1] += END
        assert statuses(exchange(target.url, *sent)) == [200, 200]
        assert not target.is_completed()

    @pytest.mark.parametrize("form", FORMS)
    def test_post_with_an_offer_stores_its_body(self, target: Target, form: str) -> None:
        head = target.head(f"POST /api/{target.user}/tasks", "Content-Type: application/json", *offer("h2c"))
        sent = packets(head, b'{"title": "offered"}', form)
        assert statuses(exchange(target.url, *sent, END)) == [201, 200]
        assert "offered" in target.titles()

    @pytest.mark.parametrize("method", ["GET", "DELETE"])
    def test_offer_without_a_body_is_answered(self, target: Target, method: str) -> None:
        head = target.head(f"{method} /api/{target.user}/tasks/{target.task}", *offer("websocket"))
        assert statuses(exchange(target.url, head + END)) == [200 if method == "GET" else 204, 200]

    def test_offer_in_every_request_of_a_connection_is_ignored(self, target: Target) -> None:
        head = target.head(f"POST /api/{target.user}/tasks", "Content-Type: application/json", *offer("h2c"))
        sent = [packets(head, b'{"title": "%d"}' % number, "whole")[0] for number in range(3)]
        assert statuses(exchange(target.url, b"".join(sent) + END)) == [201, 201, 201, 200]
        assert {"0", "1", "2"} <= target.titles()

    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize("ending", ["HTTP/1.0", "Connection: close"])
    def test_offer_in_the_last_request_of_a_connection_is_ignored(self, target: Target, ending: str, form: str) -> None:
        head = target.head(f"POST /api/{target.user}/tasks", "Content-Type: application/json", *offer("h2c"))
        if ending == "HTTP/1.0":
            head = head.replace(b"HTTP/1.1", b"HTTP/1.0")
        else:
            head = head.replace(b"Connection: ", b"Connection: close, ")
        chunked = ending == "HTTP/1.0" and form.startswith("chunk")
        received = exchange(target.url, *packets(head, b'{"title": "last"}', form))
        assert statuses(received) == [400 if chunked else 201]
        assert ("last" in target.titles()) is not chunked

    def test_offer_adds_no_log_line_of_uvicorn(self, service: Service, caplog: pytest.LogCaptureFixture) -> None:
        """uvicorn itself would log the advice to install websockets."""
        request = "\r\n".join(["GET /health HTTP/1.1", "Host: x", *offer("websocket"), "", ""]).encode()
        with caplog.at_level(logging.INFO):
            assert statuses(exchange(service.url, request + END)) == [200, 200]
        lines = [record.getMessage() for record in caplog.records if record.name.startswith("uvicorn")]
        assert lines == []

    def test_curl_with_http2_offer_sets_the_completion(self, target: Target) -> None:
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
    """Trailers are dropped, because a proxy that checks headers does not see them (RFC 9110, section 6.5.1)."""

    @pytest.mark.parametrize("separately", [False, True], ids=["one packet", "trailers in another packet"])
    @pytest.mark.parametrize("trailers", [1, 2], ids=["one trailer", "two trailers"])
    def test_authorization_trailer_is_dropped(self, target: Target, separately: bool, trailers: int) -> None:
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

    def test_request_id_trailer_is_dropped(self, target: Target) -> None:
        head = target.head(f"POST /api/{target.user}/tasks", "Content-Type: application/json", "X-Request-ID: header")
        chunked = head[:-2] + b'Transfer-Encoding: chunked\r\n\r\nd\r\n{"title":"x"}\r\n0\r\n'
        received = exchange(target.url, chunked + b"X-Request-ID: trailer\r\n\r\n" + END)
        assert statuses(received) == [201, 200]
        assert b"x-request-id: header" in received
        assert b"x-request-id: trailer" not in received

    @pytest.mark.parametrize("form", ["short trailers", "one trailer"])
    def test_trailers_over_the_limit_are_431(self, target: Target, form: str) -> None:
        head = target.head(f"POST /api/{target.user}/tasks", "Content-Type: application/json")
        chunked = head[:-2] + b'Transfer-Encoding: chunked\r\n\r\n12\r\n{"title":"hidden"}\r\n0\r\n'
        trailers = b"a: b\r\n" * 20_000 if form == "short trailers" else b"a: %s\r\n" % (b"b" * 2 * MAX_OVERHEAD)
        assert statuses(exchange(target.url, chunked + trailers + b"\r\n" + END)) == [431]
        assert "hidden" not in target.titles()

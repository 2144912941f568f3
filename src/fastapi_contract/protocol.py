"""uvicorn's HTTP/1.1 protocol with what it lacks: limits on the header section, ignored upgrade offers, dropped
trailers, errors as problems in the order of the requests, and a shutdown that resets no request.

An error of the protocol itself is answered by the application: the request is passed on with the problem under
`scope["rejected"]`, so that its answer has the request id, the headers and the log line of every other answer.
"""

import asyncio
import select
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from fastapi_contract.problems import HeaderFieldsTooLarge, InvalidRequest, Problem, RequestTimeout, UriTooLong
from fastapi_contract.transport import CoalescingTransport

MAX_TARGET = 8 * 1024
"""Bytes of a request target (RFC 9112, section 3, recommends at least 8,000 for the whole request line)."""
MAX_HEADERS = 32 * 1024
"""Bytes of a header section, names and values and four more for each line."""
MAX_HEADER_LINES = 100
"""Header lines of a request, and also trailer lines."""
SLICE = MAX_TARGET
"""Bytes that are parsed between two checks: 2,000 of the shortest headers, in 1 ms."""
MAX_OVERHEAD = MAX_TARGET + MAX_HEADERS + 2 * SLICE
"""Bytes of an unfinished header section, or of a body's chunk extensions and trailers, as far as slices show them."""
CHUNK_FRAMING = 16
"""Bytes of framing that every chunk may have: its size, two line ends and some leading zeros."""
HEADERS_TIMEOUT = 10
"""Seconds from the first byte of a request (or from the connection) until its headers are complete."""
IDLE_SHUTDOWN = 0.5
"""Seconds that an idle connection stays open during a shutdown, for a request that is on its way."""

_MALFORMED = "The request cannot be parsed. Send HTTP/1.1 as RFC 9112 defines it."


class Protocol(HttpToolsProtocol):
    """One connection. The parser calls `on_…` while it is fed; a Problem that they raise rejects the request.

    Limits are checked where they cost nothing for a small request: between slices of what was received, and once when
    the headers are complete.
    """

    transport: CoalescingTransport  # type: ignore[assignment]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._headers_timer: asyncio.TimerHandle | None = None
        # Bytes that were received since a request or its headers were complete, without its body: at least as many as
        # the unfinished part has.
        self._overhead = self._slice = 0
        self._closing = False
        self._shutting_down = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        coalescing = CoalescingTransport(transport, self.loop, self._close)
        super().connection_made(coalescing)  # type: ignore[arg-type]
        self._start_headers_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop_headers_timer()

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        if (size := len(data)) > SLICE:
            self._receive_in_slices(data)
            return
        if self.timeout_keep_alive_task is not None:
            self._unset_keepalive_if_required()
        self._slice = size
        self._overhead += size
        try:
            self.parser.feed_data(data)
            if self._overhead > SLICE:
                self._check_size()
        except httptools.HttpParserUpgrade as offer:
            self._ignore_offer(data[offer.args[0] :])
        except httptools.HttpParserError as error:
            cause = error.__context__
            self._reject(cause if isinstance(cause, Problem) else InvalidRequest(_MALFORMED))
        except Problem as problem:
            self._reject(problem)
        else:
            # As _is_idle() and _is_in_headers() say, without two calls for each request.
            cycle = self.cycle
            if self._headers_timer is None and (
                cycle is None or cycle.response_complete or self.scope["headers"] is self.headers
            ):
                self._start_headers_timer()

    def shutdown(self) -> None:
        """Called once by the server when it shuts down. Requests that were received are answered, the last one with
        `Connection: close`; a connection without one is closed when it has been idle for IDLE_SHUTDOWN seconds."""
        self._shutting_down = True
        if self._is_idle():
            self.loop.call_later(IDLE_SHUTDOWN, self._close_if_idle)
        else:
            self.cycle.keep_alive = False

    def timeout_keep_alive_handler(self) -> None:
        # Headers that began before the answer to the request before them was complete have their own timeout.
        if not self._is_in_headers():
            super().timeout_keep_alive_handler()

    # --- what the parser calls

    def on_headers_complete(self) -> None:
        parser = self.parser
        if parser.should_upgrade():
            if parser.get_method() == b"CONNECT":
                raise InvalidRequest("CONNECT is for proxies, and this is an origin server.")
            # An offer: _ignore_offer() repeats the headers without it.
            return
        if self._overhead > SLICE:
            self._check_size()
        elif len(self.headers) > MAX_HEADER_LINES:
            raise HeaderFieldsTooLarge
        if self._headers_timer is not None:
            self._stop_headers_timer()
        previous = self.cycle
        HttpToolsProtocol.on_headers_complete(self)
        self._overhead = 0
        # For trailers, which nobody reads: a proxy that checks or removes headers does not see them (RFC 9110, section
        # 6.5.1).
        self.headers = []
        if self._shutting_down:
            self.cycle.keep_alive = False
            if previous is not None and not previous.response_started:
                previous.keep_alive = True

    def on_chunk_header(self) -> None:
        self._overhead -= CHUNK_FRAMING

    def on_body(self, body: bytes) -> None:
        self._overhead -= len(body)
        HttpToolsProtocol.on_body(self, body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        # What follows in this slice may belong to the next request.
        self._overhead = self._slice
        self.cycle.more_body = False
        self.cycle.message_event.set()

    # ---

    def _receive_in_slices(self, data: bytes) -> None:
        for start in range(0, len(data), SLICE):
            self.data_received(data[start : start + SLICE])

    def _ignore_offer(self, rest: bytes) -> None:
        """llhttp stops behind headers that offer another protocol, because it takes the rest of the connection for that
        protocol. RFC 9110, section 7.8, allows to ignore the offer: the same headers without it are parsed instead, and
        then the rest."""
        head = self._head_without_offer()
        # The other one takes nothing more if the connection is to be closed.
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._overhead = 0
        self.data_received(head)
        if rest:
            self.data_received(rest)

    def _check_size(self) -> None:
        """Raises UriTooLong or HeaderFieldsTooLarge."""
        if self._overhead > MAX_OVERHEAD:
            raise HeaderFieldsTooLarge
        if self._is_in_headers() and len(self.url) > MAX_TARGET:
            raise UriTooLong("request target", MAX_TARGET)
        size = sum(len(name) + len(value) + 4 for name, value in self.headers or ())
        if size > MAX_HEADERS or len(self.headers or ()) > MAX_HEADER_LINES:
            raise HeaderFieldsTooLarge

    def _head_without_offer(self) -> bytes:
        version = self.parser.get_http_version().encode()
        lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, version)]
        lines += [b"%s: %s" % field for field in self.headers if field[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def _reject(self, problem: Problem) -> None:
        """Answers the request that is being received with a problem, after the answers to those before it, and closes
        the connection. Everything that follows is discarded."""
        self._closing = True
        self._stop_headers_timer()
        cycle = self.cycle
        waiting = not self._is_idle()
        if self._is_in_body():
            if self.pipeline and self.pipeline[0][0] is cycle:
                self.pipeline.popleft()
            elif cycle.response_started:
                # It was answered before it was read.
                cycle.keep_alive = False
                if cycle.response_complete:
                    self.transport.close()
                return
            else:
                # As if the client had gone: the application stops reading the body, and sends nothing.
                cycle.disconnected = True
                cycle.message_event.set()
                waiting = False
        self.cycle = self._rejection(problem)
        if waiting:
            self.pipeline.appendleft((self.cycle, self.app))
        else:
            self._start_asgi_task(self.cycle, self.app)

    def _rejection(self, problem: Problem) -> RequestResponseCycle:
        known = self._is_in_headers() or self._is_in_body()
        scope: Any = {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": "1.1",
            "method": self.parser.get_method().decode() if known and self.url else "",
            "path": "",
            "raw_path": b"",
            "query_string": b"",
            "root_path": self.root_path,
            "scheme": self.scheme,
            "server": self.server,
            "client": self.client,
            "headers": self.scope["headers"] if known else [],
            "rejected": problem,
        }
        cycle = RequestResponseCycle(
            scope=scope,
            transport=self.transport,  # type: ignore[arg-type]
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=False,
            on_response=self.on_response_complete,
        )
        cycle.more_body = False
        return cycle

    def _is_in_headers(self) -> bool:
        """Whether a request has begun whose headers are not complete."""
        return self.scope is not None and self.scope["headers"] is self.headers

    def _is_in_body(self) -> bool:
        """Whether the headers of a request are complete, and the request is not."""
        return self.cycle is not None and self.cycle.more_body and not self._is_in_headers()

    def _is_idle(self) -> bool:
        """Whether every request that was received is answered."""
        return self.cycle is None or self.cycle.response_complete

    def _close_if_idle(self) -> None:
        if not self._is_idle() or self._is_in_headers():
            return
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        if poll.poll(0):
            # The event loop has not read it yet.
            self.loop.call_later(IDLE_SHUTDOWN, self._close_if_idle)
        else:
            self.transport.close()

    def _close(self) -> bool:
        """Called once when the connection is to be closed. Returns whether the client may still be sending."""
        sending = self._closing or self._is_in_headers() or self._is_in_body()
        self._closing = True
        if sending:
            self.flow.resume_reading()
        return sending

    def _start_headers_timer(self) -> None:
        self._headers_timer = self.loop.call_later(HEADERS_TIMEOUT, self._on_headers_timeout)

    def _stop_headers_timer(self) -> None:
        if self._headers_timer is not None:
            self._headers_timer.cancel()
            self._headers_timer = None

    def _on_headers_timeout(self) -> None:
        self._headers_timer = None
        if self._is_in_headers():
            self._reject(RequestTimeout())
        else:
            # No request has begun, or the rest of one that was answered does not come.
            self.transport.close()

"""uvicorn's HTTP/1.1 protocol, extended: limits on the header section, ignored upgrade offers, dropped trailers, errors
as problems in the order of the requests, and a shutdown that resets no request (docs/decisions/0015-http-protocol.md).
`time_limits.py` adds limits on time.

A protocol error is answered by the application: the request is passed on with the problem under `scope["rejected"]`, so
that its response has the request id, the headers and the log line of every other response.
"""

import asyncio
import select
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from fastapi_contract.problems import HeaderFieldsTooLarge, InvalidRequest, Problem, RequestTimeout, UriTooLong
from fastapi_contract.serving.time_limits import TimedProtocol
from fastapi_contract.serving.transport import CoalescingTransport

MAX_TARGET = 8 * 1024
"""Maximum bytes of a request target (RFC 9112, section 3, recommends at least 8,000 for the whole request line)."""
MAX_HEADERS = 32 * 1024
"""Maximum bytes of a header section: names, values, and four for each line."""
MAX_HEADER_LINES = 100
"""Maximum header lines of a request, and also maximum trailer lines."""
SLICE = MAX_TARGET
"""Bytes that are parsed between two checks of the limits: at most 2,000 headers, which take 1 ms."""
MAX_OVERHEAD = MAX_TARGET + MAX_HEADERS + 2 * SLICE
"""Maximum bytes of an incomplete header section, or of a body's chunk extensions and trailers, counted by slice."""
CHUNK_FRAMING = 16
"""Bytes of framing allowed for each chunk: its size, two line ends and some leading zeros."""
IDLE_DRAIN_TIMEOUT = 0.5
"""Seconds after which a shutdown closes an idle connection, so that a request already sent can still arrive."""

_MALFORMED = "The request cannot be parsed. Send HTTP/1.1 as RFC 9112 defines it."


class Protocol(TimedProtocol):
    """One connection. The parser calls the `on_…` methods while it is fed; a Problem raised there rejects the request.

    Limits are checked between slices of the received bytes and once when the headers are complete, which adds almost
    nothing to a small request.
    """

    transport: CoalescingTransport  # type: ignore[assignment]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Bytes received since the last complete request or header section, without the body: an upper bound for the
        # size of the incomplete part.
        self._overhead = self._slice = 0
        self._closing = False
        self._shutting_down = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        coalescing = CoalescingTransport(transport, self.loop, self._on_close)
        super().connection_made(coalescing)  # type: ignore[arg-type]
        self._make_room()

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        if (size := len(data)) > SLICE:
            self._receive_in_slices(data)
            return
        self._slice = size
        self._overhead += size
        try:
            self.parser.feed_data(data)
            if self._overhead > SLICE:
                self._check_size()
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            cause = error.__context__
            self._reject(cause if isinstance(cause, Problem) else InvalidRequest(_MALFORMED))
        except Problem as problem:
            self._reject(problem)

    def shutdown(self) -> None:
        """Called once by the server when it shuts down. Received requests are answered, the last one with
        `Connection: close`; an idle connection is closed after IDLE_DRAIN_TIMEOUT seconds."""
        self._shutting_down = True
        if self._is_idle():
            self.loop.call_later(IDLE_DRAIN_TIMEOUT, self._close_if_idle)
        else:
            self.cycle.keep_alive = False

    # --- Callbacks of the parser

    def on_headers_complete(self) -> None:
        parser = self.parser
        if parser.should_upgrade():
            if parser.get_method() == b"CONNECT":
                raise InvalidRequest("CONNECT is not supported, because this server is not a proxy.")
            # An upgrade offer: _ignore_upgrade() parses the headers again without it.
            return
        if self._overhead > SLICE:
            self._check_size()
        elif len(self.headers) > MAX_HEADER_LINES:
            raise HeaderFieldsTooLarge
        previous = self.cycle
        HttpToolsProtocol.on_headers_complete(self)
        self._overhead = 0
        # The parser adds trailers to this new list, which is never read, because trailers bypass a proxy that checks or
        # removes headers (RFC 9110, section 6.5.1).
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
        # The rest of this slice may belong to the next request.
        self._overhead = self._slice
        self.cycle.more_body = False
        self.cycle.message_event.set()

    # --- Internals

    def _receive_in_slices(self, data: bytes) -> None:
        for start in range(0, len(data), SLICE):
            self.data_received(data[start : start + SLICE])

    def _ignore_upgrade(self, rest: bytes) -> None:
        """Ignores an upgrade offer, as RFC 9110, section 7.8, allows: the same headers are parsed without it, and then
        the rest. Necessary because llhttp stops after the headers, and expects the other protocol from there on."""
        headers = self._headers_without_upgrade()
        # Otherwise the parser rejects the rest after `Connection: close`.
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._overhead = 0
        self.data_received(headers)
        if rest:
            self.data_received(rest)

    def _check_size(self) -> None:
        """Raises UriTooLong or HeaderFieldsTooLarge if the request exceeds a limit."""
        if self._overhead > MAX_OVERHEAD:
            raise HeaderFieldsTooLarge
        if self._is_in_headers() and len(self.url) > MAX_TARGET:
            raise UriTooLong("request target", MAX_TARGET)
        size = sum(len(name) + len(value) + 4 for name, value in self.headers or ())
        if size > MAX_HEADERS or len(self.headers or ()) > MAX_HEADER_LINES:
            raise HeaderFieldsTooLarge

    def _headers_without_upgrade(self) -> bytes:
        version = self.parser.get_http_version().encode()
        lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, version)]
        lines += [b"%s: %s" % field for field in self.headers if field[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def _reject(self, problem: Problem) -> None:
        """Answers the request that is being received with a problem, after the responses to earlier requests, and
        closes the connection. Further input is discarded."""
        self._closing = True
        cycle = self.cycle
        waiting = not self._is_idle()
        if self._is_in_body():
            if self.pipeline and self.pipeline[0][0] is cycle:
                self.pipeline.popleft()
            elif cycle.response_started:
                # It was answered before its body was complete.
                cycle.keep_alive = False
                if cycle.response_complete:
                    self.transport.close()
                return
            else:
                # The application sees a disconnect: it stops reading the body, and sends nothing.
                cycle.disconnected = True
                cycle.message_event.set()
                waiting = False
        self.cycle = self._rejection_cycle(problem)
        if waiting:
            self.pipeline.appendleft((self.cycle, self.app))
        else:
            self._start_asgi_task(self.cycle, self.app)

    def _rejection_cycle(self, problem: Problem) -> RequestResponseCycle:
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

    def _is_idle(self) -> bool:
        """Returns whether every received request is answered."""
        return self.cycle is None or self.cycle.response_complete

    def _close_if_idle(self) -> None:
        if not self._is_idle() or self._is_in_headers():
            return
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        if poll.poll(0):
            # The socket has input that the event loop has not read yet.
            self.loop.call_later(IDLE_DRAIN_TIMEOUT, self._close_if_idle)
        else:
            self.transport.close()

    def _on_close(self) -> bool:
        """Called once by the transport when it closes. Returns whether the client may still be sending."""
        sending = self._closing or self._is_in_headers() or self._is_in_body()
        self._closing = True
        if sending:
            self.flow.resume_reading()
        return sending

    def _reject_slow(self) -> None:
        self._reject(RequestTimeout())

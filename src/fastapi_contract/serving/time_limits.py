"""uvicorn's HTTP/1.1 protocol with limits on time and on the number of connections (docs/decisions/0026).

They cost a request nothing: once a second the server calls `check_time` of each connection, which compares what the
connection waits for with what it waited for a second ago.
"""

import asyncio
import enum
import itertools
import math
from abc import abstractmethod
from typing import Any

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from fastapi_contract.middleware.limited_log import LimitedLog
from fastapi_contract.serving.limits import Config

WRITE_PROGRESS = 64 * 1024
"""Bytes that a client must read within the timeout for writing: with its default, 1 KiB/s."""

_events = itertools.count()
_log = LimitedLog()


class Wait(enum.Enum):
    """What a connection waits for."""

    HEADERS = enum.auto()
    BODY = enum.auto()
    HANDLER = enum.auto()
    STREAM = enum.auto()
    """For the rest of a response, which has no deadline."""
    NEXT_REQUEST = enum.auto()


class TimedProtocol(HttpToolsProtocol):
    """One connection, whose client and handlers have limited time."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        assert isinstance(self.config, Config)
        self._limits = self.config.limits
        # The request whose application runs, or ran last; self.cycle is the one that was received last.
        self._running: RequestResponseCycle | None = None
        self._task: asyncio.Task[None] | None = None
        # What the connection waited for at the last check, with the last request, and since when.
        self._waits: tuple[Wait, object] | None = None
        self._since = math.inf
        # Orders connections by their last response, or their start.
        self._order = next(_events)
        # The size of the write buffer when the client last read, and when that was.
        self._unread: tuple[int, float] | None = None

    def resume_writing(self) -> None:
        super().resume_writing()
        self._unread = None

    def on_response_complete(self) -> None:
        # uvicorn's method without its timer for each response.
        self.server_state.total_requests += 1
        self._order = next(_events)
        if not self.transport.is_closing():
            self.flow.resume_reading()
            if self.pipeline:
                self._start_asgi_task(*self.pipeline.pop())

    def check_time(self, now: float) -> None:
        """Ends what takes longer than a limit. Called once a second; `now` is time.monotonic()."""
        if self._is_unread(now):
            self.transport.abort()
        elif self.transport.is_closing():
            return
        elif (waits := self._wait()) != self._waits:
            self._waits, self._since = waits, now
        elif now - self._since >= self._timeout(waits[0]):
            self._since = now
            self._on_timeout(waits[0])

    def waiting_since(self) -> tuple[float, int] | None:
        """Returns since when the connection waits for its client, as far as the last check knows, and the order of
        those that it does not know; or None if the connection does not wait for its client."""
        waits = self._wait()
        if self._unread is not None:
            return self._unread[1], self._order
        if waits[0] in (Wait.HANDLER, Wait.STREAM):
            return None
        return (self._since if waits == self._waits else math.inf), self._order

    def close_early(self) -> None:
        """Closes the connection; with a reset if it has a request or is being closed."""
        if self._wait()[0] is Wait.NEXT_REQUEST and not self.transport.is_closing():
            self.transport.close()
        else:
            self.transport.abort()

    @abstractmethod
    def _reject_slow(self) -> None:
        """Answers the request that is being received with 408, and closes the connection."""

    def _is_in_headers(self) -> bool:
        """Returns whether a request has begun whose headers are incomplete."""
        return self.scope is not None and self.scope["headers"] is self.headers

    def _is_in_body(self) -> bool:
        """Returns whether the headers of a request are complete and its body is not."""
        return self.cycle is not None and self.cycle.more_body and not self._is_in_headers()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        self._task = task = self.loop.create_task(cycle.run_asgi(app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def _wait(self) -> tuple[Wait, object]:
        """Returns what the connection waits for, and the request after which or for which it waits."""
        running = self._running
        if running is not None and not running.response_complete:
            if running.response_started:
                return Wait.STREAM, running
            is_sending = running.more_body and not running.waiting_for_100_continue and not self.flow.read_paused
            return (Wait.BODY if is_sending else Wait.HANDLER), running
        if self.cycle is None or self._is_in_headers():
            return Wait.HEADERS, self.cycle
        return (Wait.BODY if self.cycle.more_body else Wait.NEXT_REQUEST), self.cycle

    def _timeout(self, wait: Wait) -> float:
        match wait:
            case Wait.HEADERS:
                return self._limits.headers_timeout
            case Wait.BODY:
                return self._limits.body_timeout
            case Wait.HANDLER:
                return self._limits.request_timeout
            case Wait.STREAM:
                return math.inf
            case Wait.NEXT_REQUEST:
                return self._limits.idle_timeout

    def _on_timeout(self, wait: Wait) -> None:
        if wait is Wait.HANDLER:
            assert self._task is not None
            self._task.cancel()
        elif self._is_in_headers() or self._is_in_body():
            self._reject_slow()
        else:
            self.transport.close()

    def _is_unread(self, now: float) -> bool:
        """Returns whether the client has not read enough of a response in time."""
        size = self.transport.get_write_buffer_size()
        if not size:
            self._unread = None
        elif self._unread is None or size <= self._unread[0] - WRITE_PROGRESS:
            self._unread = size, now
        else:
            return now - self._unread[1] >= self._limits.write_timeout
        return False

    def _make_room(self) -> None:
        """If there are too many connections, closes the one that has waited for its client longest: this one if all
        others wait for handlers."""
        if len(self.connections) <= self._limits.connections:
            return
        _log.warning("connection limit reached", setting="MAX_CONNECTIONS")
        others = (each for each in self.connections if each is not self and isinstance(each, TimedProtocol))
        waiting = {each: since for each in others if (since := each.waiting_since()) is not None}
        oldest = min(waiting, key=waiting.__getitem__, default=self)
        # Now, because connections that are accepted together are counted before one is closed.
        self.connections.discard(oldest)
        oldest.close_early()

"""A transport that sends the head and body of a response together, and completely before the connection is closed."""

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Any

LINGER_TIMEOUT = 2
"""Seconds for which input is discarded after a response that was sent before its request was complete. A socket that is
closed with unread input sends a reset, which can destroy the response (RFC 9112, section 9.6)."""


class CoalescingTransport:
    """Coalesces all writes within one iteration of the event loop into one. uvicorn writes the head and the body of a
    response separately, which takes a system call and a packet each."""

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, on_close: Callable[[], bool]
    ) -> None:
        """`on_close` is called once when the connection is closed, and returns whether the client may still send."""
        self._transport = transport
        self._loop = loop
        self._on_close = on_close
        self._buffer: list[bytes] = []
        self._lingering = False

    def write(self, data: bytes) -> None:
        if not self._buffer:
            self._loop.call_soon(self._flush)
        self._buffer.append(data)

    def is_closing(self) -> bool:
        return self._lingering or self._transport.is_closing()

    def close(self) -> None:
        """Flushes and closes. If the client may still be sending, only the sending side is shut down; the socket is
        closed when the client closes it, or LINGER_TIMEOUT seconds later."""
        self._flush()
        if self.is_closing():
            return
        if self._on_close():
            self._lingering = True
            self._transport.write_eof()
            self._loop.call_later(LINGER_TIMEOUT, self._transport.close)
        else:
            self._transport.close()

    def abort(self) -> None:
        """Closes with a reset. Otherwise the kernel keeps what the client has not read for minutes."""
        connection = self._transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def _flush(self) -> None:
        buffer, self._buffer = self._buffer, []
        if buffer and not self._lingering and not self._transport.is_closing():
            self._transport.write(b"".join(buffer))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

"""How the bytes of an answer leave: together, and whole before the connection is closed."""

import asyncio
from collections.abc import Callable
from typing import Any

LINGER = 2
"""Seconds for which input is discarded after an answer that came before the end of its request. A socket that is closed
with unread input sends a reset, which can destroy the answer (RFC 9112, section 9.6)."""


class GatheringTransport:
    """Sends together what is written within one step of the event loop. uvicorn writes the head and the body of an
    answer one after the other, which is a system call and a packet each."""

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, on_close: Callable[[], bool]
    ) -> None:
        """`on_close` returns whether the client may still be sending."""
        self._transport = transport
        self._loop = loop
        self._on_close = on_close
        self._written: list[bytes] = []
        self._lingering = False

    def write(self, data: bytes) -> None:
        if not self._written:
            self._loop.call_soon(self._send)
        self._written.append(data)

    def is_closing(self) -> bool:
        return self._lingering or self._transport.is_closing()

    def close(self) -> None:
        """Sends what was written. If the client may still be sending, only the end of the stream follows: the socket is
        closed when the client closes it, or LINGER seconds later."""
        self._send()
        if self.is_closing():
            return
        if self._on_close():
            self._lingering = True
            self._transport.write_eof()
            self._loop.call_later(LINGER, self._transport.close)
        else:
            self._transport.close()

    def _send(self) -> None:
        written, self._written = self._written, []
        if written and not self._lingering and not self._transport.is_closing():
            self._transport.write(b"".join(written))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

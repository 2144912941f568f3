"""uvicorn's server with a shutdown that resets no request (docs/decisions/0015-http-protocol.md), and with time limits
(docs/decisions/0026).

Imports nothing of the application, because each worker loads this module before it answers its parent.
"""

import asyncio
import ctypes
import multiprocessing
import select
import socket
import struct
import sys
import time
from collections.abc import Sequence

import uvicorn

from fastapi_contract.serving.ending import ending

TICKS_PER_CHECK = 10
"""uvicorn's ticks, of 0.1 s, between two checks of time limits: 1,000 connections take 2 ms."""
HANDSHAKE_TIMEOUT = 0.1
"""Seconds for handshakes in progress to complete after a shutdown begins."""
SUPERVISOR_INTERVAL = 0.5
"""Seconds between two checks for signals in uvicorn's supervisor."""
QUEUE_DRAIN_TIMEOUT = 0.5
"""Seconds after that for the listener's queue to become empty. Reached only if one of several workers is restarted."""

SO_ATTACH_FILTER = 26
"""From Linux' asm-generic/socket.h; Python's socket module does not define it."""
_DROP_HANDSHAKES = (
    (0x30, 0, 0, 13),  # Load byte 13 of the TCP header: the flags (RFC 9293, section 3.1).
    (0x54, 0, 0, 0x12),  # Keep SYN and ACK.
    (0x15, 0, 1, 0x02),  # SYN alone begins a handshake:
    (0x06, 0, 0, 0),  # drop it,
    (0x06, 0, 0, 0xFFFFFFFF),  # and keep everything else.
)
"""Instructions of classic BPF: code, jump if true, jump if false, operand."""


class Server(uvicorn.Server):
    """uvicorn's server, except that it checks the time limits of all connections, and that a shutdown takes over every
    connection that the kernel has accepted before it closes the listener. uvicorn closes the listener with its queue,
    which resets the connections in the queue."""

    async def on_tick(self, counter: int) -> bool:
        if counter % TICKS_PER_CHECK == 0:
            now = time.monotonic()
            for connection in list(self.server_state.connections):
                connection.check_time(now)  # type: ignore[union-attr]
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        ending().set()
        listeners = sockets or []
        if multiprocessing.parent_process() is None:
            ignore_new_handshakes(listeners)
            await asyncio.sleep(HANDSHAKE_TIMEOUT)
        else:
            # Other workers may still use this listener. Only the parent knows, and ignores handshakes for all workers.
            await asyncio.sleep(SUPERVISOR_INTERVAL + HANDSHAKE_TIMEOUT)
        poll = select.poll()
        for listener in listeners:
            poll.register(listener, select.POLLIN)
        deadline = time.monotonic() + QUEUE_DRAIN_TIMEOUT
        # Polled, because no event reports an empty queue.
        while poll.poll(0) and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await super().shutdown(sockets)


def ignore_new_handshakes(listeners: Sequence[socket.socket]) -> None:
    """Makes the kernel ignore new handshakes, so that the queue of each listener can be drained. A client retries its
    handshake after a second; by then the port is closed, or another process listens on it.

    If no filter can be set (only Linux has it, and some sandboxes forbid it) the queue is limited to one connection,
    and a connection that arrives while the listener closes is still reset.
    """
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in _DROP_HANDSHAKES))
    program = struct.pack("HP", len(_DROP_HANDSHAKES), ctypes.addressof(code))
    for listener in listeners:
        try:
            if sys.platform != "linux":
                raise OSError
            listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
        except OSError:
            listener.listen(0)

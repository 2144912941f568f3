"""uvicorn's server with a shutdown that resets no request (docs/decisions/0015-http-protocol.md).

Imports nothing of the application, because each worker loads it before it answers its parent.
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

HANDSHAKES = 0.1
"""Seconds in which handshakes that have begun when a shutdown begins are completed."""
SUPERVISOR_TICK = 0.5
"""Seconds between two looks of uvicorn's supervisor at its signals."""
MAX_DRAIN = 0.5
"""Seconds that the queue of the listener may then take. Only a restarted worker among others reaches it."""

SO_ATTACH_FILTER = 26
"""From Linux' asm-generic/socket.h; Python has no name for it."""
_NO_HANDSHAKES = (
    (0x30, 0, 0, 13),  # Load byte 13 of the TCP header: the flags (RFC 9293, section 3.1).
    (0x54, 0, 0, 0x12),  # Keep SYN and ACK.
    (0x15, 0, 1, 0x02),  # SYN alone begins a handshake:
    (0x06, 0, 0, 0),  # drop it,
    (0x06, 0, 0, 0xFFFFFFFF),  # and keep everything else.
)
"""Instructions of classic BPF: code, jump if true, jump if false, operand."""


class Server(uvicorn.Server):
    """uvicorn's, but on shutdown the listener closes only after every connection that the kernel has accepted is
    taken over. uvicorn closes it with its queue, which resets the connections in it."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        listeners = sockets or []
        if multiprocessing.parent_process() is None:
            hold_new_connections(listeners)
            await asyncio.sleep(HANDSHAKES)
        else:
            # Other workers may go on with the same listener: only the parent knows, and holds it for all.
            await asyncio.sleep(SUPERVISOR_TICK + HANDSHAKES)
        poll = select.poll()
        for listener in listeners:
            poll.register(listener, select.POLLIN)
        deadline = time.monotonic() + MAX_DRAIN
        # No event tells that it is empty.
        while poll.poll(0) and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await super().shutdown(sockets)


def hold_new_connections(listeners: Sequence[socket.socket]) -> None:
    """Makes the kernel ignore new handshakes, so that the queue of a listener can be drained. A client repeats its
    handshake after a second and is then refused, or served by whatever listens there by then.

    Where no filter may be set (only Linux has it, and some sandboxes forbid it) the queue is limited to one connection,
    and one that arrives while the listener closes is still reset.
    """
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in _NO_HANDSHAKES))
    program = struct.pack("HP", len(_NO_HANDSHAKES), ctypes.addressof(code))
    for listener in listeners:
        try:
            if sys.platform != "linux":
                raise OSError
            listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
        except OSError:
            listener.listen(0)

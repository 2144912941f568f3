"""Ports of the loopback for servers of the tests."""

import secrets
import socket
from contextlib import suppress


def free_port() -> int:
    """Below those that the system gives to connections: one of them could take it while a server is stopped."""
    while True:
        port = 20000 + secrets.randbelow(10000)
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


def next_port() -> int:
    """The system's choice, which it does not repeat soon: two workers that start servers do not get the same one."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port

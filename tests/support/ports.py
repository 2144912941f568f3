"""Free ports of the loopback interface, for servers of the tests."""

import secrets
import socket
from contextlib import suppress


def free_port() -> int:
    """Return a port below the ephemeral ones, so that no connection can take it while a server is stopped."""
    while True:
        port = 20000 + secrets.randbelow(10000)
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


def next_port() -> int:
    """Return a port that the system chooses. It does not choose it again soon, so that workers get different ports."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port

"""HTTP by hand, for what no client sends."""

import socket
from urllib.parse import urlsplit


def exchange(url: str, request: bytes, timeout: float = 10) -> bytes:
    """Sends bytes as they are, and answers what comes back until the server closes, or until `timeout` seconds
    bring nothing more: the connection was kept open."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname or "", address.port or 80), timeout) as connection:
        connection.sendall(request)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
        return received

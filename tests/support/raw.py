"""HTTP over a socket, for requests that HTTP clients do not send."""

import re
import socket
import time
from contextlib import suppress
from urllib.parse import urlsplit


def connect(url: str, timeout: float = 10) -> socket.socket:
    address = urlsplit(url)
    connection = socket.create_connection((address.hostname or "", address.port or 80), timeout)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def exchange(url: str, *packets: bytes, timeout: float = 10) -> bytes:
    """Send packets and return everything received until the server closes the connection. A pause of 20 ms between the
    packets lets the server read them one by one. Raises TimeoutError if the server keeps the connection open and sends
    nothing for `timeout` seconds."""
    with connect(url, timeout) as connection:
        for number, packet in enumerate(packets):
            if number:
                time.sleep(0.02)
            connection.sendall(packet)
        return read_to_end(connection)


def read_to_end(connection: socket.socket) -> bytes:
    received = b""
    # If the server closes the connection with unread input, a reset follows the received response.
    with suppress(ConnectionResetError):
        while chunk := connection.recv(65536):
            received += chunk
    return received


def statuses(received: bytes) -> list[int]:
    """Return the statuses of the responses in `received`, in order."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", received)]

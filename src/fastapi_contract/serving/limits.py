"""Limits on connections, which bound what slow and silent clients can occupy (docs/decisions/0026).

Imports nothing of the application, because each worker loads this module before it answers its parent.
"""

from dataclasses import dataclass

import uvicorn


@dataclass(frozen=True)
class ConnectionLimits:
    """Limits on each worker's connections. The server compares them once a second, so that a connection may exceed a
    timeout by up to two seconds."""

    connections: int = 800
    """Beyond it, the connection whose client has let the server wait for longest is closed. Below 1,024, the usual
    limit of open files."""
    idle_timeout: float = 75
    """Seconds after which a connection without a request is closed."""
    headers_timeout: float = 10
    """Seconds within which the headers of a request must be complete, from its first byte or from the connection."""
    body_timeout: float = 30
    """Seconds within which a body must be complete, from the end of the headers."""
    request_timeout: float = 60
    """Seconds within which a complete request must be answered; then its handler is cancelled."""
    write_timeout: float = 60
    """Seconds within which a client must read 64 KiB of a response, or the rest of it."""


DEFAULT_LIMITS = ConnectionLimits()


class Config(uvicorn.Config):
    """uvicorn's configuration, with limits."""

    limits = DEFAULT_LIMITS

"""Runs the application under uvicorn, with the event loop and the parser that are fastest: uvloop and httptools."""

import asyncio
import gc
import multiprocessing
import os
import signal
import threading
from multiprocessing.connection import wait
from typing import Any

import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from todo_api import logs
from todo_api.app import create_app
from todo_api.settings import load_settings

GRACE = 10
"""Seconds in which the process ends after SIGTERM. Most platforms kill it then."""
REQUESTS_GRACE = GRACE - 2
"""Seconds that requests under way have of it. The end of the pool takes up to two."""


class GatheringTransport:
    """Sends together what is written within one step of the event loop. uvicorn writes the head and the body of an
    answer one after the other, which is a system call and a packet each."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._written: list[bytes] = []

    def write(self, data: bytes) -> None:
        if not self._written:
            self._loop.call_soon(self._send)
        self._written.append(data)

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def close(self) -> None:
        self._send()
        self._transport.close()

    def _send(self) -> None:
        written, self._written = self._written, []
        if written and not self._transport.is_closing():
            self._transport.write(b"".join(written))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Protocol(HttpToolsProtocol):
    """uvicorn's, but an answer is one packet, and what can't be parsed is answered with a problem; no request id, for
    there is no request."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(GatheringTransport(transport, self.loop))  # type: ignore[arg-type]

    def send_400_response(self, msg: str) -> None:
        body = (
            b'{"type":"/problems/invalid-request","title":"The request breaks the rules of HTTP","status":400,'
            b'"detail":"The request can not be parsed. Send HTTP/1.1 as RFC 9112 has it.","instance":"unparsed"}'
        )
        head = (
            b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\nx-request-id: unparsed\r\n"
            b"cache-control: no-store\r\nx-content-type-options: nosniff\r\nconnection: close\r\n"
        )
        self.transport.write(head + b"content-length: %d\r\n\r\n" % len(body) + body)
        self.transport.close()


def run(app: FastAPI, host: str, port: int, workers: int) -> None:
    """Serves until SIGINT or SIGTERM. More than one worker: each makes its own app from the environment."""
    _settle()
    uvicorn.run(
        _entrance(app) if workers == 1 else "todo_api.server:create_worker_app",
        factory=workers > 1,
        host=host,
        port=port,
        workers=workers,
        http=Protocol,
        loop="uvloop",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        # Nothing here asks for the client's address, or for the scheme.
        proxy_headers=False,
        timeout_graceful_shutdown=REQUESTS_GRACE,
    )


def create_worker_app() -> ASGIApp:
    settings = load_settings()
    logs.configure(settings.log_format, settings.log_level)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    app = create_app(settings)
    _settle()
    return _entrance(app)


def _entrance(app: FastAPI) -> ASGIApp:
    """Past FastAPI's own and Starlette's, which find out for each request what is known: two coroutines."""
    assert app.middleware_stack is not None
    return app.middleware_stack


def _settle() -> None:
    """What is there by now stays: the collector of garbage, where it was off until now, need not look at it."""
    gc.collect()
    gc.freeze()
    gc.enable()


def _end_with_parent() -> None:
    """uvicorn's workers outlive a parent that was killed, and would hold the port for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)

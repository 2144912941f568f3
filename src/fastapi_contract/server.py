"""Runs the application under uvicorn, with the event loop and the parser that are fastest: uvloop and httptools."""

import gc
import multiprocessing
import os
import signal
import socket
import sys
import threading
from contextlib import suppress
from multiprocessing.connection import wait

import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp
from uvicorn.config import STARTUP_FAILURE

from fastapi_contract.shutdown import Server
from fastapi_contract.workers import Supervisor

GRACE = 10
"""Seconds in which the process ends after SIGTERM. Most platforms kill it then."""
REQUESTS_GRACE = GRACE - 3
"""Seconds that requests in progress have of it. Noticing the signal and draining the listener take up to one second,
closing the pool up to two."""


def bind(host: str, port: int) -> socket.socket:
    """A socket for `run`, which does not listen yet. Port 0 is any free one. IPv6 addresses may be in brackets.

    Raises OSError (socket.gaierror for an unknown name) and UnicodeError (for what can be no name).
    """
    found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    # `localhost` is ::1 first on many machines, and clients that are told 127.0.0.1 would not reach it.
    family, _, _, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)
    listener = socket.socket(family)
    try:
        # A port whose last connections are still being closed is free.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except BaseException:
        listener.close()
        raise
    return listener


def configuration(app: ASGIApp | str, workers: int = 1) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        factory=workers > 1,
        workers=workers,
        # By name: a worker must answer its parent before it has loaded the application.
        http="fastapi_contract.protocol:Protocol",
        loop="uvloop",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        # Nothing here asks for the client's address, or for the scheme.
        proxy_headers=False,
        timeout_graceful_shutdown=REQUESTS_GRACE,
        # On a busy machine a worker that loads the application does not answer for 5 s, uvicorn's own limit.
        timeout_worker_healthcheck=30,
    )


def run(app: FastAPI, listener: socket.socket, workers: int, factory: str) -> None:
    """Serves on a bound socket until SIGINT or SIGTERM. Each of several workers is a process of its own, and makes its
    app by `factory` ("module:function"), which returns what `worker_app` does."""
    _settle()
    with suppress(KeyboardInterrupt), listener:
        if workers == 1:
            server = Server(configuration(_entrance(app)))
            server.run([listener])
            if not server.started:
                sys.exit(STARTUP_FAILURE)
        else:
            listener.set_inheritable(True)
            Supervisor(configuration(factory, workers), [listener]).run()


def worker_app(app: FastAPI) -> ASGIApp:
    """The entry point of an app that a worker has made. From now on the worker ends when its parent does."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
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

"""Runs an application under uvicorn, with the fastest event loop and parser: uvloop and httptools."""

import gc
import multiprocessing
import os
import signal
import socket
import sys
import threading
from contextlib import suppress
from multiprocessing.connection import wait

from fastapi import FastAPI
from starlette.types import ASGIApp
from uvicorn.config import STARTUP_FAILURE

from fastapi_contract.serving.limits import DEFAULT_LIMITS, Config, ConnectionLimits
from fastapi_contract.serving.shutdown import Server
from fastapi_contract.serving.workers import Supervisor

SHUTDOWN_TIMEOUT = 10
"""Seconds after SIGTERM within which the process ends. Most platforms send SIGKILL then."""
DRAIN_TIMEOUT = SHUTDOWN_TIMEOUT - 3
"""Seconds of it for requests in progress, which are then cancelled. Receiving the signal and draining the listener's
queue take up to one second, closing the pool up to two."""
UNSENT_LIMIT = 64 * 1024
"""Bytes of responses that the kernel holds for a connection, besides those on the way."""


def bind(host: str, port: int) -> socket.socket:
    """Returns a bound socket for `run`, which does not listen yet.

    `host` is a name or an address; an IPv6 address may be in brackets. Port 0 selects a free port. Raises OSError
    (socket.gaierror if the name is unknown) or UnicodeError (if it cannot be a name).

        listener = bind("127.0.0.1", 0)
        host, port = listener.getsockname()[:2]
    """
    found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    # IPv4 first, because `localhost` resolves to ::1 first on many machines, which clients of 127.0.0.1 cannot reach.
    family, _, _, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)
    listener = socket.socket(family)
    try:
        # Otherwise a restart fails while connections of the previous process are in TIME_WAIT.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Connections inherit it. Otherwise the kernel takes 3 MB of a response, and the write buffer does not show
        # whether the client reads.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_LIMIT)
        listener.bind(address)
    except BaseException:
        listener.close()
        raise
    return listener


def configuration(app: ASGIApp | str, workers: int = 1, limits: ConnectionLimits = DEFAULT_LIMITS) -> Config:
    """Returns uvicorn's configuration as `run` uses it. With several workers `app` is the name of a factory,
    "module:function", otherwise the application. `limits` are those of each worker's connections.

        server = Server(configuration(app))  # fastapi_contract.serving.shutdown.Server
        server.run([bind("127.0.0.1", 8000)])
    """
    config = Config(
        app,
        factory=workers > 1,
        workers=workers,
        # Imported by name, because a worker must answer its parent before it has loaded the application.
        http="fastapi_contract.serving.protocol:Protocol",
        loop="uvloop",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        # Neither the client's address nor the scheme is used.
        proxy_headers=False,
        timeout_graceful_shutdown=DRAIN_TIMEOUT,
        # uvicorn's default, 5 s, is too short for a worker that loads the application on a busy machine.
        timeout_worker_healthcheck=30,
    )
    config.limits = limits
    return config


def run(
    app: FastAPI,
    listener: socket.socket,
    workers: int,
    factory: str,
    limits: ConnectionLimits = DEFAULT_LIMITS,
) -> None:
    """Serves on a bound socket until SIGINT or SIGTERM, and closes it.

    One worker serves `app` in this process. If there are several, each is a separate process and serves the app that
    `factory` ("module:function", see `worker_app`) returns. `limits` are those of each worker's connections. Raises
    SystemExit if the lifespan fails to start.

        run(contract_app(contract, [router]), bind("127.0.0.1", 8000), workers=2, factory="hello:create_worker_app")
    """
    _freeze_gc()
    with suppress(KeyboardInterrupt), listener:
        if workers == 1:
            server = Server(configuration(_asgi_entry_point(app), limits=limits))
            server.run([listener])
            if not server.started:
                sys.exit(STARTUP_FAILURE)
        else:
            listener.set_inheritable(True)
            Supervisor(configuration(factory, workers, limits), [listener]).run()


def worker_app(app: FastAPI) -> ASGIApp:
    """Prepares the process of a worker that has made `app`, so that it ends when its parent ends.

    Returns the ASGI app that the worker's factory must return.

        def create_worker_app() -> ASGIApp:
            return worker_app(contract_app(contract, [router]))
    """
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _freeze_gc()
    return _asgi_entry_point(app)


def _asgi_entry_point(app: FastAPI) -> ASGIApp:
    """Returns the ASGI app below FastAPI.__call__ and Starlette.__call__. Skipping these saves two coroutines per
    request."""
    assert app.middleware_stack is not None
    return app.middleware_stack


def _freeze_gc() -> None:
    """Excludes all current objects, which live as long as the process, from garbage collection, and turns collection
    on."""
    gc.collect()
    gc.freeze()
    gc.enable()


def _end_with_parent() -> None:
    """Waits for the end of the parent, then stops this worker. uvicorn's workers survive a parent that is killed, and
    would keep the port in use."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)

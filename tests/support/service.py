"""A service over HTTP in a thread, and clients that check every response against the contract."""

import re
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from fastapi import FastAPI

from fastapi_contract.serving.limits import DEFAULT_LIMITS, ConnectionLimits
from fastapi_contract.serving.server import bind, configuration
from fastapi_contract.serving.shutdown import Server
from support.contract_watch import ContractWatch
from todo_api.auth.tokens import sign
from todo_api.settings import Settings

SECRET = "a secret of the tests, 32 bytes or more"
WATCH = ContractWatch()


# Shared, because httpx would create a TLS context for each client in 60 ms, although no server uses TLS.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@dataclass
class Service:
    """A running service. Its clients check every response against the contract."""

    url: str
    app: FastAPI
    _clients: ExitStack = field(default_factory=ExitStack)

    def token(self, user_id: str) -> str:
        return sign(SECRET, user_id, lifetime=600)

    def client(self, user_id: str | None = None, **headers: str) -> httpx.Client:
        """Return a client with the token of the user, if one is given."""
        if user_id is not None:
            headers["Authorization"] = f"Bearer {self.token(user_id)}"
        client = httpx.Client(
            base_url=self.url,
            headers=headers,
            event_hooks={"response": [WATCH.observe]},
            timeout=30,
            verify=NO_TLS,
        )
        return self._clients.enter_context(client)

    def close(self) -> None:
        self._clients.close()


@contextmanager
def running(app: FastAPI, limits: ConnectionLimits = DEFAULT_LIMITS) -> Iterator[Service]:
    """Serve an app over HTTP as `todo-api serve` does, on a free port of the loopback interface."""
    with all_running([app], limits) as [service]:
        yield service


@contextmanager
def all_running(apps: Iterable[FastAPI], limits: ConnectionLimits = DEFAULT_LIMITS) -> Iterator[list[Service]]:
    """Serve several apps, which end at the same time: the end of each takes a quarter of a second."""
    started = [_start(app, limits) for app in apps]
    try:
        yield [service for service, _, _ in started]
    finally:
        for service, server, _ in started:
            service.close()
            server.should_exit = True
        for _, _, thread in started:
            thread.join(30)


def _start(app: FastAPI, limits: ConnectionLimits) -> tuple[Service, Server, threading.Thread]:
    server = Server(configuration(app, limits=limits))
    listener = bind("127.0.0.1", 0)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started:
        assert thread.is_alive(), "the service did not start"
        assert time.monotonic() < deadline, "the service does not answer"
        time.sleep(0.01)
    host, port = listener.getsockname()
    return Service(f"http://{host}:{port}", app), server, thread


def settings_for(database_url: str, **others: Any) -> Settings:
    values = {"database_url": database_url, "better_auth_secret": SECRET, "rate_limit_user": 0, **others}
    return Settings(_env_file=None, **values)


def comparable(response: httpx.Response) -> object:
    """Return status, headers and body without what differs each time: date and request id."""
    headers = [(name, value) for name, value in response.headers.multi_items() if name not in {"date", "x-request-id"}]
    body = re.sub(rb'"instance":"[^"]*","request_id":"[^"]*"', b"", response.content)
    return response.status_code, headers, body

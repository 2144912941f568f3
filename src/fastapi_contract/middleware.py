"""What holds for every request and every answer, in one layer of pure ASGI: BaseHTTPMiddleware costs more than all the
rest of a small request (130 µs against 60 measured), and each layer more adds 3 µs."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from fastapi import FastAPI
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fastapi_contract import request_id
from fastapi_contract.cors import CrossOrigin
from fastapi_contract.problems import InternalError, InvalidRequest, Problem, respond

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

_NO_SNIFFING = (b"x-content-type-options", b"nosniff")
_NO_STORE = (b"cache-control", b"no-store")


class RequestContext:
    """Gives every request an id and a log line, every answer the headers that all of them have, and whatever nobody
    foresaw a 500 that says nothing but the request id; the log has the rest.

    It stands around Starlette's own layers: their 500 would lack the CORS headers, and a browser could not read it.
    """

    def __init__(
        self,
        app: ASGIApp,
        service: FastAPI,
        cross_origin: CrossOrigin,
        *,
        log_fields: Callable[[Scope], Mapping[str, Any]],
        cancelled: Callable[[], Problem],
    ) -> None:
        """`log_fields` returns what the service adds to the log line of a request. `cancelled` makes the problem for a
        request that is cancelled because the service shuts down."""
        self.app = app
        self._service = service
        self._cross_origin = cross_origin
        self._log_fields = log_fields
        self._cancelled = cancelled
        # The other one finds out anew how it is configured, for each line: 1.2 µs.
        self._log = log.bind()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # FastAPI does it too, but the server need not go by way of its two layers.
        scope["app"] = self._service
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start = time.perf_counter()
        sent = dict(scope["headers"])
        identifier = request_id.choose(sent.get(b"x-request-id"))
        request_id.request_id.set(identifier)
        added = ((b"x-request-id", identifier.encode()), _NO_SNIFFING, *self._cross_origin.headers(sent.get(b"origin")))
        method = scope["method"]
        status: int | None = None
        if method == "HEAD":
            # uvicorn leaves out the body of an answer to HEAD.
            scope = {**scope, "method": "GET"}

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *added]
                if b"cache-control" not in dict(message["headers"]):
                    message["headers"].append(_NO_STORE)
            await send(message)

        try:
            await self._answering(scope, sent)(scope, receive, send_with_headers)
            if status is None:
                raise RuntimeError("The application has returned without an answer.")
        except ClientDisconnect:
            # The caller has gone while the body was read: nobody is there to be answered, and nothing failed.
            pass
        except BaseException as error:
            # The event loop throws GeneratorExit at its end, and nothing may be awaited then. Once the answer has
            # started, only the server can end the connection.
            if status is not None or isinstance(error, GeneratorExit):
                raise
            await self._last_resort(error)(scope, receive, send_with_headers)
        finally:
            self._tell(scope, method, status, time.perf_counter() - start)

    def _answering(self, scope: Scope, sent: Mapping[bytes, bytes]) -> ASGIApp:
        """Who answers a request."""
        if "rejected" in scope:
            # protocol.py could not read it.
            return respond(scope["rejected"])
        hosts = [name for name, _ in scope["headers"]].count(b"host")
        if hosts != 1 or scope["http_version"] != "1.1":
            fault = _framing_fault(scope, hosts)
            if fault is not None:
                return respond(InvalidRequest(fault, {"Connection": "close"}))
        if scope["method"] == "OPTIONS" and b"origin" in sent and b"access-control-request-method" in sent:
            return self._cross_origin.preflight(sent)
        return self.app

    def _tell(self, scope: Scope, method: str, status: int | None, seconds: float) -> None:
        route = scope.get("route")
        self._log.info(
            "request",
            # A 405 is of the path, and of no operation.
            operation=getattr(route, "operation_id", None) if status != 405 else None,
            method=method or None,
            path=getattr(route, "path", None),
            status=status,
            # Cut off after two digits; round() takes twenty times as long.
            duration_ms=int(seconds * 100_000) / 100,
            **self._log_fields(scope),
        )

    def _last_resort(self, error: BaseException) -> Response:
        if isinstance(error, asyncio.CancelledError):
            # The service shuts down, and this request has waited until the last moment.
            return respond(self._cancelled())
        log.error("fault", exc_info=error)
        return respond(InternalError())


def _framing_fault(scope: Scope, hosts: int) -> str | None:
    """What RFC 9112 forbids and httptools takes."""
    version = scope["http_version"]
    if version not in ("1.0", "1.1"):
        return f"HTTP/{version} is not spoken on this connection. Send HTTP/1.1."
    # Section 3.2: a request of HTTP/1.1 has exactly one.
    if hosts > 1 or (hosts == 0 and version == "1.1"):
        return f"The request must have exactly one Host header, and has {hosts}."
    # Section 6.1: whoever sends HTTP/1.0 does not know chunks, and a proxy may see another end of the body.
    if version == "1.0" and any(name == b"transfer-encoding" for name, _ in scope["headers"]):
        return "A request of HTTP/1.0 must not have Transfer-Encoding."
    return None

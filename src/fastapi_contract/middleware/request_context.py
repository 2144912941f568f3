"""The outermost ASGI layer: request id, log line, common headers, CORS, and the 500 for unexpected exceptions.

It is one layer of pure ASGI, because BaseHTTPMiddleware takes longer than the rest of a small request (130 µs against
60 µs measured), and each additional layer takes 3 µs.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from fastapi import FastAPI
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fastapi_contract.middleware import request_id
from fastapi_contract.middleware.cors import CrossOrigin
from fastapi_contract.middleware.rate_limit import AddressLimiter
from fastapi_contract.problems import InternalError, InvalidRequest, Problem, Respond
from fastapi_contract.responses.streams import IS_HEAD

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

_NO_SNIFFING = (b"x-content-type-options", b"nosniff")
_NO_STORE = (b"cache-control", b"no-store")


class RequestContext:
    """Gives every request an id and a log line, adds the common headers to every response, and turns an unexpected
    exception into a 500 that contains only the request id; its traceback is logged as `fault`.

    It wraps Starlette's own layers, because their 500 lacks the CORS headers, so that a page could not read it.
    """

    def __init__(
        self,
        app: ASGIApp,
        service: FastAPI,
        cross_origin: CrossOrigin,
        respond: Respond,
        *,
        log_fields: Callable[[Scope], Mapping[str, Any]],
        cancelled: Callable[[Scope], Problem],
        limiter: AddressLimiter | None = None,
        reject: Callable[[Scope], Problem | None] | None = None,
    ) -> None:
        """`app` is the inner ASGI app; `service` is the application that becomes `scope["app"]`. `respond` makes the
        response for a problem. `log_fields` returns the fields that the service adds to the log line of a request.
        `cancelled` makes the problem for a request that is cancelled because the service shuts down.
        `limiter` limits the requests that reach the inner app. `reject` returns a problem for a request whose header
        Prefer is not supported."""
        self.app = app
        self._service = service
        self._cross_origin = cross_origin
        self._respond = respond
        self._version = (b"api-version", service.version.encode())
        self._log_fields = log_fields
        self._cancelled = cancelled
        self._limiter = limiter
        self._reject = reject
        # Bound once, because the unbound logger looks up its configuration for each line: 1.2 µs.
        self._log = log.bind()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # FastAPI.__call__ sets it too, but the server skips FastAPI.__call__ (_asgi_entry_point in server.py).
        scope["app"] = self._service
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start = time.perf_counter()
        headers = dict(scope["headers"])
        identifier = request_id.choose(headers.get(b"x-request-id"))
        request_id.request_id.set(identifier)
        cors_headers = self._cross_origin.headers(headers.get(b"origin"))
        common_headers = ((b"x-request-id", identifier.encode()), self._version, _NO_SNIFFING, *cors_headers)
        method = scope["method"]
        status: int | None = None
        if method == "HEAD":
            # uvicorn omits the body of a response to HEAD.
            scope = {**scope, "method": "GET", IS_HEAD: True}

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *common_headers]
                if b"cache-control" not in dict(message["headers"]):
                    message["headers"].append(_NO_STORE)
            await send(message)

        try:
            await self._choose_responder(scope, headers)(scope, receive, send_with_headers)
            if status is None:
                raise RuntimeError("The application returned without a response.")
        except ClientDisconnect:
            # The client disconnected while the body was read. No response is possible, and nothing failed.
            pass
        except BaseException as error:
            # When the event loop ends it throws GeneratorExit, after which nothing may be awaited. If the response has
            # started, only the server can close the connection.
            if status is not None or isinstance(error, GeneratorExit):
                raise
            await self._handle_unexpected(error, scope)(scope, receive, send_with_headers)
        finally:
            self._log_request(scope, method, status, time.perf_counter() - start)

    def _choose_responder(self, scope: Scope, headers: Mapping[bytes, bytes]) -> ASGIApp:
        """Returns the ASGI app that answers the request: the inner app, a preflight response, or a problem."""
        if "rejected" in scope:
            # Set by protocol.py, which rejected the request.
            return self._respond(scope["rejected"])
        hosts = [name for name, _ in scope["headers"]].count(b"host")
        if hosts != 1 or scope["http_version"] != "1.1":
            fault = _framing_fault(scope, hosts)
            if fault is not None:
                return self._respond(InvalidRequest(fault, {"Connection": "close"}))
        if scope["method"] == "OPTIONS" and b"origin" in headers and b"access-control-request-method" in headers:
            return self._cross_origin.preflight(headers)
        if b"prefer" in headers and self._reject is not None and (problem := self._reject(scope)) is not None:
            return self._respond(problem)
        return self.app if self._limiter is None else self._limiter.choose(scope, headers)

    def _log_request(self, scope: Scope, method: str, status: int | None, seconds: float) -> None:
        route = scope.get("route")
        self._log.info(
            "request",
            # A 405 belongs to a path and not to an operation.
            operation=getattr(route, "operation_id", None) if status != 405 else None,
            method=method or None,
            path=getattr(route, "path", None),
            status=status,
            # Truncated to two decimal places; round() takes twenty times as long.
            duration_ms=int(seconds * 100_000) / 100,
            **self._log_fields(scope),
        )

    def _handle_unexpected(self, error: BaseException, scope: Scope) -> Response:
        if isinstance(error, asyncio.CancelledError):
            # The service shuts down, and uvicorn cancelled this request after DRAIN_TIMEOUT.
            return self._respond(self._cancelled(scope))
        log.error("fault", exc_info=error)
        return self._respond(InternalError())


def _framing_fault(scope: Scope, hosts: int) -> str | None:
    """Returns what is wrong if the request violates RFC 9112 in a way that httptools accepts, otherwise None."""
    version = scope["http_version"]
    if version not in ("1.0", "1.1"):
        return f"HTTP/{version} is not supported on this connection. Send HTTP/1.1."
    # Section 3.2: an HTTP/1.1 request has exactly one Host header.
    if hosts > 1 or (hosts == 0 and version == "1.1"):
        return f"The request must have exactly one Host header, but has {hosts}."
    # Section 6.1: HTTP/1.0 has no chunks, so a proxy in front may see another end of the body (request smuggling).
    if version == "1.0" and any(name == b"transfer-encoding" for name, _ in scope["headers"]):
        return "An HTTP/1.0 request must not have Transfer-Encoding. Send Content-Length or HTTP/1.1."
    return None

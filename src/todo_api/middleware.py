"""What holds for every request and every answer, in pure ASGI: BaseHTTPMiddleware costs more than all the rest of a
small request (130 µs against 60 measured)."""

import random
import re
import time

import structlog
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from todo_api import logs
from todo_api.problems import InvalidRequest, respond

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

# An id need not be hard to guess, and uuid4 takes four times as long. Not the common one, which others may seed.
_random = random.Random()  # noqa: S311
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._~-]{1,128}")


class RequestContext:
    """Gives every request an id and a log line, and every answer the headers that all of them have."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start = time.perf_counter()
        request_id = _request_id(scope)
        logs.request_id.set(request_id)
        method = scope["method"]
        status: int | None = None
        if method == "HEAD":
            # uvicorn leaves out the body of an answer to HEAD.
            scope = {**scope, "method": "GET"}

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = message["headers"] = list(message["headers"])
                headers.append((b"x-request-id", request_id.encode()))
                headers.append((b"x-content-type-options", b"nosniff"))
                if b"cache-control" not in dict(headers):
                    headers.append((b"cache-control", b"no-store"))
            await send(message)

        try:
            if (fault := _host_fault(scope)) is not None:
                await respond(InvalidRequest(fault, {"Connection": "close"}))(scope, receive, send_with_headers)
            else:
                await self.app(scope, receive, send_with_headers)
        finally:
            route = scope.get("route")
            log.info(
                "request",
                # A 405 is of the path, and of no operation.
                operation=getattr(route, "operation_id", None) if status != 405 else None,
                method=method,
                path=getattr(route, "path", None),
                status=status,
                duration_ms=round((time.perf_counter() - start) * 1000, 2),
            )


def _request_id(scope: Scope) -> str:
    sent = dict(scope["headers"]).get(b"x-request-id")
    if sent is not None and _REQUEST_ID.fullmatch(sent):
        return str(sent, "ascii")
    return f"{_random.getrandbits(128):032x}"


def _host_fault(scope: Scope) -> str | None:
    """RFC 9112, section 3.2: a request of HTTP/1.1 has exactly one Host. httptools takes none and several."""
    hosts = [name for name, _ in scope["headers"]].count(b"host")
    if hosts == 1 or (hosts == 0 and scope["http_version"] == "1.0"):
        return None
    return f"The request must have exactly one Host header, and has {hosts}."


class ProblemCORSMiddleware(CORSMiddleware):
    """Starlette's, but a refused preflight is a problem instead of plain text."""

    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        if response.status_code == 400:
            return respond(InvalidRequest(f"The preflight is refused: {bytes(response.body).decode()}."))
        return response

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or b"origin" in dict(scope["headers"]):
            await super().__call__(scope, receive, send)
            return

        async def send_with_vary(message: Message) -> None:
            if message["type"] == "http.response.start":
                # A cache must not give this answer to a page of another origin.
                message["headers"] = [*message["headers"], (b"vary", b"Origin")]
            await send(message)

        # Starlette's takes 8 µs for the same.
        await self.app(scope, receive, send_with_vary)

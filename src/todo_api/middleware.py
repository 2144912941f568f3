"""What holds for every request and every answer, in one layer of pure ASGI: BaseHTTPMiddleware costs more than all the
rest of a small request (130 µs against 60 measured), and each layer more adds 3 µs."""

import asyncio
import random
import re
import time
from collections.abc import Mapping, Sequence

import structlog
from fastapi import FastAPI
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from todo_api import logs
from todo_api.database.session import Work
from todo_api.limited_log import LimitedLog
from todo_api.origins import pattern
from todo_api.problems import DatabaseUnavailable, InternalError, InvalidRequest, respond

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

# An id need not be hard to guess, and uuid4 takes four times as long. Not the common one, which others may seed.
_random = random.Random()  # noqa: S311
_NO_SNIFFING = (b"x-content-type-options", b"nosniff")
_NO_STORE = (b"cache-control", b"no-store")
_NO_WORK = Work()
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._~-]{1,128}")

PREFLIGHT_MAX_AGE = 7200
"""Seconds for which a browser need not ask again. Chrome keeps no answer for longer, and without it 5 seconds."""
MAX_ORIGINS = 1000
"""Whose headers are kept. A match that is not kept takes 3 µs."""
MAX_QUOTED = 200
"""Characters of a rejected preflight that are logged."""

ResponseHeaders = tuple[tuple[bytes, bytes], ...]


class CrossOrigin:
    """Which pages may call from a browser (CORS, https://fetch.spec.whatwg.org/#http-cors-protocol)."""

    def __init__(
        self, origins: Sequence[str], methods: Sequence[str], headers: Sequence[str], exposed_headers: Sequence[str]
    ) -> None:
        """`origins` are normalized; one with a `*` is a pattern. Names of headers are compared in lower case."""
        # A cache must not give the answer for one origin to a page of another.
        self._others = ((b"vary", b"Origin"),)
        self._shared = (*self._others, (b"access-control-expose-headers", ", ".join(exposed_headers).encode()))
        self._headers: dict[bytes | None, ResponseHeaders] = {None: self._others}
        self._patterns: list[tuple[re.Pattern[bytes], bool]] = []
        for origin in origins:
            if "*" in origin:
                # A host that a * matches may be somebody else's: see docs/decisions/0013-cors.md.
                self._patterns.append((pattern(origin), origin.endswith(":*")))
            else:
                self._headers[origin.encode()] = self._allowing(origin.encode(), credentials=True)
        self._methods = frozenset(methods)
        self._allowed = frozenset(name.lower() for name in headers)
        self._preflight = {
            "Access-Control-Allow-Methods": ", ".join(methods),
            "Access-Control-Allow-Headers": ", ".join(sorted(headers, key=str.lower)),
            "Access-Control-Max-Age": str(PREFLIGHT_MAX_AGE),
        }
        self._log = LimitedLog()

    def headers(self, origin: bytes | None) -> ResponseHeaders:
        """Those of every answer. Starlette's takes 8 µs for them."""
        return self._headers.get(origin) or self._match(origin)

    def preflight(self, sent: Mapping[bytes, bytes]) -> Response:
        """The answer to a preflight. A rejected one is a problem, and the log has the setting that would allow it."""
        origin, method = sent[b"origin"], sent[b"access-control-request-method"].decode("latin-1")
        names = sent.get(b"access-control-request-headers", b"").decode("latin-1").lower().split(",")
        unknown = sorted({name.strip() for name in names} - self._allowed - {""})
        if self.headers(origin) is self._others:
            return self._reject(
                "This origin is not in ALLOWED_ORIGINS.", "ALLOWED_ORIGINS", origin=origin.decode("latin-1")
            )
        if method not in self._methods:
            return self._reject("No operation has this method.", None, method=method)
        if unknown:
            fault = "The page sends a header that is not in ALLOWED_HEADERS."
            return self._reject(fault, "ALLOWED_HEADERS", headers=", ".join(unknown))
        return Response(headers=self._preflight)

    def _match(self, origin: bytes | None) -> ResponseHeaders:
        assert origin is not None
        for allowed, credentials in self._patterns:
            if allowed.fullmatch(origin):
                headers = self._allowing(origin, credentials=credentials)
                # Anybody can invent origins that match.
                if len(self._headers) < MAX_ORIGINS:
                    self._headers[origin] = headers
                return headers
        return self._others

    def _allowing(self, origin: bytes, *, credentials: bool) -> ResponseHeaders:
        allowed = (*self._shared, (b"access-control-allow-origin", origin))
        return (*allowed, (b"access-control-allow-credentials", b"true")) if credentials else allowed

    def _reject(self, fault: str, setting: str | None, **sent: str) -> Response:
        quoted = {name: value[:MAX_QUOTED] for name, value in sent.items()}
        self._log.warning("preflight rejected", setting=setting, **quoted)
        return respond(InvalidRequest(f"The preflight is rejected: {fault}"))


class RequestContext:
    """Gives every request an id and a log line, every answer the headers that all of them have, and whatever nobody
    foresaw a 500 that says nothing but the request id; the log has the rest.

    It stands around Starlette's own layers: their 500 would lack the CORS headers, and a browser could not read it.
    """

    def __init__(self, app: ASGIApp, service: FastAPI, cross_origin: CrossOrigin) -> None:
        self.app = app
        self._service = service
        self._cross_origin = cross_origin
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
        request_id = _request_id(sent.get(b"x-request-id"))
        logs.request_id.set(request_id)
        added = ((b"x-request-id", request_id.encode()), _NO_SNIFFING, *self._cross_origin.headers(sent.get(b"origin")))
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
            await _last_resort(error)(scope, receive, send_with_headers)
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
        work: Work = scope.get("database_work", _NO_WORK)
        self._log.info(
            "request",
            # A 405 is of the path, and of no operation.
            operation=getattr(route, "operation_id", None) if status != 405 else None,
            method=method or None,
            path=getattr(route, "path", None),
            status=status,
            # Cut off after two digits; round() takes twenty times as long.
            duration_ms=int(seconds * 100_000) / 100,
            database_ms=int(work.seconds * 100_000) / 100,
            statements=work.statements,
            repeated=work.repeated,
        )


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


def _request_id(sent: bytes | None) -> str:
    if sent is not None and _REQUEST_ID.fullmatch(sent):
        return str(sent, "ascii")
    return _random.randbytes(16).hex()


def _last_resort(error: BaseException) -> Response:
    if isinstance(error, asyncio.CancelledError):
        # The service ends, and this request has waited for the database until the last moment.
        return respond(DatabaseUnavailable())
    log.error("fault", exc_info=error)
    return respond(InternalError())

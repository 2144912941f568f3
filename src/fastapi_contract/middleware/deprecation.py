"""The end of an operation's life on the wire: Deprecation (RFC 9745), Sunset (RFC 8594), and a link to what it means.

The contract has the days, as `x-deprecated-at` and `x-sunset` beside `deprecated: true`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from email.utils import format_datetime
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fastapi_contract.contract import Operation
from fastapi_contract.middleware.limited_log import LimitedLog

MAX_USER_AGENT = 200
"""Characters of a User-Agent header that are logged."""


class Deprecations:
    """ASGI middleware: adds headers to the responses of deprecated operations, and counts and logs their calls."""

    def __init__(self, app: ASGIApp, operations: Iterable[Operation], documentation: str) -> None:
        """`documentation` is the URL of the page that describes the operations, if one has no `externalDocs`."""
        self.app = app
        self.calls: Counter[str] = Counter()
        """The number of calls of each deprecated operation since the start, by operationId."""
        self._headers = {
            operation.id: _headers(operation.spec, documentation) for operation in operations if operation.is_deprecated
        }
        self._log = LimitedLog()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            # A 405 belongs to a path and not to an operation.
            if message["type"] == "http.response.start" and message["status"] != 405:
                operation_id = getattr(scope.get("route"), "operation_id", None)
                if operation_id in self._headers:
                    message["headers"] = [*message["headers"], *self._headers[operation_id]]
                    self._note(operation_id, scope)
            await send(message)

        await self.app(scope, receive, send_with_headers)

    def _note(self, operation_id: str, scope: Scope) -> None:
        self.calls[operation_id] += 1
        user_agent = dict(scope["headers"]).get(b"user-agent", b"").decode("latin-1")[:MAX_USER_AGENT]
        count = str(self.calls[operation_id])
        self._log.warning("deprecated operation", operation=operation_id, user_agent=user_agent, calls=count)


def _headers(spec: Mapping[str, Any], documentation: str) -> list[tuple[bytes, bytes]]:
    since, sunset = (_midnight(spec[name]) for name in ("x-deprecated-at", "x-sunset"))
    url = spec.get("externalDocs", {}).get("url", documentation)
    return [
        (b"deprecation", f"@{int(since.timestamp())}".encode()),
        (b"sunset", format_datetime(sunset, usegmt=True).encode()),
        (b"link", f'<{url}>; rel="deprecation"; type="text/html"'.encode()),
    ]


def _midnight(day: str) -> datetime:
    return datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC)

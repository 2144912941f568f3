"""What an operator wants to know of attempts to get in: never a token, a claim's value or who it was."""

import hashlib
from time import monotonic

import structlog
from fastapi import Request

MAX_EVENTS = 10
"""A second. A flood of bad tokens must not fill a disk; what is left out is counted."""

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class SecurityLog:
    """Logs events with operation and request id, and at most MAX_EVENTS of them a second."""

    def __init__(self) -> None:
        self._second = 0
        self._count = 0

    def token_refused(self, request: Request, reason: str) -> None:
        """`reason` is one word."""
        self._event(request, "token refused", reason=reason)

    def cross_user(self, request: Request, subject: str) -> None:
        """Somebody called the URL of another user. The hash is the same for the same caller, and tells not who."""
        self._event(request, "cross-user attempt", subject=hashlib.sha256(subject.encode()).hexdigest()[:16])

    def _event(self, request: Request, event: str, **details: str) -> None:
        second = int(monotonic())
        if second != self._second:
            if self._count > MAX_EVENTS:
                log.warning("security events left out", count=self._count - MAX_EVENTS)
            self._second, self._count = second, 0
        self._count += 1
        if self._count <= MAX_EVENTS:
            log.warning(event, operation=getattr(request.scope.get("route"), "operation_id", None), **details)

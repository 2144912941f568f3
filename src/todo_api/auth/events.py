"""What an operator wants to know of attempts to get in: never a token, a claim's value or who it was."""

import hashlib
from collections import Counter
from time import monotonic

import structlog
from fastapi import Request

MAX_EVENTS = 10
"""Of a kind in a second. A flood of bad tokens must not fill a disk; what is left out is counted."""

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class SecurityLog:
    """Logs events with operation and request id, and at most MAX_EVENTS of each kind a second: a flood of one must not
    hide the other. How many were left out is told ahead of the next event."""

    def __init__(self) -> None:
        self._second = 0
        self._counts: Counter[str] = Counter()

    def token_refused(self, request: Request, reason: str) -> None:
        """`reason` is one word."""
        self._event(request, "token refused", reason=reason)

    def cross_user(self, request: Request, subject: str) -> None:
        """Somebody called the URL of another user. The hash is the same for the same caller, and tells not who."""
        self._event(request, "cross-user attempt", subject=hashlib.sha256(subject.encode()).hexdigest()[:16])

    def _event(self, request: Request, event: str, **details: str) -> None:
        second = int(monotonic())
        if second != self._second:
            self._tell_left_out()
            self._second, self._counts = second, Counter()
        self._counts[event] += 1
        if self._counts[event] <= MAX_EVENTS:
            log.warning(event, operation=getattr(request.scope.get("route"), "operation_id", None), **details)

    def _tell_left_out(self) -> None:
        for event, count in self._counts.items():
            if count > MAX_EVENTS:
                # They are of earlier requests, and not of the one under way.
                log.warning("security events left out", kind=event, count=count - MAX_EVENTS, request_id=None)

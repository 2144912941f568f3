"""Log lines that a client can cause: a flood of requests must not fill a disk."""

from collections import Counter
from time import monotonic

import structlog

MAX_LINES = 10
"""Of each event in a second. The lines left out are counted."""

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class LimitedLog:
    """Logs at most MAX_LINES of each event a second, so that a flood of one event does not hide another. How many were
    left out is logged ahead of the next event."""

    def __init__(self) -> None:
        self._second = 0
        self._counts: Counter[str] = Counter()

    def warning(self, event: str, **details: str | None) -> None:
        second = int(monotonic())
        if second != self._second:
            self._log_left_out()
            self._second, self._counts = second, Counter()
        self._counts[event] += 1
        if self._counts[event] <= MAX_LINES:
            log.warning(event, **details)

    def _log_left_out(self) -> None:
        for event, count in self._counts.items():
            if count > MAX_LINES:
                # They belong to earlier requests, not to the one under way.
                log.warning("log lines left out", kind=event, count=count - MAX_LINES, request_id=None)

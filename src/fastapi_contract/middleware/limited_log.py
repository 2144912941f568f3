"""A rate limit for log lines that a client can cause, so that a flood of requests does not fill a disk."""

from collections import Counter
from time import monotonic

import structlog

MAX_LINES = 10
"""Lines of each event per second."""

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class LimitedLog:
    """Logs at most MAX_LINES lines of each event per second, so that a flood of one event does not hide another. The
    number of omitted lines is logged, as `log lines left out`, before the first event of a later second.

        events = LimitedLog()
        events.warning("token refused", reason="expired")
    """

    def __init__(self) -> None:
        self._second = 0
        self._counts: Counter[str] = Counter()

    def warning(self, event: str, **details: str | None) -> None:
        """Logs `event`, a fixed name, with `details` as fields of the line. Lines over the limit are omitted."""
        second = int(monotonic())
        if second != self._second:
            self._log_omitted()
            self._second, self._counts = second, Counter()
        self._counts[event] += 1
        if self._counts[event] <= MAX_LINES:
            log.warning(event, **details)

    def _log_omitted(self) -> None:
        for event, count in self._counts.items():
            if count > MAX_LINES:
                # Without a request id, because these lines belong to earlier requests.
                log.warning("log lines left out", kind=event, count=count - MAX_LINES, request_id=None)

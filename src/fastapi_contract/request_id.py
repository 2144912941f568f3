"""The id of the request in progress: in its answer, its problem and every line of its log."""

import random
import re
from contextvars import ContextVar

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)

# An id need not be hard to guess, and uuid4 takes four times as long. Not the common one, which others may seed.
_random = random.Random()  # noqa: S311
_SAFE = re.compile(rb"[A-Za-z0-9._~-]{1,128}")


def choose(sent: bytes | None) -> str:
    """The value of the caller's X-Request-ID header if it is safe to log and to repeat, otherwise a new id."""
    if sent is not None and _SAFE.fullmatch(sent):
        return str(sent, "ascii")
    return _random.randbytes(16).hex()

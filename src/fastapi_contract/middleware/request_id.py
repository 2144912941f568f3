"""The id of the request in progress, which its response, its problem and each of its log lines contain."""

import random
import re
from contextvars import ContextVar

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Set for each request by RequestContext. Its value is None outside a request.

    fields = {"event": "task archived", "request_id": request_id.get()}
"""

# An id may be guessable, and uuid4 takes four times as long. A separate generator, because other code may seed the
# shared one.
_random = random.Random()  # noqa: S311
_SAFE = re.compile(rb"[A-Za-z0-9._~-]{1,128}")


def choose(sent: bytes | None) -> str:
    """Returns `sent`, the value of the client's X-Request-ID header, if it is safe to log and to return: 1 to 128
    unreserved characters (RFC 3986, section 2.3). Otherwise, or if it is None, returns a new id of 32 hex digits.

        choose(b"checkout-17")  # "checkout-17"
        choose(b"a b")          # such as "5f0c9b1f3f0d4f5d8a6b7c8d9e0f1a2b"
    """
    if sent is not None and _SAFE.fullmatch(sent):
        return str(sent, "ascii")
    return _random.randbytes(16).hex()


def problem_members() -> dict[str, str | None]:
    """Returns the members by which a problem names the request in progress."""
    identifier = request_id.get()
    return {"instance": f"/requests/{identifier}", "request_id": identifier}

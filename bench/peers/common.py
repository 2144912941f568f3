"""Code shared by the Python peers, so that they differ only in their frameworks."""

import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from struct import Struct
from typing import Any

import jwt
import uvicorn

SECRET = os.environ["BETTER_AUTH_SECRET"]
DATABASE_URL = os.environ["DATABASE_URL"]
POOL_SIZE = 15
"""The maximum size of the service's pool."""
MAX_ID = 2**53 - 1

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# Padded to the length of the contract's cursor, 27 characters.
_POSITION = Struct(">qq4x")


def subject(token: str) -> str:
    """Returns the user of an HS256 token. Raises jwt.InvalidTokenError."""
    claims = jwt.decode(token, SECRET, algorithms=["HS256"], options={"require": ["exp", "sub"]})
    return str(claims["sub"])


def encode_cursor(created_at: datetime, task_id: int) -> str:
    packed = _POSITION.pack((created_at - _EPOCH) // _MICROSECOND, task_id)
    return urlsafe_b64encode(packed).rstrip(b"=").decode()


def decode_cursor(cursor: str) -> tuple[datetime, int]:
    microseconds, task_id = _POSITION.unpack(urlsafe_b64decode(cursor + "="))
    return _EPOCH + microseconds * _MICROSECOND, task_id


def serve(app: Any) -> None:
    """Serves in one process, with the event loop and HTTP parser of the service."""
    port = int(os.environ["PORT"])
    uvicorn.run(app, port=port, loop="uvloop", http="httptools", ws="none", log_level="warning", access_log=False)

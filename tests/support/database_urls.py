"""Database URLs, and the arguments of asyncpg that follow from them."""

import ssl
from typing import Any

import pytest

from todo_api.database.url import DatabaseUrl

DIRECT = "ep-cool-rain-a1b2c3.eu-central-1.aws.neon.tech"
POOLED = "ep-cool-rain-a1b2c3-pooler.eu-central-1.aws.neon.tech"

# How the server's certificate is verified: verify_mode and check_hostname of the TLS context.
UNVERIFIED = (ssl.CERT_NONE, False)
AUTHORITY = (ssl.CERT_REQUIRED, False)
AUTHORITY_AND_NAME = (ssl.CERT_REQUIRED, True)


def arguments(url: str) -> dict[str, Any]:
    """Return the arguments of `asyncpg.connect`, with the TLS context as (verify_mode, check_hostname)."""
    found = DatabaseUrl.parse(url).arguments()
    if isinstance(found["ssl"], ssl.SSLContext):
        found["ssl"] = (found["ssl"].verify_mode, found["ssl"].check_hostname)
    return found


def rejection_message(url: str) -> str:
    """Return the message of the ValueError that rejects the URL. It must not contain the password."""
    with pytest.raises(ValueError, match=r".") as error:
        DatabaseUrl.parse(url).arguments()
    message = str(error.value)
    assert "hunter2" not in message
    return message


NEON = "postgresql://alex:hunter2@" + DIRECT

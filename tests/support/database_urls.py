"""URLs of databases, and what asyncpg is given for them."""

import ssl
from typing import Any

import pytest

from todo_api.database.url import DatabaseUrl

DIRECT = "ep-cool-rain-a1b2c3.eu-central-1.aws.neon.tech"
POOLED = "ep-cool-rain-a1b2c3-pooler.eu-central-1.aws.neon.tech"

# What is asked of the server's certificate.
NOTHING = (ssl.CERT_NONE, False)
AUTHORITY = (ssl.CERT_REQUIRED, False)
AUTHORITY_AND_NAME = (ssl.CERT_REQUIRED, True)


def arguments(url: str) -> dict[str, Any]:
    """What `asyncpg.connect` gets, with the context of TLS as what it asks for."""
    found = DatabaseUrl.parse(url).arguments()
    if isinstance(found["ssl"], ssl.SSLContext):
        found["ssl"] = (found["ssl"].verify_mode, found["ssl"].check_hostname)
    return found


def refused(url: str) -> str:
    with pytest.raises(ValueError, match=r".") as error:
        DatabaseUrl.parse(url).arguments()
    message = str(error.value)
    assert "hunter2" not in message
    return message


NEON = "postgresql://alex:hunter2@" + DIRECT

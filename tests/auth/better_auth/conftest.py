"""One Better Auth for each module, and one service that accepts its tokens."""

from collections.abc import Iterator

import pytest

from support.better_auth_server import BetterAuth, api_for, better_auth
from support.service import Service


@pytest.fixture(scope="module")
def issuer() -> Iterator[BetterAuth]:
    with better_auth() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def api(issuer: BetterAuth, database_url: str) -> Iterator[Service]:
    with api_for(issuer, database_url) as api:
        yield api

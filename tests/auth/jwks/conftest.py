"""An issuer for each test, and a controlled clock for the published keys."""

from collections.abc import Iterator
from contextlib import AbstractContextManager

import pytest

from support.clock import Clock
from support.issuer import Issuer
from support.issuer import issuer as running_issuer
from support.jwks import Serve
from support.service import Service, running, settings_for
from todo_api.app import create_app
from todo_api.auth import jwks


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Starts at 0, as on a machine that has just booted."""
    clock = Clock()
    monkeypatch.setattr(jwks, "monotonic", clock)
    return clock


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with running_issuer() as issuer:
        yield issuer


@pytest.fixture
def serve(database_url: str, issuer: Issuer) -> Serve:
    """Starts a service that trusts the issuer."""

    def start(**settings: object) -> AbstractContextManager[Service]:
        values = {"better_auth_secret": None, "better_auth_jwks_url": issuer.jwks_url, **settings}
        return running(create_app(settings_for(database_url, **values)))

    return start

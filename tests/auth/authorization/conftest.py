"""An issuer, a service that accepts its tokens, and a client without a token."""

from collections.abc import Iterator

import httpx
import pytest

from support.issuer import Issuer, SigningKey
from support.issuer import issuer as running_issuer
from support.service import Service, running, settings_for
from todo_api.app import create_app


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with running_issuer() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def published(issuer: Issuer) -> SigningKey:
    return issuer.new_key()


@pytest.fixture(scope="module")
def strict(database_url: str, issuer: Issuer, published: SigningKey) -> Iterator[Service]:
    """Accepts tokens of a shared secret and of published keys, of one issuer and for one audience."""
    settings = settings_for(
        database_url,
        better_auth_jwks_url=issuer.jwks_url,
        better_auth_issuer=issuer.url,
        better_auth_audience=issuer.url,
    )
    with running(create_app(settings)) as service:
        yield service


@pytest.fixture(scope="module")
def anonymous(strict: Service) -> httpx.Client:
    return strict.client()

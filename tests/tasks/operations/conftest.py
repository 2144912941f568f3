"""Each test runs twice: directly on PostgreSQL, and through PgBouncer."""

import uuid

import httpx
import pytest

from support.operations import tasks
from support.service import Service


@pytest.fixture(scope="module", params=["direct", "pooled"])
def service(request: pytest.FixtureRequest, service: Service, pooled_service: Service) -> Service:
    return service if request.param == "direct" else pooled_service


@pytest.fixture
def task(client: httpx.Client, user: str) -> dict[str, object]:
    created = client.post(tasks(user), json={"title": "Buy milk", "description": "Two litres"})
    assert created.status_code == 201
    return dict(created.json())


@pytest.fixture
def url(user: str, task: dict[str, object]) -> str:
    """The URL of `task`."""
    return f"{tasks(user)}/{task['id']}"


@pytest.fixture
def key() -> str:
    """A new Idempotency-Key."""
    return str(uuid.uuid4())

"""The installed client, in Node: against the running service, and a proxy in front of it that loses answers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.node import run
from support.service import SECRET, Service, running, settings_for
from todo_api.app import create_app

FILES = sorted(file.stem.removesuffix(".test") for file in Path(__file__).parent.glob("*.test.ts"))


@pytest.fixture(scope="module")
def development(database_url: str) -> Iterator[Service]:
    """A service that answers with each promised response."""
    with running(create_app(settings_for(database_url), mode="development")) as service:
        yield service


@pytest.mark.parametrize("name", FILES)
def test_client_passes_its_tests_in_node(
    name: str, service: Service, development: Service, frontend: Path, user: str
) -> None:
    env = {"BASE_URL": service.url, "DEVELOPMENT_URL": development.url, "SECRET": SECRET, "USER_PREFIX": user}
    result = run(frontend / f"{name}.test.ts", cwd=frontend, env=env)
    assert result.returncode == 0, result.stdout + result.stderr

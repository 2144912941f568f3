"""`todo-api serve` as one and as two processes, and a task on it."""

from collections.abc import Iterator

import pytest

from support.service import SECRET
from support.serving import serving
from support.targets import Target
from todo_api.auth.tokens import sign


@pytest.fixture(scope="module", params=[1, 2], ids=["one-worker", "two-workers"])
def server(
    request: pytest.FixtureRequest, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("server")
    settings = {"DATABASE_URL": database_url, "BETTER_AUTH_SECRET": SECRET}
    with serving(directory, "--workers", str(request.param), **settings) as running:
        yield f"http://127.0.0.1:{running.port} {running.process.pid}"


@pytest.fixture
def target(server: str, user: str) -> Target:
    url, process = server.split()
    target = Target(url, user, sign(SECRET, user, lifetime=600), 0, int(process))
    target.task = target.create("first")
    return target

"""A PostgreSQL of a module's own, which its tests stop and kill."""

from collections.abc import Iterator

import pytest

from support.postgres import Postgres, new_postgres
from todo_api.database import migrate


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with new_postgres() as server:
        migrate.upgrade(server.url)
        yield server

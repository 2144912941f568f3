"""The database of the benchmarks: an embedded PostgreSQL in a temporary directory with one seeded database. Each server
gets a copy, so that all have the same rows and no dead ones."""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from todo_api.database import migrate
from todo_api.embedded import embedded_postgres

USERS = 1000
TASKS = 200
"""Tasks of each user. Task `n` (from 0) of user `u` (from 1) has the id `n * USERS + u`: the tasks of a user are spread
over the table as if all users had created tasks in turn."""

SEED = f"""
-- With numbers of changes, as the service writes them, so that no trigger runs.
INSERT INTO task (id, user_id, title, description, completed, created_at, updated_at, change)
OVERRIDING SYSTEM VALUE
SELECT n * {USERS} + u, 'user-' || u, 'Task ' || n, CASE WHEN n % 2 = 0 THEN repeat('Two litres. ', 5) END, n % 3 = 0,
       created_at, created_at, n + 1
FROM generate_series(0, {TASKS} - 1) AS n, generate_series(1, {USERS}) AS u,
     LATERAL (SELECT TIMESTAMPTZ '2026-01-01Z' + (n * {USERS} + u) * INTERVAL '61.000001 seconds') AS t (created_at)
ORDER BY 1;
INSERT INTO task_list (user_id, change, tasks, completed)
SELECT user_id, max(change), count(*), count(*) FILTER (WHERE completed) FROM task GROUP BY user_id;
SELECT setval(pg_get_serial_sequence('task', 'id'), {USERS * TASKS});
"""  # noqa: S608 - constants


@dataclass(frozen=True)
class Cluster:
    """A running PostgreSQL with a seeded database. `directory` is for the output of servers."""

    directory: Path
    url: str
    admin_url: str
    pid: int
    version: str

    @contextmanager
    def copy(self, revision: str = "head") -> Iterator[str]:
        """Yields the URL of a copy of the seeded database, with this revision of the schema, and drops the copy
        afterwards."""
        name = f"copy_{next(_number)}"
        execute(self.admin_url, f"CREATE DATABASE {name} TEMPLATE seeded OWNER {urlsplit(self.url).username}")
        if revision != "head":
            migrate.downgrade(_with_database(self.url, name), revision)
            execute(_with_database(self.url, name), "VACUUM ANALYZE task")
        # Write the copy's pages now, so that the first measurement does not pay for it.
        execute(self.admin_url, "CHECKPOINT")
        try:
            yield _with_database(self.url, name)
        finally:
            execute(self.admin_url, f"DROP DATABASE {name} WITH (FORCE)")


_number = count()


@contextmanager
def seeded_cluster() -> Iterator[Cluster]:
    # Directly below the system's temporary directory: as root, PostgreSQL runs as another user, which needs access.
    directory = Path(tempfile.mkdtemp(prefix="todo-api-bench-"))
    try:
        with embedded_postgres(directory / "postgres") as server:
            execute(server.admin_url, f"CREATE DATABASE seeded OWNER {urlsplit(server.url).username}")
            seeded = _with_database(server.url, "seeded")
            migrate.upgrade(seeded)
            # Without a timeout, because a trigger writes the words of each task: 0.3 ms.
            execute(seeded, f"SET statement_timeout = 0; {SEED}")
            # A call of its own, because VACUUM cannot run in a transaction.
            execute(seeded, "VACUUM ANALYZE task, task_list, task_search")
            pid = int((directory / "postgres/cluster/postmaster.pid").read_text().split()[0])
            version = asyncio.run(_value(seeded, "SHOW server_version"))
            yield Cluster(directory, server.url, server.admin_url, pid, version)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def execute(url: str, statements: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(statements)
        finally:
            await connection.close()

    asyncio.run(run())


async def _value(url: str, statement: str) -> str:
    connection = await asyncpg.connect(url)
    try:
        return str(await connection.fetchval(statement))
    finally:
        await connection.close()


def _with_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))

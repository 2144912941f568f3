"""Measures the latency of operations as tasks grow in number: of one user, page by page, and in the whole table."""

import shutil
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from statistics import median
from time import perf_counter

import httpx

from database import TASKS, USERS, Cluster, execute, seeded_cluster
from report import conditions, main, number, progress, publish, table
from servers import PRODUCT, ServerError, running
from workload import Call, calls, token

OF_ONE_USER = 1_000_000
PAGE = 1000
"""Number of the page, of 50 tasks each, that is compared with the first."""
WARM_UP = 5
"""Requests before the measurement, which prepare the statements and load the index into memory."""
BYTES_PER_TASK = 700
"""Disk space for table, indexes and WAL; 0.4 KB were measured, and the WAL grows to 1 GB."""

INSERT = """
-- With numbers of changes, as the service writes them, so that no trigger runs.
INSERT INTO task (user_id, title, completed, created_at, updated_at, change)
SELECT {user}, 'Task ' || n, n % 3 = 0, created_at, created_at, n
FROM generate_series(1, {number}) AS n,
     LATERAL (SELECT TIMESTAMPTZ '2025-01-01Z' + n * INTERVAL '1 second') AS t (created_at);
INSERT INTO task_list (user_id, change, tasks, completed)
SELECT user_id, max(change), count(*), count(*) FILTER (WHERE completed) FROM task GROUP BY user_id
ON CONFLICT DO NOTHING;
"""


def insert(url: str, number: int, user: str) -> None:
    execute(url, INSERT.format(user=user, number=number))
    execute(url, "VACUUM ANALYZE task, task_list")


def pages(client: httpx.Client) -> dict[str, Call]:
    """Returns the requests of pages of the user with a million tasks, by name."""
    headers = {"Authorization": f"Bearer {token('million')}"}
    get = partial(client.get, "/api/user-million/tasks", headers=headers)
    cursor = None
    for _ in range(PAGE - 1):
        cursor = get(params={"cursor": cursor} if cursor else {}).raise_for_status().json()["next_cursor"]
    offset = (PAGE - 1) * 50
    assert get(params={"cursor": cursor}).json()["items"] == get(params={"offset": offset}).json()["items"]
    return {
        "page 1": get,
        f"page {PAGE:,} by cursor": partial(get, params={"cursor": cursor}),
        f"page {PAGE:,} by offset": partial(get, params={"offset": offset}),
        "page 1 with `include_total`": partial(get, params={"include_total": "true"}),
    }


def milliseconds(operation: Sequence[Call], requests: int) -> list[float]:
    """Returns the median duration of each operation. They are called in turn, so that noise affects all equally."""
    times: list[list[float]] = [[] for _ in operation]
    for _ in range(requests):
        for call, measured in zip(operation, times, strict=True):
            start = perf_counter()
            response = call()
            measured.append(perf_counter() - start)
            response.raise_for_status()
    return [median(measured) * 1000 for measured in times]


def measure(cluster: Cluster, urls: Sequence[str], requests: int) -> dict[str, list[float]]:
    with ExitStack() as stack:
        operations = []
        for index, url in enumerate(urls):
            service = stack.enter_context(running(PRODUCT, url, cluster.directory / f"growth-{index}.log"))
            client = stack.enter_context(httpx.Client(base_url=service.url, timeout=60))
            operations.append(calls(client) | pages(client))
        names = list(operations[0])
        for name in names:
            milliseconds([of_one[name] for of_one in operations], WARM_UP)
        return {name: milliseconds([of_one[name] for of_one in operations], requests) for name in names}


def run(arguments: Namespace) -> None:
    fewer = USERS * TASKS + OF_ONE_USER
    with seeded_cluster() as cluster, cluster.copy() as small, cluster.copy() as large:
        free = shutil.disk_usage(cluster.directory).free
        if free < arguments.tasks * BYTES_PER_TASK + 2e9:
            raise ServerError(
                f"{free / 1e9:.0f} GB are free in {cluster.directory}, too little for --tasks: lower it or set TMPDIR."
            )
        for url in (small, large):
            insert(url, OF_ONE_USER, "'user-million'")
        # 200 tasks per user, one user after another, so that the index is filled in order: a minute or two.
        insert(large, arguments.tasks - fewer, "'other-' || n / 200")
        progress(f"{arguments.tasks:,} tasks inserted")
        measured = measure(cluster, [small, large], arguments.requests)
        rows = [[name, *map(number, values)] for name, values in measured.items()]
        text = (
            f"Milliseconds of a request on an open connection, median of {arguments.requests} one after another, in "
            f"turn on both: operations of users with {TASKS} tasks, and pages of a user with {OF_ONE_USER:,}.\n\n"
            f"{table(['', f'{fewer:,} tasks in the table', f'{arguments.tasks:,}'], rows)}\n"
            f"{conditions(cluster.version)}"
        )
    publish(arguments.write, "growth", text)


def parser() -> ArgumentParser:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=10_000_000, help="tasks in the whole table; default: %(default)s")
    parser.add_argument("--requests", type=int, default=50, help="requests of each operation; default: %(default)s")
    return parser


if __name__ == "__main__":
    main(parser(), run)

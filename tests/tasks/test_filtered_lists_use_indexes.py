"""What a user interface offers by default reads as many rows for any number of tasks, on the first page and far behind,
with plans for its values and for any values.

With `TASKS=1000000` the user has a million tasks, and the milliseconds and blocks of 8 KB are printed.
"""

import asyncio
import os
from collections.abc import Callable

import asyncpg

from support.many_tasks import OWNER, fill
from support.plans import explain
from todo_api.database.database import Database
from todo_api.database.session import Session, SessionStats
from todo_api.tasks import queries
from todo_api.tasks.cursor import Position
from todo_api.tasks.filters import Filters
from todo_api.tasks.lists import NEWEST_SEARCHED

TASKS = int(os.environ.get("TASKS", "100000"))
DEEP = TASKS // 20
"""Tasks before the page that is far behind: page 1,000 with a million tasks. If a list has fewer, a fourth of these."""
A_PAGE = 2 * 51 + 1
"""Rows that a page reads: entries of an index of labels, and tasks, and the row of the list."""
OFFERED: dict[str, tuple[Filters, int]] = {
    "newest": (Filters(), A_PAGE),
    "open": (Filters(completed=False), A_PAGE),
    "open by due": (Filters(completed=False, sort="due"), A_PAGE),
    "open by -due": (Filters(completed=False, sort="-due"), A_PAGE),
    "overdue by due": (Filters(overdue=True, sort="due"), A_PAGE),
    "one label": (Filters(labels=("work",)), A_PAGE),
    # A fifth of them is open.
    "one label, open": (Filters(labels=("work",), completed=False), 8 * A_PAGE),
    "one label, done": (Filters(labels=("work",), completed=True), 2 * A_PAGE),
    # A third of the tasks of one has the other.
    "two labels": (Filters(labels=("work", "home")), 8 * A_PAGE),
    # Less than a hundredth of the newest tasks has both words.
    "two words": (Filters(words="milk bread"), 2 * NEWEST_SEARCHED),
    "two words, open": (Filters(words="milk bread", completed=False), 3 * NEWEST_SEARCHED),
    "a word and a label": (Filters(words="milk", labels=("work",)), 8 * NEWEST_SEARCHED),
}

NEW = """
    INSERT INTO task (user_id, title, labels, change)
    SELECT 'new', 'Milk', '{one,two}', n FROM generate_series(1, 3000) AS n
"""
NEW_TASKS = [
    (Filters(labels=("one",)), A_PAGE),
    (Filters(labels=("one", "two")), 2 * A_PAGE),
    (Filters(labels=("one",), words="milk"), 3 * NEWEST_SEARCHED),
    # All are sorted, each read once from the label or the words, and once from the tasks.
    (Filters(labels=("one",), sort="title"), 2 * 3000),
    (Filters(words="mil", sort="title"), 2 * 3000),
]


async def position(database: Database, filters: Filters) -> Position:
    """Returns the one before the page that is far behind."""
    session, offset = Session(database, SessionStats()), DEEP
    while (page := await queries.list_page(session, OWNER, filters, limit=1, offset=offset - 1)).last is None:
        offset //= 4
    return page.last


async def check(connection: asyncpg.Connection, filters: Filters, rows: int, after: Position | None) -> str:
    for generic in True, False:
        # The second time, the blocks are in memory.
        for _ in range(2):
            explained = await explain(connection, OWNER, filters, after=after, generic=generic)
        kinds = {node["Node Type"] for node in explained.nodes}
        assert explained.rows <= rows, f"{filters}, {after}: {explained.rows} rows by {kinds}"
        # A search sorts what the index of words has found.
        assert "Sort" not in kinds or filters.words, f"{filters}, {after}: {kinds}"
    return f"{explained.milliseconds:.2f} ms, {explained.blocks:,} blocks"


async def check_new_tasks(connection: asyncpg.Connection) -> None:
    """PostgreSQL expects one row then, because its statistics have none of the user."""
    await connection.execute(NEW)
    for filters, rows in NEW_TASKS:
        for generic in False, True:
            explained = await explain(connection, "new", filters, generic=generic)
            assert explained.rows <= rows, f"{filters}: {explained.rows} rows"


def test_page_reads_ranges_of_indexes(empty_database_url: str, record_property: Callable[[str, object], None]) -> None:
    """One test, because workers of pytest-xdist would fill a database each."""

    async def run() -> None:
        connection = await asyncpg.connect(empty_database_url, statement_cache_size=0)
        async with Database(empty_database_url) as database:
            for name, (filters, rows) in OFFERED.items():
                positions = [None, await position(database, filters)]
                if filters.sort in {"due", "-due"} and not filters.overdue:
                    # Among those that are never due.
                    positions.append(Position(None, TASKS // 2))
                record_property(name, "; ".join([await check(connection, filters, rows, each) for each in positions]))
        await check_new_tasks(connection)
        await connection.close()

    fill(empty_database_url, TASKS)
    asyncio.run(run())

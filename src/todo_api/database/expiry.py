"""Rows that are kept for a time: later statements remove the old ones, a few each, without a job of its own."""

from typing import Any

from sqlalchemy import CTE, ColumnElement, Table, delete, func, literal_column, select, tuple_

BATCH = 10
"""Rows that one statement removes."""


def before(lifetime: str) -> ColumnElement[Any]:
    """Returns the time before which rows are old. `lifetime` is an interval of PostgreSQL, such as "30 days"."""
    return func.now() - literal_column(f"interval '{lifetime}'")


def removal(table: Table, since: ColumnElement[Any], lifetime: str, *conditions: ColumnElement[bool]) -> CTE:
    """Returns the part of a statement that removes the BATCH oldest rows for which the conditions hold, if they are
    older than `lifetime` by the column `since`. Rows that another statement has locked are left to it."""
    key = table.primary_key.columns
    # A common table expression runs once; a subquery of DELETE may run for each row, and then select others.
    old = (
        select(*key)
        .where(*conditions, since < before(lifetime))
        .order_by(since)
        .limit(literal_column(str(BATCH)))
        .with_for_update(skip_locked=True)
        .cte("old")
    )
    return delete(table).where(*conditions, tuple_(*key).in_(select(*old.c))).cte("forgotten")

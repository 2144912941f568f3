"""The plans that PostgreSQL makes of statements of lists, and what they read."""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, NamedTuple

import asyncpg
import orjson
from todo_contract import models

from todo_api.database.session import Session
from todo_api.database.statement import Statement
from todo_api.tasks import queries
from todo_api.tasks.cursor import Position
from todo_api.tasks.filters import Filters

NO_TASK = (*[None] * len(models.Task.model_fields), '"0"', 0)
"""What the statement of a page returns for an empty list."""


class Explained(NamedTuple):
    plan: Mapping[str, Any]
    milliseconds: float

    @property
    def nodes(self) -> list[Mapping[str, Any]]:
        return list(_nodes(self.plan))

    @property
    def blocks(self) -> int:
        return int(self.plan["Shared Hit Blocks"] + self.plan["Shared Read Blocks"])

    @property
    def rows(self) -> float:
        """The rows that were read, and the entries of indexes."""
        return sum(_read(node) for node in self.nodes if "Scan" in node["Node Type"] and "Relation Name" in node)


def _nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from _nodes(child)


def _read(node: Mapping[str, Any]) -> float:
    removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    return float((node["Actual Rows"] + removed) * node["Actual Loops"])


class _Recorder(Session):
    """Records a statement instead of running it."""

    statement: Statement
    parameters: dict[str, Any]

    def __init__(self) -> None:
        pass

    async def fetch_all(self, statement: Statement, /, **parameters: Any) -> list[Any]:
        self.statement, self.parameters = statement, parameters
        return [NO_TASK]


async def explain(
    connection: asyncpg.Connection, owner: str, filters: Filters, *, after: Position | None = None, generic: bool
) -> Explained:
    """Runs the statement of a page of 50, with a plan for its values or, if `generic`, for any."""
    recorder = _Recorder()
    await queries.list_page(recorder, owner, filters, limit=50, after=after)
    values = ", ".join(map(_literal, recorder.statement.arguments(recorder.parameters)))
    await connection.execute(f"SET plan_cache_mode = force_{'generic' if generic else 'custom'}_plan")
    await connection.execute(f"PREPARE page AS {recorder.statement.sql}")
    try:
        explained = await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE page ({values})")
    finally:
        await connection.execute("DEALLOCATE page")
    (found,) = orjson.loads(explained)
    return Explained(found["Plan"], found["Execution Time"])


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool | int):
        return str(value)
    if isinstance(value, list):
        return f"ARRAY[{', '.join(map(_literal, value))}]"
    return "'{}'".format((value.isoformat() if isinstance(value, date) else value).replace("'", "''"))

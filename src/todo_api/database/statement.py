"""Statements of SQLAlchemy Core, compiled once, as asyncpg takes them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ClauseElement, Select
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.sql.compiler import SQLCompiler

_DIALECT = PGDialect_asyncpg()  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL as asyncpg takes it. `names` are the parameters in the order of `$1`, `$2`, …"""

    sql: str
    names: tuple[str, ...] = ()
    repeatable: bool = False
    """Whether it may be sent again where its answer was lost: what only reads does no harm twice."""

    def arguments(self, parameters: Mapping[str, Any]) -> list[Any]:
        """Raises KeyError where a parameter is missing."""
        return list(map(parameters.__getitem__, self.names))


def prepare(statement: ClauseElement) -> Statement:
    """Compiles a statement whose every value is a `bindparam`. Values and rows pass between asyncpg and the caller as
    they are: column types that convert in Python (`JSON`, `Enum`, a `TypeDecorator`) do not.

    Raises ValueError for a value that is written into the statement: each run would send it again.
    """
    compiled = statement.compile(dialect=_DIALECT)
    assert isinstance(compiled, SQLCompiler)
    names = tuple(compiled.positiontup or ())
    for name in names:
        if not compiled.binds[name].required:
            raise ValueError(f"not a bindparam: {name} in {compiled}")
    return Statement(str(compiled), names, repeatable=isinstance(statement, Select))

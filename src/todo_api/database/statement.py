"""Compiles statements of SQLAlchemy Core for asyncpg, once at import."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ClauseElement, Select
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.sql.compiler import SQLCompiler

_DIALECT = PGDialect_asyncpg()  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL with the placeholders `$1`, `$2`, … `names` are the names of its parameters in this order."""

    sql: str
    names: tuple[str, ...] = ()
    retryable: bool = False
    """Whether it can be retried if its response was lost, because it only reads."""

    def arguments(self, parameters: Mapping[str, Any]) -> list[Any]:
        """Returns the values in the order of `names`. Raises KeyError if one is missing."""
        return list(map(parameters.__getitem__, self.names))


def prepare(statement: ClauseElement) -> Statement:
    """Compiles a statement, each value of which must be a `bindparam`. A SELECT is retryable.

    Values and rows are not converted: column types that convert in Python (`JSON`, `Enum`, a `TypeDecorator`) have no
    effect. Raises ValueError if the statement contains a literal value, which each run would send again.
    """
    compiled = statement.compile(dialect=_DIALECT)
    assert isinstance(compiled, SQLCompiler)
    names = tuple(compiled.positiontup or ())
    for name in names:
        if not compiled.binds[name].required:
            raise ValueError(f"not a bindparam: {name} in {compiled}. Pass each value as bindparam(…).")
    return Statement(str(compiled), names, retryable=isinstance(statement, Select))

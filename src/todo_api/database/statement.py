"""Compiles statements of SQLAlchemy Core for asyncpg, once at import."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ClauseElement
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.visitors import iterate

_DIALECT = PGDialect_asyncpg()  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL with the placeholders `$1`, `$2`, … `names` are the names of its parameters in this order."""

    sql: str
    names: tuple[str, ...] = ()
    retryable: bool = False
    """Whether it can be sent again if its response was lost: it only reads, or has an idempotency key."""

    def arguments(self, parameters: Mapping[str, Any]) -> list[Any]:
        """Returns the values in the order of `names`. Raises KeyError if one is missing."""
        return list(map(parameters.__getitem__, self.names))


def prepare(statement: ClauseElement, *, idempotent: bool = False) -> Statement:
    """Compiles a statement, each value of which must be a `bindparam`. One that only reads is retryable, and one that
    is `idempotent`.

    Values and rows are not converted: column types that convert in Python (`JSON`, `Enum`, a `TypeDecorator`) have no
    effect. Raises ValueError if the statement contains a literal value, which each run would send again.
    """
    compiled = statement.compile(dialect=_DIALECT)
    assert isinstance(compiled, SQLCompiler)
    names = tuple(compiled.positiontup or ())
    for name in names:
        if not compiled.binds[name].required:
            raise ValueError(f"not a bindparam: {name} in {compiled}. Pass each value as bindparam(…).")
    # A SELECT may have a common table expression that writes.
    reads = not any(isinstance(part, UpdateBase) for part in iterate(statement))
    return Statement(str(compiled), names, retryable=reads or idempotent)

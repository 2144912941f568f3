"""The session of a handler, as a FastAPI dependency, and its part of the request's log line."""

from typing import Annotated

from fastapi import Depends, Request
from starlette.types import Scope

from todo_api.database.session import Session, SessionStats
from todo_api.services import services

_NO_STATEMENTS = SessionStats()


async def session(request: Request) -> Session:
    """Returns a session. It holds no connection: each statement or `transaction()` takes and returns one, so that
    writes are committed before the response is sent."""
    scope = request.scope
    # For the log line of the request.
    stats = scope["database_stats"] = SessionStats()
    stats.operation = scope["route"].operation_id
    return Session(services(scope).database, stats)


def log_fields(scope: Scope) -> dict[str, float]:
    """Returns the fields of the request's log line about its statements."""
    stats: SessionStats = scope.get("database_stats", _NO_STATEMENTS)
    # Truncated to two digits, because round() takes twenty times as long.
    return {
        "database_ms": int(stats.seconds * 100_000) / 100,
        "statements": stats.statements,
        "repeated": stats.repeated,
    }


DbSession = Annotated[Session, Depends(session)]

"""How a handler gets its session."""

from typing import Annotated

from fastapi import Depends, Request
from starlette.types import Scope

from todo_api.database.session import Session, Work
from todo_api.services import services

_NO_WORK = Work()


async def session(request: Request) -> Session:
    """Holds no connection: each statement, or each `transaction()`, takes one and gives it back, so that what was
    written is committed before the answer leaves."""
    scope = request.scope
    # For the log line of the request.
    work = scope["database_work"] = Work()
    work.operation = scope["route"].operation_id
    return Session(services(scope).database, work)


def log_fields(scope: Scope) -> dict[str, float]:
    """What the log line of a request says of its work at the database."""
    work: Work = scope.get("database_work", _NO_WORK)
    # Cut off after two digits; round() takes twenty times as long.
    return {
        "database_ms": int(work.seconds * 100_000) / 100,
        "statements": work.statements,
        "repeated": work.repeated,
    }


DbSession = Annotated[Session, Depends(session)]

"""How a handler gets its session."""

from typing import Annotated

from fastapi import Depends, Request

from todo_api.database.session import Session


async def session(request: Request) -> Session:
    """Holds no connection: each statement, or each `transaction()`, takes one and gives it back, so that what was
    written is committed before the answer leaves."""
    scope = request.scope
    current: Session = scope["app"].state.database.session(getattr(scope.get("route"), "operation_id", None))
    # For the log line of the request.
    scope["database_work"] = current.work
    return current


DbSession = Annotated[Session, Depends(session)]

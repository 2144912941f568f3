"""How a handler gets its session."""

from typing import Annotated

from fastapi import Depends, Request

from todo_api.database.session import Session, Work


async def session(request: Request) -> Session:
    """Holds no connection: each statement, or each `transaction()`, takes one and gives it back, so that what was
    written is committed before the answer leaves."""
    scope = request.scope
    # For the log line of the request.
    work = scope["database_work"] = Work()
    work.operation = scope["route"].operation_id
    return Session(scope["app"].state.database, work)


DbSession = Annotated[Session, Depends(session)]

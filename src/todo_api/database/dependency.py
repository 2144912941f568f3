"""How a handler gets its session."""

from typing import Annotated

from fastapi import Depends, Request

from todo_api.database.session import Session


async def session(request: Request) -> Session:
    """Holds no connection: each statement, or each `transaction()`, takes one and gives it back, so that what was
    written is committed before the answer leaves."""
    current: Session = request.app.state.database.session()
    return current


DbSession = Annotated[Session, Depends(session)]

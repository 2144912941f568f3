"""The Idempotency-Key of a request (draft-ietf-httpapi-idempotency-key-header-07), as a FastAPI dependency."""

from typing import Annotated, NamedTuple

from fastapi import Depends, Header, Request
from todo_contract import models


class Key(NamedTuple):
    """One action of a client. The same text is another key for another operation."""

    operation: str
    text: str


async def key(
    request: Request, text: Annotated[models.IdempotencyKey | None, Header(alias="Idempotency-Key")] = None
) -> Key | None:
    """Returns the key, without the quotes of a structured field; None if the request has none."""
    return None if text is None else Key(request.scope["route"].operation_id, text.strip('"'))


IdempotencyKey = Annotated[Key | None, Depends(key)]

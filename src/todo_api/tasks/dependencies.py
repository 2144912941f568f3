"""What handlers of tasks read from headers and settings, as FastAPI dependencies."""

from typing import Annotated

from fastapi import Depends, Header, Request
from todo_contract import models

from fastapi_contract.entity_tags import tags
from todo_api.services import services
from todo_api.tasks.problems import PreconditionRequired


async def if_match(
    request: Request, field: Annotated[models.EntityTags | None, Header(alias="If-Match")] = None
) -> list[str] | None:
    """Returns the entity tags of which the task must have one; None if it may be in any state.

    Raises PreconditionRequired if the field is missing, and the service is set to require it.
    """
    if field is None:
        if services(request.scope).require_if_match:
            raise PreconditionRequired
        return None
    return tags(field, weak=False)


async def max_tasks(request: Request) -> int:
    """Returns the number of tasks that a user can have."""
    return services(request.scope).max_tasks


IfMatch = Annotated[list[str] | None, Depends(if_match)]
IfNoneMatch = Annotated[models.EntityTags | None, Header(alias="If-None-Match")]
MaxTasks = Annotated[int, Depends(max_tasks)]

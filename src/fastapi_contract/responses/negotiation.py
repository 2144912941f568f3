"""Chooses the media type of a response by the request's Accept header, for operations that document several."""

from collections.abc import Sequence
from typing import Annotated, TypeAlias

from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant
from starlette.types import Scope

from fastapi_contract.problems import Problem
from fastapi_contract.validation.media_types import choose_acceptable

_KEY = "fastapi_contract.accepted"
"""Key in the ASGI scope: the media type that was chosen."""


class NotAcceptable(Problem):
    """The `Accept` header allows none of the media types in which the operation answers.

    Send one of the media types that `detail` names, or no `Accept` header."""

    type = "/problems/not-acceptable"
    title = "Not acceptable"
    status = 406

    def __init__(self, offered: Sequence[str]) -> None:
        """`offered` are the media types of the operation's successful responses."""
        super().__init__(f"Send an Accept header that allows {' or '.join(offered)}.", {"Vary": "Accept"})


def accept_of(scope: Scope) -> bytes:
    """Returns the value of the Accept header, which may have several lines."""
    return b",".join([value for name, value in scope["headers"] if name == b"accept"])


def preferred(scope: Scope, offered: Sequence[str]) -> str | None:
    """Returns the one of the media types `offered` that a request prefers; None if it accepts none of them."""
    return choose_acceptable(offered, accept_of(scope))


def negotiate(scope: Scope, offered: Sequence[str], *, is_strict: bool) -> None:
    """Chooses one of the media types `offered`, which a handler reads as AcceptedMediaType.

    If the request accepts none of them, it is the first one (RFC 9110, section 12.4.1); with `is_strict`, NotAcceptable
    is raised.
    """
    chosen = preferred(scope, offered)
    if chosen is None and is_strict:
        raise NotAcceptable(offered)
    scope[_KEY] = chosen or offered[0]


def reads_accepted(dependant: Dependant) -> bool:
    """Whether a handler or one of its dependencies reads AcceptedMediaType."""
    return any(each.call is _accepted or reads_accepted(each) for each in dependant.dependencies)


async def _accepted(request: Request) -> str:
    return str(request.scope[_KEY])


AcceptedMediaType: TypeAlias = Annotated[str, Depends(_accepted)]
"""The media type that the client prefers, of those that an operation documents. Only for operations with several.

    @router.operation("exportTasks")
    async def export_tasks(media_type: AcceptedMediaType) -> operations.ExportTasks:
        if media_type == "text/csv":
            return operations.ExportTasks200Csv(as_csv(await load()))
        return operations.ExportTasks200Json(await load())
"""

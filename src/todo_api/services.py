"""The objects that all requests share: created in app.py, used by guards and dependencies."""

from dataclasses import dataclass

from starlette.types import Scope

from fastapi_contract.middleware.rate_limit import RateLimit
from todo_api.auth.tokens import TokenVerifier
from todo_api.database.database import Database


@dataclass(frozen=True, slots=True)
class Services:
    database: Database
    tokens: TokenVerifier
    user_limit: RateLimit | None
    """None if requests of a user are not limited."""
    max_tasks: int
    """Number of tasks that a user can have."""
    require_if_match: bool
    """Whether a change of a task must have the header If-Match."""


def services(scope: Scope) -> Services:
    """Returns the services of the application that handles the request with this ASGI scope."""
    found: Services = scope["app"].state.services
    return found

"""What requests need of the running service: made by app.py, read by guards and dependencies."""

from dataclasses import dataclass

from starlette.types import Scope

from todo_api.auth.tokens import TokenVerifier
from todo_api.database.database import Database


@dataclass(frozen=True, slots=True)
class Services:
    database: Database
    tokens: TokenVerifier


def services(scope: Scope) -> Services:
    """Those of the application that serves a request."""
    found: Services = scope["app"].state.services
    return found

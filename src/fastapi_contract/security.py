"""Calls the guards of an operation's security schemes: those of the first alternative whose credentials were sent."""

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias, get_type_hints

from fastapi import Request
from fastapi.security import SecurityScopes

from fastapi_contract.contract import Alternatives
from fastapi_contract.problems import MissingCredentials

Guard: TypeAlias = Callable[..., Awaitable[object]]
"""An async callable that raises a Problem to reject a request, called before query and body are read. Each security
scheme needs one that is an instance of FastAPI's SecurityBase, whose model is compared with the contract. A guard with
a parameter of the type SecurityScopes receives the scopes that the operation requires.

    async def from_localhost(request: Request) -> None:
        if request.client is None or request.client.host != "127.0.0.1":
            raise Forbidden
"""

_RESULTS = "fastapi_contract.credentials"
"""Key in the ASGI scope: what the guards of the alternative that applied returned, by scheme."""


def guards_of(alternatives: Alternatives, schemes: Mapping[str, Sequence[Guard]]) -> list[Guard]:
    """Returns what must be called, in this order, before an operation.

    The guards of a single alternative, all of which must pass; otherwise one guard that tries the alternatives.
    """
    bound = [
        {name: [_with_scopes(guard, scopes) for guard in schemes[name]] for name, scopes in alternative.items()}
        for alternative in alternatives
    ]
    if len(bound) <= 1:
        return [guard for alternative in bound for guards in alternative.values() for guard in guards]
    return [partial(_first_that_applies, bound)]


def credentials(request: Request) -> Mapping[str, Sequence[object]]:
    """What the guards returned, by scheme, if an operation has several alternatives; empty for a caller without
    credentials. A handler reads it to learn who calls:

        async def caller(request: Request) -> str | None:
            return next(iter(credentials(request).get("bearerAuth", [])), None)
    """
    found: Mapping[str, Sequence[object]] = request.scope.get(_RESULTS, {})
    return found


async def _first_that_applies(alternatives: Sequence[Mapping[str, Sequence[Guard]]], request: Request) -> None:
    """Credentials that are sent must be good: only an alternative whose credentials are missing is skipped.

    Raises the problem of the first alternative that is not skipped, or of the first one if all are.
    """
    missing: list[MissingCredentials] = []
    # An alternative without schemes applies if no credentials are sent, so it comes last.
    for alternative in sorted(alternatives, key=lambda each: not each):
        try:
            results = {name: [await guard(request) for guard in guards] for name, guards in alternative.items()}
        except MissingCredentials as problem:
            missing.append(problem)
        else:
            request.scope[_RESULTS] = results
            return
    raise missing[0]


def _with_scopes(guard: Guard, scopes: Sequence[str]) -> Guard:
    called: Any = guard if inspect.isroutine(guard) else type(guard).__call__
    names = [name for name, hint in get_type_hints(called).items() if hint is SecurityScopes]
    return partial(guard, **{names[0]: SecurityScopes(list(scopes))}) if names else guard

"""Lists the operations of an app in a table, for people: path, guards, statuses, media types."""

from collections.abc import Iterator

from fastapi import FastAPI

from fastapi_contract.contract import Contract, Operation
from fastapi_contract.openapi.document import resolve
from fastapi_contract.requests import ContractRoute
from fastapi_contract.security import Guard
from fastapi_contract.shortcut import Shortcut

_HEADINGS = ("operation", "method", "path", "security", "statuses", "request", "response", "shortcut")


def overview(app: FastAPI, contract: Contract) -> str:
    """Returns the table. `app` is the result of `contract_app`."""
    compiled = Shortcut(app.build_middleware_stack(), app).operations
    rows = [_HEADINGS]
    for route in app.routes:
        if isinstance(route, ContractRoute) and route.binding is not None:
            operation = route.binding.operation
            request = resolve(contract.document, operation.spec.get("requestBody", {})).get("content", {})
            responses = [operation.responses[str(status)].get("content", {}) for status in operation.successes]
            rows.append(
                (
                    operation.id,
                    operation.method,
                    operation.template.template,
                    " or ".join(_alternatives(operation, route)) or "public",
                    " ".join(sorted(operation.responses)),
                    " ".join(request) or "-",
                    " ".join(dict.fromkeys(media_type for each in responses for media_type in each)) or "-",
                    "yes" if operation.id in compiled else "no",
                )
            )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "\n".join(lines)


def _alternatives(operation: Operation, route: ContractRoute) -> Iterator[str]:
    """The schemes of each alternative with their guards: `bearerAuth (BearerAuth, UrlOwnership)`."""
    assert route.binding is not None
    for alternative in operation.security:
        schemes = [f"{name} ({', '.join(map(_name, route.binding.schemes[name]))})" for name in alternative]
        yield " and ".join(schemes) or "public"


def _name(guard: Guard) -> str:
    return getattr(guard, "__name__", type(guard).__name__)

"""The problem types of idempotency keys (RFC 9457)."""

from typing import Any

from fastapi_contract.problems import Problem
from fastapi_contract.validation.input_errors import InputError

RETRY_AFTER = 1
"""Seconds until a request in progress is likely to be done."""


class RequestInProgress(Problem):
    """A request with the same Idempotency-Key is in progress."""

    type = "/problems/request-in-progress"
    title = "Request in progress"
    status = 409

    def __init__(self) -> None:
        super().__init__(
            "A request with this Idempotency-Key is in progress. Retry after Retry-After seconds.",
            {"Retry-After": str(RETRY_AFTER)},
        )


class IdempotencyKeyReused(Problem):
    """The Idempotency-Key was used for another request: another task, another body or another If-Match."""

    type = "/problems/idempotency-key-reused"
    title = "Idempotency key reused"
    status = 422

    def __init__(self) -> None:
        super().__init__("The Idempotency-Key was used for another request. Make a new key.")

    def members(self) -> dict[str, Any]:
        """With `errors`, as every 422, so that a client that knows no other type than validation-failed can show it."""
        error = InputError("invalid", "Was used for another request. Make a new key.", parameter="Idempotency-Key")
        return {**super().members(), "errors": [error.members()]}

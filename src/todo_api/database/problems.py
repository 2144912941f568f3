"""The database's problem types (RFC 9457)."""

from fastapi_contract.problems import Problem


class DatabaseUnavailable(Problem):
    """The database is suspended, restarting, unreachable or busy. The request may be correct: send it again after the
    seconds in the Retry-After header."""

    type = "/problems/database-unavailable"
    title = "Database unavailable"
    status = 503

    def __init__(self) -> None:
        super().__init__(
            "The database is temporarily unavailable. Retry after Retry-After seconds.",
            {"Retry-After": "1"},
        )

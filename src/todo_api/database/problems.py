"""Failures of the database, as problems."""

from fastapi_contract.problems import Problem


class DatabaseUnavailable(Problem):
    """The database is asleep, restarting, unreachable or busy. Nothing is known to be wrong with the request: send it
    again after the seconds in the Retry-After header."""

    type = "/problems/database-unavailable"
    title = "The database is not available"
    status = 503

    def __init__(self) -> None:
        super().__init__(
            "The database does not answer right now. Try again after the seconds in Retry-After.",
            {"Retry-After": "1"},
        )

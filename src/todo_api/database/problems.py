"""The database's problem types (RFC 9457)."""

from fastapi_contract.problems import Problem


class DatabaseUnavailable(Problem):
    """The database is suspended, restarting, unreachable or busy. If the service does not know whether the database has
    stored a change, the detail says so."""

    type = "/problems/database-unavailable"
    title = "Database unavailable"
    status = 503

    def __init__(self, retry_after: int = 1, *, may_have_changed: bool = False) -> None:
        """`retry_after` is in seconds. `may_have_changed` is whether the change may be stored nevertheless."""
        super().__init__(
            "The database is temporarily unavailable. Retry after Retry-After seconds."
            if not may_have_changed
            else "The database became unavailable. The change may have been carried out: after Retry-After seconds, "
            "read before you repeat it.",
            {"Retry-After": str(retry_after)},
        )

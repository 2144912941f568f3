"""Failures of authentication and ownership, as problems."""

from fastapi_contract.problems import MissingCredentials, Problem

CHALLENGE = 'Bearer realm="todo-api"'
"""Start of the WWW-Authenticate header (RFC 6750, section 3)."""


class AuthenticationRequired(Problem, MissingCredentials):
    """The operation requires a bearer token, and none was sent."""

    type = "/problems/authentication-required"
    title = "Authentication required"
    status = 401

    def __init__(self) -> None:
        super().__init__(
            'The bearer token is missing. Send the header "Authorization: Bearer <token>".',
            {"WWW-Authenticate": CHALLENGE},
        )


class InvalidToken(Problem):
    """A token was sent, but is not accepted. The service logs the reason under the request id. The response contains it
    only if the token's algorithm is not accepted, because the cause is then the configuration."""

    type = "/problems/invalid-token"
    title = "Invalid token"
    status = 401

    def __init__(self, reason: str, detail: str | None = None) -> None:
        """`reason` is one word, for the log. `detail` replaces the default detail of the response."""
        description = "The token is expired, malformed, or not signed with an accepted key. Get a new one."
        challenge = f'{CHALLENGE}, error="invalid_token", error_description="{description}"'
        super().__init__(detail or description, {"WWW-Authenticate": challenge})
        self.reason = reason


class Forbidden(Problem):
    """The user in the URL is not the user of the token. The response is the same if that user does not exist."""

    type = "/problems/forbidden"
    title = "Forbidden"
    status = 403

    def __init__(self) -> None:
        super().__init__("The user in the URL is not the user of the token. Use the id that the token was issued for.")


class IssuerUnavailable(Problem):
    """The issuer's keys cannot be fetched, so the token cannot be verified."""

    type = "/problems/issuer-unavailable"
    title = "Token issuer unavailable"
    status = 503

    def __init__(self) -> None:
        super().__init__(
            "The issuer's keys cannot be fetched, so the token cannot be verified. Retry after Retry-After seconds.",
            {"Retry-After": "5"},
        )

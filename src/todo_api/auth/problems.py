"""Failures of authentication and ownership, as problems."""

from fastapi_contract.problems import MissingCredentials, Problem

CHALLENGE = 'Bearer realm="todo-api"'
"""How a WWW-Authenticate header begins (RFC 6750, section 3)."""


class AuthenticationRequired(Problem, MissingCredentials):
    """The operation wants a bearer token, and none was sent. Send the header "Authorization: Bearer TOKEN"."""

    type = "/problems/authentication-required"
    title = "Authentication is required"
    status = 401

    def __init__(self) -> None:
        super().__init__(
            'There is no bearer token. Send one, as "Authorization: Bearer <token>".',
            {"WWW-Authenticate": CHALLENGE},
        )


class InvalidToken(Problem):
    """A token was sent, but it is expired, malformed, meant for others, or not signed with a key that this service
    trusts. Get a new one from the issuer. Which of these it was stands in the log under the request id; the answer
    tells it only where the algorithm is not accepted, for that is a fault of the set-up."""

    type = "/problems/invalid-token"
    title = "The token is not accepted"
    status = 401

    def __init__(self, reason: str, detail: str | None = None) -> None:
        """`reason` is one word, for the log."""
        told = "The token is expired, malformed, or signed by somebody else. Get a new one."
        challenge = f'{CHALLENGE}, error="invalid_token", error_description="{told}"'
        super().__init__(detail or told, {"WWW-Authenticate": challenge})
        self.reason = reason


class Forbidden(Problem):
    """The user in the URL is not the bearer of the token. The answer is the same whether that user exists or not.
    Use the id that the token was issued for: its "sub" claim."""

    type = "/problems/forbidden"
    title = "The URL belongs to another user"
    status = 403

    def __init__(self) -> None:
        super().__init__(
            "The user in the URL is not the bearer of the token. Use the id that the token was issued for."
        )


class IssuerUnavailable(Problem):
    """The keys of the issuer can't be fetched, and the token may be signed with one that is not known yet. Nothing is
    known to be wrong with the token: send the request again after the seconds in the Retry-After header."""

    type = "/problems/issuer-unavailable"
    title = "The issuer of the tokens is not available"
    status = 503

    def __init__(self) -> None:
        super().__init__(
            "The keys to check the token with can't be fetched right now. Try again after the seconds in Retry-After.",
            {"Retry-After": "5"},
        )

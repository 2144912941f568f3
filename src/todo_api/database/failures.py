"""What asyncpg, the socket, PgBouncer and Neon say when there is no database, told from what the database refused."""

import ssl

import asyncpg


class DatabaseUnavailable(Exception):
    """No database answers, or none in time. Whether the statement was carried out is not known."""


class DatabaseRefused(DatabaseUnavailable):
    """The database does not let us in, and won't the next time: a wrong password, a certificate that does not fit."""


class StatementLost(DatabaseUnavailable):
    """The connection ended under a statement."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(f"{type(cause).__name__}: {cause}")
        told = isinstance(cause, asyncpg.PostgresConnectionError | asyncpg.InternalClientError)
        self.never_sent = told and _says(cause, _NEVER_SENT)
        """It is certain that the statement was not carried out."""


_UNAVAILABLE = (
    OSError,  # Refused, reset, no such host, TLS; TimeoutError too.
    asyncpg.PostgresConnectionError,  # Class 08. Everything that PgBouncer itself says is an 08P01.
    asyncpg.OperatorInterventionError,  # Class 57: shuts down, starts, ran out of time.
    asyncpg.TooManyConnectionsError,
    asyncpg.TargetServerAttributeNotMatched,  # No primary, while one takes over.
)
# Everything that Neon's proxy says is an XX000, a wrong password too. These pass by themselves.
_PASSES_AT_NEON = (
    "couldn't connect to compute node",
    "control plane request failed",
    "too many connections",
    "failed to acquire permit",
)
# PgBouncer's, which do not; and asyncpg's, for a server that has no TLS.
_STAYS = (
    "rejected ssl upgrade",
    "authentication failed",
    "no such database",
    "no such user",
    "unsupported startup parameter",
    "ssl required",
)
# PgBouncer's, for a statement that no server has seen; and asyncpg's, for a connection on which the server had said
# goodbye. asyncpg finds that out before it writes.
_NEVER_SENT = (
    "server login has been failing",
    "query_wait_timeout",
    "cannot connect to server",
    "cannot switch to state",
)


def is_unavailable(error: Exception) -> bool:
    """Whether this is one of the ways in which they say that there is no database now."""
    if isinstance(error, asyncpg.InternalServerError):
        return _says(error, _PASSES_AT_NEON)
    if isinstance(error, _UNAVAILABLE):
        return True
    return isinstance(error, asyncpg.InternalClientError) and _says(error, _NEVER_SENT)


def may_pass(error: Exception) -> bool:
    """Whether a connection that failed like this may be made a moment later."""
    if isinstance(error, ssl.SSLCertVerificationError) or _says(error, _STAYS):
        return False
    return is_unavailable(error)


def _says(error: Exception, texts: tuple[str, ...]) -> bool:
    message = str(error).lower()
    return any(text in message for text in texts)

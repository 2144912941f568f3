"""Classifies errors of asyncpg, sockets, PgBouncer and Neon: the database is unreachable, it rejects a statement for a
transient reason, or the error is permanent. Descriptions contain no value of a row or a statement."""

import errno
import os
import re
import socket
import ssl
from collections.abc import Callable
from typing import Any, TypeGuard

import asyncpg
from sqlalchemy.exc import StatementError


class DatabaseUnavailableError(Exception):
    """The database did not respond, or not in time."""

    may_have_changed = False
    """Whether a change may be stored although the database did not confirm it."""
    retry_after = 1
    """Seconds after which the request may be sent again."""


class PermanentDatabaseError(DatabaseUnavailableError):
    """The database cannot be used, and a retry cannot change that: a wrong password, a certificate that does not
    match."""


class StatementFailedError(DatabaseUnavailableError):
    """A statement failed for a transient reason."""

    may_have_run = True
    """Whether the server may have completed the statement."""

    def __init__(self, description: str, *, safe_to_retry: bool) -> None:
        super().__init__(description)
        self.safe_to_retry = safe_to_retry
        """Whether the statement certainly changed nothing and may succeed on a retry."""


class StatementTimedOutError(StatementFailedError):
    """The server did not complete the statement in time. It is cancelled, but may have been completed before."""

    def __init__(self) -> None:
        super().__init__("the statement timed out", safe_to_retry=False)


class StatementLostError(StatementFailedError):
    """The connection was lost during a statement."""

    def __init__(self, cause: Exception) -> None:
        known = isinstance(cause, asyncpg.PostgresConnectionError | asyncpg.InternalClientError)
        never_sent = known and _message_contains(cause, _NEVER_SENT)
        super().__init__(without_values(cause), safe_to_retry=never_sent)
        self.may_have_run = not never_sent


class StatementRejectedError(StatementFailedError):
    """PostgreSQL rejected a statement, and the connection can be reused."""

    def __init__(self, cause: asyncpg.PostgresError) -> None:
        super().__init__(without_values(cause), safe_to_retry=cause.sqlstate in _SAFE_TO_RETRY)
        self.may_have_run = cause.sqlstate == COMPLETION_UNKNOWN


READ_ONLY = "25006"
COMPLETION_UNKNOWN = "40003"
UNKNOWN_PREPARED_STATEMENT, DUPLICATE_PREPARED_STATEMENT = "26000", "42P05"
"""asyncpg prepares a statement under a name and then runs it. A pooler in transaction mode may use another connection
of the server, on which the name is unknown, or already in use. Nothing ran."""
PREPARED_ELSEWHERE = {UNKNOWN_PREPARED_STATEMENT, DUPLICATE_PREPARED_STATEMENT}

# https://www.postgresql.org/docs/18/errcodes-appendix.html
_SAFE_TO_RETRY = {
    "40000",
    "40001",  # Serialization failure; on a standby also a conflict with recovery.
    "40P01",  # Deadlock.
    *PREPARED_ELSEWHERE,
}
_TRANSIENT = {
    *_SAFE_TO_RETRY,
    COMPLETION_UNKNOWN,
    "55006",  # Object in use.
    "55P03",  # Lock not available: lock_timeout, NOWAIT.
    "25P03",  # Idle-in-transaction timeout.
    "25P04",  # Transaction timeout.
    READ_ONLY,
}
# Insufficient resources (memory, disk, connections), operator intervention, system errors such as I/O.
_TRANSIENT_CLASSES = ("53", "57", "58")

_UNAVAILABLE = (
    OSError,  # Connection refused or reset, unknown host, TLS; TimeoutError is a subclass.
    asyncpg.PostgresConnectionError,  # Class 08. All of PgBouncer's own errors are 08P01.
    asyncpg.OperatorInterventionError,  # Class 57: shutdown, start, canceled statement.
    asyncpg.TooManyConnectionsError,
    asyncpg.TargetServerAttributeNotMatched,  # No primary during a failover.
)
# All errors of Neon's proxy are XX000, even a wrong password. Those with these texts are transient.
_TRANSIENT_AT_NEON = (
    "couldn't connect to compute node",
    "control plane request failed",
    "too many connections",
    "failed to acquire permit",
)
# Texts of permanent errors: PgBouncer's, and asyncpg's if the server offers no TLS.
_PERMANENT = (
    "rejected ssl upgrade",
    "authentication failed",
    "no such database",
    "no such user",
    "unsupported startup parameter",
    "ssl required",
)
# Texts of errors before a statement was sent: PgBouncer's if it had no server, and asyncpg's, which it raises before it
# writes to a connection that the server had already closed.
_NEVER_SENT = (
    "server login has been failing",
    "query_wait_timeout",
    "cannot connect to server",
    "cannot switch to state",
)


def is_transient_rejection(error: Exception) -> TypeGuard[asyncpg.PostgresError]:
    """Returns whether PostgreSQL rejected a statement for a transient reason, and the connection can be reused."""
    if not isinstance(error, asyncpg.PostgresError):
        return False
    # A FATAL error closes the connection. An error of asyncpg or of an old pooler has no severity.
    return error.sqlstate in _TRANSIENT or (
        str(error.sqlstate).startswith(_TRANSIENT_CLASSES) and error.severity_en == "ERROR"
    )


def is_unavailable(error: Exception) -> bool:
    """Returns whether the error means that the database cannot be reached at present."""
    if isinstance(error, asyncpg.InternalServerError):
        return _message_contains(error, _TRANSIENT_AT_NEON)
    if isinstance(error, _UNAVAILABLE):
        return True
    if isinstance(error, asyncpg.PostgresError):
        return str(error.sqlstate).startswith(_TRANSIENT_CLASSES)
    return isinstance(error, asyncpg.InternalClientError) and _message_contains(error, _NEVER_SENT)


def is_transient(error: Exception) -> bool:
    """Returns whether an attempt to connect that failed with this error may succeed on a retry."""
    if isinstance(error, ssl.SSLCertVerificationError) or _message_contains(error, _PERMANENT):
        return False
    return is_unavailable(error) or is_transient_rejection(error)


def _message_contains(error: Exception, texts: tuple[str, ...]) -> bool:
    message = str(error).lower()
    return any(text in message for text in texts)


def without_values(error: BaseException) -> str:
    """Returns a description of an exception that can be logged.

    Messages and DETAIL of PostgreSQL, and messages of asyncpg and SQLAlchemy, quote values of rows and parameters.
    SQLSTATE, names and the SQL text quote none, because every value of a statement is a parameter.
    """
    if isinstance(error, asyncpg.PostgresError):
        names = {
            "constraint": error.constraint_name,
            "table": error.table_name,
            "column": error.column_name,
            "statement": getattr(error, "query", None),
        }
        return "; ".join([f"SQLSTATE {error.sqlstate}", *(f"{name} {text}" for name, text in names.items() if text)])
    if isinstance(error, StatementError):
        # SQLAlchemy wraps asyncpg's error in a class of its own dialect.
        cause = error.orig and (error.orig.__cause__ or error.orig)
        return f"{without_values(cause) if cause else 'no cause'}; statement {error.statement}"
    try:
        return str(error)
    except Exception:  # noqa: BLE001
        # A log line must not fail because of its exception. Python's own tracebacks print this text.
        return "<exception str() failed>"


# --- why connecting failed, in a sentence for the operator

_CHECK = "Check DATABASE_URL."
_CAUSES = (
    # A text of PostgreSQL, PgBouncer, Neon or asyncpg; the cause; what to do.
    ("rejected ssl upgrade", "the server offers no TLS", "Check sslmode in DATABASE_URL, or enable TLS at the server."),
    ("no encryption", "the server requires TLS", "Add sslmode=require, or a stricter one, to DATABASE_URL."),
    ("ssl off", "the server requires TLS", "Add sslmode=require, or a stricter one, to DATABASE_URL."),
    ("ssl required", "the server requires TLS", "Add sslmode=require, or a stricter one, to DATABASE_URL."),
    (
        "no pg_hba.conf entry",
        "pg_hba.conf does not allow this user from this address",
        "Check pg_hba.conf at the server.",
    ),
    ("authentication failed", "the user or the password is wrong", _CHECK),
    ("no such user", "the user or the password is wrong", _CHECK),
    ("no such database", "there is no such database", _CHECK),
    ("unsupported startup parameter", "the pooler does not support a parameter", _CHECK),
    ("couldn't connect to compute node", "Neon cannot start the database", "Try again."),
)
_CAUSES_BY_SQLSTATE = {
    "08003": ("the connection was closed", _CHECK),
    "08006": ("the connection was closed", _CHECK),
    "28P01": ("the user or the password is wrong", _CHECK),
    "28000": ("the server rejects the user", _CHECK),
    "3D000": ("there is no such database", _CHECK),
    "42501": ("the user is not allowed to connect to this database", "Grant CONNECT on it to the user."),
    "53300": ("the server has too many connections", "Lower DATABASE_POOL_SIZE and DATABASE_POOL_OVERFLOW."),
    "57P03": ("the server is starting or shutting down", "Try again."),
}
_CAUSES_BY_ERRNO = {
    errno.ECONNREFUSED: "connection refused",
    errno.ENOENT: "there is no such socket",
    errno.ECONNRESET: "the connection was closed",
    errno.EPIPE: "the connection was closed",
}


def connection_failure(address: str, error: BaseException, seconds: float | None = None) -> str:
    """Returns the message for a failed connect: the address, the cause and what to do, without credentials. `seconds`
    is how long connecting was tried."""
    cause, advice = _cause(error)
    within = "" if seconds is None else f" within {seconds:g} s"
    return f"Cannot connect to the database at {address}{within}: {cause}. {advice}"


def _cause(error: BaseException) -> tuple[str, str]:
    message = str(error).lower()
    for text, cause, advice in _CAUSES:
        if text in message:
            return cause, advice
    for kind, describe in _CAUSES_BY_KIND:
        if isinstance(error, kind):
            described: str | tuple[str, str] = describe(error)
            return (described, _CHECK) if isinstance(described, str) else described
    return "the connection failed", _CHECK


def _cause_of_sqlstate(error: asyncpg.PostgresError) -> str | tuple[str, str]:
    return _CAUSES_BY_SQLSTATE.get(str(error.sqlstate)) or f"the server reports: {error.args[0].rstrip('.')}"


def _cause_of_certificate(error: ssl.SSLCertVerificationError) -> tuple[str, str]:
    fault = error.verify_message.rstrip(".")
    return f"the server's certificate is not verified ({fault})", "Check the host and sslrootcert in DATABASE_URL."


def _cause_of_name(error: socket.gaierror) -> str:
    transient = error.errno == socket.EAI_AGAIN
    return "the host's name cannot be resolved now" if transient else "there is no such host"


def _cause_of_errno(error: OSError) -> str:
    # If a host has several addresses, asyncio lists the errors of all in one text, without an errno.
    listed = re.search(r"\[Errno ([0-9]+)\]", str(error))
    number = error.errno or (int(listed[1]) if listed else 0)
    return _CAUSES_BY_ERRNO.get(number) or (os.strerror(number).lower() if number else "the connection failed")


# Subclasses first: all but three are an OSError.
_CAUSES_BY_KIND: tuple[tuple[type[BaseException], Callable[[Any], str | tuple[str, str]]], ...] = (
    (asyncpg.PostgresError, _cause_of_sqlstate),
    (ssl.SSLCertVerificationError, _cause_of_certificate),
    (ssl.SSLError, lambda _: ("the TLS handshake failed", "Check sslmode and the TLS versions in DATABASE_URL.")),
    (TimeoutError, lambda _: "no answer"),
    (socket.gaierror, _cause_of_name),
    (OSError, _cause_of_errno),
    (asyncpg.TargetServerAttributeNotMatched, lambda _: "no server matches target_session_attrs"),
    (asyncpg.InterfaceError, lambda error: str(error.args[0]).rstrip(".")),
)

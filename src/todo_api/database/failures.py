"""Errors of asyncpg, the socket, PgBouncer and Neon, classified: the database is missing, it rejects a statement for a
reason that passes by itself, or the fault is ours. Errors are described without any value of a row or a statement."""

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
    """No database answers, or none in time. Whether the statement was carried out is not known."""


class DatabaseRefusedError(DatabaseUnavailableError):
    """The database does not let us in, and won't the next time: a wrong password, a certificate that does not fit."""


class StatementFailedError(DatabaseUnavailableError):
    """A statement failed, and the reason passes by itself."""

    def __init__(self, cause: Exception, *, nothing_done: bool) -> None:
        super().__init__(without_values(cause))
        self.nothing_done = nothing_done
        """It is certain that the statement changed nothing, and that it may succeed if it is sent again."""


class StatementLostError(StatementFailedError):
    """The connection ended under a statement."""

    def __init__(self, cause: Exception) -> None:
        known = isinstance(cause, asyncpg.PostgresConnectionError | asyncpg.InternalClientError)
        super().__init__(cause, nothing_done=known and _says(cause, _NEVER_SENT))


class StatementRejectedError(StatementFailedError):
    """PostgreSQL rejected a statement, and the connection can be used again."""

    def __init__(self, cause: asyncpg.PostgresError) -> None:
        super().__init__(cause, nothing_done=cause.sqlstate in _NOTHING_DONE)


READ_ONLY = "25006"
NO_SUCH_PREPARED_STATEMENT, PREPARED_TWICE = "26000", "42P05"
"""asyncpg prepares a statement under a name and then runs it. A pooler in transaction mode may send the second to
another connection of the server, which does not have the name, or has it already. Nothing ran."""
PREPARED_ELSEWHERE = {NO_SUCH_PREPARED_STATEMENT, PREPARED_TWICE}

# https://www.postgresql.org/docs/18/errcodes-appendix.html
_NOTHING_DONE = {
    "40000",
    "40001",  # Serialization failure; on a standby also a conflict with recovery.
    "40P01",  # Deadlock.
    *PREPARED_ELSEWHERE,
}
_PASSES = {
    *_NOTHING_DONE,
    "40003",  # Whether the statement was completed is not known.
    "55006",  # Object in use.
    "55P03",  # Lock not available: lock_timeout, NOWAIT.
    "25P03",  # The transaction was idle for too long.
    "25P04",  # The transaction took too long.
    READ_ONLY,
}
# Resources (memory, disk, connections), intervention by an operator, errors of the system such as of the disk.
_PASSING_CLASSES = ("53", "57", "58")

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


def is_rejection(error: Exception) -> TypeGuard[asyncpg.PostgresError]:
    """Whether PostgreSQL rejected a statement for a reason that passes by itself, and the connection goes on."""
    if not isinstance(error, asyncpg.PostgresError):
        return False
    # A FATAL error ends the connection. Without a severity it comes from asyncpg or from an old pooler.
    return error.sqlstate in _PASSES or (
        str(error.sqlstate).startswith(_PASSING_CLASSES) and error.severity_en == "ERROR"
    )


def is_unavailable(error: Exception) -> bool:
    """Whether this is one of the ways in which they say that there is no database now."""
    if isinstance(error, asyncpg.InternalServerError):
        return _says(error, _PASSES_AT_NEON)
    if isinstance(error, _UNAVAILABLE):
        return True
    if isinstance(error, asyncpg.PostgresError):
        return str(error.sqlstate).startswith(_PASSING_CLASSES)
    return isinstance(error, asyncpg.InternalClientError) and _says(error, _NEVER_SENT)


def may_pass(error: Exception) -> bool:
    """Whether a connection that failed like this may be made a moment later."""
    if isinstance(error, ssl.SSLCertVerificationError) or _says(error, _STAYS):
        return False
    return is_unavailable(error) or is_rejection(error)


def _says(error: Exception, texts: tuple[str, ...]) -> bool:
    message = str(error).lower()
    return any(text in message for text in texts)


def without_values(error: BaseException) -> str:
    """What a log may say of an exception. PostgreSQL's messages and DETAIL quote values of rows and of parameters, and
    so do those of asyncpg and SQLAlchemy about parameters; SQLSTATE, names and the statement are enough to find the
    fault, because every value of a statement is a parameter."""
    if isinstance(error, asyncpg.PostgresError):
        names = {
            "constraint": error.constraint_name,
            "table": error.table_name,
            "column": error.column_name,
            "statement": getattr(error, "query", None),
        }
        return "; ".join([f"SQLSTATE {error.sqlstate}", *(f"{name} {text}" for name, text in names.items() if text)])
    if isinstance(error, StatementError):
        # SQLAlchemy's own class stands between it and asyncpg's.
        cause = error.orig and (error.orig.__cause__ or error.orig)
        return f"{without_values(cause) if cause else 'no cause'}; statement {error.statement}"
    try:
        return str(error)
    except Exception:  # noqa: BLE001
        # A log line must not fail because of what it reports. Python's own tracebacks say the same.
        return "<exception str() failed>"


# --- why there is no connection, for people

_CHECK = "Check DATABASE_URL."
_CAUSES = (
    # Texts of PostgreSQL, PgBouncer, Neon and asyncpg; the cause, and what to do.
    ("rejected ssl upgrade", "the server offers no TLS", "Check sslmode in DATABASE_URL, or enable TLS at the server."),
    ("no encryption", "the server requires TLS", "Add sslmode=require, or a stricter one, to DATABASE_URL."),
    ("ssl off", "the server requires TLS", "Add sslmode=require, or a stricter one, to DATABASE_URL."),
    ("ssl required", "the server requires TLS", "Add sslmode=require, or a stricter one, to DATABASE_URL."),
    ("no pg_hba.conf entry", "the server accepts no login by this user from here", "Check pg_hba.conf at the server."),
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
    "42501": ("the user may not connect to this database", "Grant CONNECT on it."),
    "53300": ("the server has too many connections", "Lower DATABASE_POOL_SIZE and DATABASE_POOL_OVERFLOW."),
    "57P03": ("the server starts or shuts down", "Try again."),
}
_CAUSES_BY_ERRNO = {
    errno.ECONNREFUSED: "connection refused",
    errno.ENOENT: "there is no such socket",
    errno.ECONNRESET: "the connection was closed",
    errno.EPIPE: "the connection was closed",
}


def connection_failure(address: str, error: BaseException, seconds: float | None = None) -> str:
    """A sentence that says where the database was expected, why there is no connection, and what to do. Names no
    password. `seconds` is for how long it was tried."""
    cause, advice = _cause(error)
    within = "" if seconds is None else f" within {seconds:g} s"
    return f"Cannot connect to the database at {address}{within}: {cause}. {advice}"


def _cause(error: BaseException) -> tuple[str, str]:
    message = str(error).lower()
    for text, cause, advice in _CAUSES:
        if text in message:
            return cause, advice
    for kind, explain in _CAUSES_BY_KIND:
        if isinstance(error, kind):
            explained: str | tuple[str, str] = explain(error)
            return (explained, _CHECK) if isinstance(explained, str) else explained
    return "the connection failed", _CHECK


def _cause_at_server(error: asyncpg.PostgresError) -> str | tuple[str, str]:
    return _CAUSES_BY_SQLSTATE.get(str(error.sqlstate)) or f"the server says: {error.args[0].rstrip('.')}"


def _cause_of_certificate(error: ssl.SSLCertVerificationError) -> tuple[str, str]:
    fault = error.verify_message.rstrip(".")
    return f"the server's certificate is not verified ({fault})", "Check the host and sslrootcert in DATABASE_URL."


def _cause_of_name(error: socket.gaierror) -> str:
    passes = error.errno == socket.EAI_AGAIN
    return "the host's name cannot be resolved now" if passes else "there is no such host"


def _cause_at_socket(error: OSError) -> str:
    # If a host has several addresses, asyncio lists what happened at each of them, in one text.
    listed = re.search(r"\[Errno ([0-9]+)\]", str(error))
    number = error.errno or (int(listed[1]) if listed else 0)
    return _CAUSES_BY_ERRNO.get(number) or (os.strerror(number).lower() if number else "the connection failed")


# The special before the general: all but three are an OSError.
_CAUSES_BY_KIND: tuple[tuple[type[BaseException], Callable[[Any], str | tuple[str, str]]], ...] = (
    (asyncpg.PostgresError, _cause_at_server),
    (ssl.SSLCertVerificationError, _cause_of_certificate),
    (ssl.SSLError, lambda _: ("the TLS handshake failed", "Check sslmode and the TLS versions in DATABASE_URL.")),
    (TimeoutError, lambda _: "no answer"),
    (socket.gaierror, _cause_of_name),
    (OSError, _cause_at_socket),
    (asyncpg.TargetServerAttributeNotMatched, lambda _: "no server is what target_session_attrs asks for"),
    (asyncpg.InterfaceError, lambda error: str(error.args[0]).rstrip(".")),
)

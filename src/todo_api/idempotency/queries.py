"""The SQL of idempotency keys: makes a statement that keeps its answer, or returns the kept one."""

import json
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any, NamedTuple, TypeAlias

import asyncpg
from sqlalchemy import (
    BigInteger,
    ClauseElement,
    ColumnElement,
    DateTime,
    LargeBinary,
    bindparam,
    cast,
    exists,
    func,
    insert,
    literal_column,
    not_,
    null,
    select,
    true,
    union_all,
)
from sqlalchemy.sql.selectable import SelectBase

from todo_api.database import expiry
from todo_api.database.session import Session
from todo_api.database.statement import Statement, prepare
from todo_api.idempotency.key import Key
from todo_api.idempotency.problems import IdempotencyKeyReused, RequestInProgress
from todo_api.idempotency.table import kept_answer

LIFETIME = "24 hours"
"""How long an answer is kept at least. Later requests with keys remove it."""
_RFC_3339 = """'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'"""

Conditional: TypeAlias = Callable[[ColumnElement[bool]], SelectBase]
"""Makes a statement that changes and returns nothing unless the condition holds."""

_is_key = (
    kept_answer.c.user_id == bindparam("owner"),
    kept_answer.c.operation == bindparam("operation"),
    kept_answer.c.key == bindparam("key"),
)
_kept = select(kept_answer.c.request, kept_answer.c.answer).where(*_is_key)
_lock_of_key = select(func.pg_try_advisory_xact_lock(bindparam("lock", type_=BigInteger)).label("free"))


class Answer(NamedTuple):
    """What a statement returned, now or at the first request."""

    row: dict[str, Any] | None
    replayed: bool


def keyed(statement: Conditional) -> ClauseElement:
    """Returns a statement that runs `statement` once for each key, and keeps the row that it returns.

    A lock of the transaction tells whether the first request is in progress. The primary key of the kept answer is what
    excludes a second one: it makes the whole statement fail.
    """
    known = _kept.cte("known")
    free = _lock_of_key.where(not_(exists(select(known.c.request)))).cte("free")
    written = statement(exists(select(free.c.free).where(free.c.free))).cte("written")
    answer = select(*map(_as_json, written.c)).cte("answer")
    kept = (
        insert(kept_answer)
        .from_select(
            ["user_id", "operation", "key", "request", "answer"],
            select(
                bindparam("owner", type_=kept_answer.c.user_id.type).label("user_id"),
                bindparam("operation", type_=kept_answer.c.operation.type),
                bindparam("key", type_=kept_answer.c.key.type),
                bindparam("request", type_=kept_answer.c.request.type),
                func.to_jsonb(literal_column("answer")),
            )
            .select_from(free.outerjoin(answer, true()))
            .where(free.c.free),
        )
        .returning(kept_answer.c.request, kept_answer.c.answer)
        .cte("kept")
    )
    return union_all(
        select(literal_column("true").label("replayed"), known.c.request, known.c.answer),
        select(literal_column("false"), kept.c.request, kept.c.answer),
        select(literal_column("false"), cast(null(), LargeBinary), null()).where(not_(free.c.free)),
    ).add_cte(expiry.removal(kept_answer, kept_answer.c.created_at, LIFETIME))


def _as_json(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Returns what `to_jsonb` writes as the contract does: it would write times in the time zone of the session."""
    if not isinstance(column.type, DateTime):
        return column
    text = func.to_char(func.timezone(literal_column("'UTC'"), column), literal_column(_RFC_3339))
    return text.label(column.key)


async def run(
    session: Session, statement: Statement, owner: str, key: Key, parameters: Mapping[str, Any], **settings: Any
) -> Answer:
    """Runs a `keyed` statement. `parameters` are what tells one request from another; `settings` are other values.

    Raises RequestInProgress and IdempotencyKeyReused.
    """
    request = digest(parameters)
    arguments = {**parameters, **settings, **_names(owner, key), "request": request, "lock": lock_of(owner, key)}
    try:
        row = await session.fetch_one(statement, **arguments)
    except asyncpg.UniqueViolationError:
        # The first request was committed after this statement had begun.
        row = await session.fetch_one(statement, **arguments)
    if row is None or row["request"] is None:
        raise RequestInProgress
    if row["request"] != request:
        raise IdempotencyKeyReused
    return Answer(json.loads(row["answer"]) if row["answer"] else None, row["replayed"])


_lock = prepare(_lock_of_key)
_known = prepare(_kept)
_KEPT = {"user_id": "owner", "operation": "operation", "key": "key", "request": "request", "answer": "answer"}
_keep = prepare(
    insert(kept_answer)
    .values({column: bindparam(name, type_=kept_answer.c[column].type) for column, name in _KEPT.items()})
    .add_cte(expiry.removal(kept_answer, kept_answer.c.created_at, LIFETIME))
)


async def claim(transaction: Session, owner: str, key: Key, request: bytes) -> Any:
    """Returns the answer that was kept for a key, None if there is none: then the key is claimed until the end of the
    transaction, in which `keep` keeps the answer. `request` is the digest of the request.

    Raises RequestInProgress and IdempotencyKeyReused.
    """
    free = await transaction.fetch_one(_lock, lock=lock_of(owner, key))
    # A later statement than that of the lock, so that it sees what the first request has committed.
    row = await transaction.fetch_one(_known, **_names(owner, key))
    if row is None:
        if free is None or not free["free"]:
            raise RequestInProgress
        return None
    if row["request"] != request:
        raise IdempotencyKeyReused
    return json.loads(row["answer"])


async def keep(transaction: Session, owner: str, key: Key, request: bytes, answer: Any) -> None:
    """Keeps the answer to a request whose key was claimed in this transaction."""
    await transaction.fetch_one(_keep, **_names(owner, key), request=request, answer=json.dumps(answer))


def _names(owner: str, key: Key) -> dict[str, str]:
    return {"owner": owner, "operation": key.operation, "key": key.text}


def digest(parameters: Mapping[str, Any]) -> bytes:
    """Returns the digest of what tells one request from another."""
    return blake2b(json.dumps(parameters, sort_keys=True, default=str).encode(), digest_size=16).digest()


def lock_of(owner: str, key: Key) -> int:
    """Returns the number of the lock that the request in progress holds."""
    name = json.dumps([owner, *key]).encode()
    return int.from_bytes(blake2b(name, digest_size=8).digest(), signed=True)

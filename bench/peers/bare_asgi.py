"""A bare ASGI program on asyncpg with hand-written routing: about the limit for Python. Implements only the mix."""

import time
from typing import Annotated, Any, NotRequired
from urllib.parse import parse_qsl

import asyncpg
import jwt
import orjson
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config

# pydantic rejects typing.TypedDict before Python 3.12.
from typing_extensions import TypedDict

from common import DATABASE_URL, MAX_ID, POOL_SIZE, decode_cursor, encode_cursor, serve, subject

Title = Annotated[str, Field(min_length=1, max_length=200)]
Description = Annotated[str, Field(max_length=2000)] | None


@with_config(ConfigDict(extra="forbid"))
class TaskCreate(TypedDict):
    title: Title
    description: NotRequired[Description]
    completed: NotRequired[bool]


@with_config(ConfigDict(extra="forbid"))
class TaskUpdate(TypedDict):
    title: NotRequired[Title]
    description: NotRequired[Description]
    completed: NotRequired[bool]


@with_config(ConfigDict(extra="forbid"))
class Completion(TypedDict):
    completed: bool


CREATE, UPDATE, COMPLETION = TypeAdapter(TaskCreate), TypeAdapter(TaskUpdate), TypeAdapter(Completion)

GET = "SELECT * FROM task WHERE id = $1 AND user_id = $2"
INSERT = "INSERT INTO task (user_id, title, description, completed) VALUES ($1, $2, $3, $4) RETURNING *"
LIST = "SELECT * FROM task WHERE user_id = $1 ORDER BY created_at DESC, id DESC LIMIT $2"
LIST_AFTER = (
    "SELECT * FROM task WHERE user_id = $1 AND (created_at, id) < ($3, $4) ORDER BY created_at DESC, id DESC LIMIT $2"
)


class Failure(Exception):
    """Returned to the client as an empty response with this status."""

    def __init__(self, status: int) -> None:
        self.status = status


verified: dict[bytes, tuple[str, float]] = {}
"""Cache of verified Authorization headers: user and expiry, in seconds since 1970. A check costs 33 µs of CPU."""
pool: asyncpg.Pool


def authenticate(headers: list[tuple[bytes, bytes]]) -> str:
    header = next((value for name, value in headers if name == b"authorization"), b"")
    user, until = verified.get(header, ("", 0.0))
    if until > time.time():
        return user
    scheme, _, token = header.partition(b" ")
    if scheme.lower() != b"bearer":
        raise Failure(401)
    try:
        user = subject(token.decode())
    except (jwt.InvalidTokenError, UnicodeDecodeError):
        raise Failure(401) from None
    if len(verified) >= 10_000:
        verified.clear()
    verified[header] = user, time.time() + 60
    return user


async def read(receive: Any, adapter: TypeAdapter[Any]) -> dict[str, Any]:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    values: dict[str, Any] = adapter.validate_json(body)
    return values


def dump(body: dict[str, Any]) -> bytes:
    return orjson.dumps(body, option=orjson.OPT_UTC_Z)


async def list_tasks(user: str, query: dict[str, str]) -> bytes:
    limit, cursor = int(query.get("limit", "50")), query.get("cursor")
    if not 1 <= limit <= 100:
        raise Failure(422)
    if cursor:
        rows = await pool.fetch(LIST_AFTER, user, limit + 1, *decode_cursor(cursor))
    else:
        rows = await pool.fetch(LIST, user, limit + 1)
    last = rows[limit - 1] if len(rows) > limit else None
    next_cursor = last and encode_cursor(last["created_at"], last["id"])
    return dump({"items": [dict(row) for row in rows[:limit]], "next_cursor": next_cursor})


async def create_task(user: str, task: dict[str, Any]) -> bytes:
    row = await pool.fetchrow(INSERT, user, task["title"], task.get("description"), task.get("completed", False))
    return dump(dict(row))


async def get_task(user: str, task_id: int) -> bytes:
    return one(await pool.fetchrow(GET, task_id, user))


async def update_task(user: str, task_id: int, changes: dict[str, Any]) -> bytes:
    columns = "".join(f", {name} = ${number}" for number, name in enumerate(changes, 3))
    statement = f"UPDATE task SET updated_at = now(){columns} WHERE id = $1 AND user_id = $2 RETURNING *"  # noqa: S608
    return one(await pool.fetchrow(statement, task_id, user, *changes.values()))


def one(row: asyncpg.Record | None) -> bytes:
    if row is None:
        raise Failure(404)
    return dump(dict(row))


async def respond(scope: Any, receive: Any) -> tuple[int, bytes]:
    user = authenticate(scope["headers"])
    match scope["method"], scope["path"].split("/")[1:]:
        case _, ["api", owner, "tasks", *_] if owner != user:
            raise Failure(403)
        case "GET", ["api", _, "tasks"]:
            return 200, await list_tasks(user, dict(parse_qsl(scope["query_string"].decode())))
        case "POST", ["api", _, "tasks"]:
            return 201, await create_task(user, await read(receive, CREATE))
        case "GET", ["api", _, "tasks", task_id]:
            return 200, await get_task(user, number(task_id))
        case "PUT", ["api", _, "tasks", task_id]:
            return 200, await update_task(user, number(task_id), await read(receive, UPDATE))
        case "PATCH", ["api", _, "tasks", task_id, "complete"]:
            return 200, await update_task(user, number(task_id), await read(receive, COMPLETION))
    raise Failure(404)


def number(text: str) -> int:
    value = int(text)
    if not 1 <= value <= MAX_ID:
        raise Failure(422)
    return value


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    try:
        status, body = await respond(scope, receive)
    except Failure as failure:
        status, body = failure.status, b"{}"
    except (ValidationError, ValueError):
        status, body = 422, b"{}"
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def lifespan(receive: Any, send: Any) -> None:
    global pool  # noqa: PLW0603 - created once, in the event loop
    await receive()
    # Without asyncpg's reset query, which costs a round trip.
    pool = await asyncpg.create_pool(DATABASE_URL, min_size=0, max_size=POOL_SIZE, reset=keep)
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await pool.close()
    await send({"type": "lifespan.shutdown.complete"})


async def keep(_: asyncpg.Connection) -> None:
    pass


if __name__ == "__main__":
    serve(app)

"""Connexion 3 with the service's contract, on asyncpg, without `offset`, `completed` and `include_total`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import jwt
import yaml
from connexion import AsyncApp, request
from connexion.exceptions import Forbidden, OAuthProblem
from connexion.resolver import Resolver

from common import DATABASE_URL, POOL_SIZE, decode_cursor, encode_cursor, serve, subject

CONTRACT = Path(__file__).parents[2] / "generated/openapi.yaml"
OPERATIONS = ("listTasks", "createTask", "getTask", "updateTask", "toggleTaskCompletion")
Reply = tuple[Any, int, dict[str, str]]
# Set explicitly, because operations of the contract have several media types.
JSON = {"Content-Type": "application/json"}


def openapi_30(node: Any) -> Any:
    """Converts OpenAPI 3.1 to 3.0, which Connexion supports: null and constants become enumerations of one value."""
    if isinstance(node, list):
        return [openapi_30(item) for item in node]
    if not isinstance(node, dict):
        return node
    if node.get("type") == "null":
        return {"enum": [None]}
    # 3.0 has maps of examples, but no lists.
    kept = {
        name: openapi_30(value) for name, value in node.items() if not (name == "examples" and isinstance(value, list))
    }
    if "const" in kept:
        kept["enum"] = [kept.pop("const")]
    return kept


def contract() -> dict[str, Any]:
    document = openapi_30(yaml.safe_load(CONTRACT.read_text()))
    document |= {"openapi": "3.0.3", "info": {"title": "todo-api", "version": "1.0.0"}}
    for path in document["paths"].values():
        for method in [name for name, operation in path.items() if isinstance(operation, dict)]:
            if path[method]["operationId"] not in OPERATIONS:
                del path[method]
    document["components"].pop("links")
    for response in document["components"]["responses"].values():
        response.pop("links", None)
    document["components"]["securitySchemes"]["bearerAuth"]["x-bearerInfoFunc"] = f"{__name__}.bearer_info"
    return document


def bearer_info(token: str) -> dict[str, str]:
    try:
        return {"sub": subject(token)}
    except jwt.InvalidTokenError as error:
        raise OAuthProblem(detail="Invalid token") from error


def _pool(user_id: str, user: str) -> asyncpg.Pool:
    if user_id != user:
        raise Forbidden
    pool: asyncpg.Pool = request.state.pool
    return pool


def _one(row: asyncpg.Record | None) -> Reply:
    return ({"title": "Task not found"}, 404, JSON) if row is None else (dict(row), 200, JSON)


async def listTasks(user_id: str, user: str, limit: int = 50, cursor: str | None = None, **_: Any) -> Reply:  # noqa: N802
    after, arguments = "", []
    if cursor:
        after, arguments = "AND (created_at, id) < ($3, $4)", [*decode_cursor(cursor)]
    rows = await _pool(user_id, user).fetch(
        f"SELECT * FROM task WHERE user_id = $1 {after} ORDER BY created_at DESC, id DESC LIMIT $2",  # noqa: S608
        user,
        limit + 1,
        *arguments,
    )
    last = rows[limit - 1] if len(rows) > limit else None
    next_cursor = last and encode_cursor(last["created_at"], last["id"])
    return {"items": [dict(row) for row in rows[:limit]], "next_cursor": next_cursor}, 200, JSON


async def createTask(user_id: str, user: str, body: dict[str, Any]) -> Reply:  # noqa: N802
    row = await _pool(user_id, user).fetchrow(
        "INSERT INTO task (user_id, title, description, completed) VALUES ($1, $2, $3, $4) RETURNING *",
        user,
        body["title"],
        body.get("description"),
        body.get("completed", False),
    )
    return dict(row), 201, JSON


async def getTask(user_id: str, user: str, task_id: int) -> Reply:  # noqa: N802
    pool = _pool(user_id, user)
    return _one(await pool.fetchrow("SELECT * FROM task WHERE id = $1 AND user_id = $2", task_id, user))


async def updateTask(user_id: str, user: str, task_id: int, body: dict[str, Any]) -> Reply:  # noqa: N802
    columns = "".join(f", {name} = ${number}" for number, name in enumerate(body, 3))
    row = await _pool(user_id, user).fetchrow(
        f"UPDATE task SET updated_at = now(){columns} WHERE id = $1 AND user_id = $2 RETURNING *",  # noqa: S608
        task_id,
        user,
        *body.values(),
    )
    return _one(row)


toggleTaskCompletion = updateTask  # noqa: N816


@asynccontextmanager
async def lifespan(_: Any) -> AsyncIterator[dict[str, Any]]:
    async with asyncpg.create_pool(DATABASE_URL, min_size=0, max_size=POOL_SIZE) as pool:
        yield {"pool": pool}


app = AsyncApp(__name__, lifespan=lifespan)
app.add_api(contract(), resolver=Resolver(lambda name: globals()[name]))

if __name__ == "__main__":
    serve(app)

"""Models and token check of the two SQLModel peers."""

from datetime import UTC, datetime
from typing import Annotated

import jwt
from fastapi import Depends, HTTPException, Path, Query
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import ConfigDict
from sqlalchemy import BigInteger, DateTime, tuple_
from sqlmodel import Field, SQLModel, select

from common import MAX_ID, decode_cursor, encode_cursor, subject


def now() -> datetime:
    return datetime.now(UTC)


class TaskCreate(SQLModel):
    model_config = ConfigDict(extra="forbid")  # type: ignore[assignment]
    title: str = Field(min_length=1, max_length=200)
    description: str | None = Field(default=None, max_length=2000)
    completed: bool = False


class TaskUpdate(SQLModel):
    model_config = ConfigDict(extra="forbid")  # type: ignore[assignment]
    title: str = Field(default="", min_length=1, max_length=200)
    description: str | None = Field(default=None, max_length=2000)
    completed: bool = False


class Completion(SQLModel):
    model_config = ConfigDict(extra="forbid")  # type: ignore[assignment]
    completed: bool


class Task(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True, sa_type=BigInteger)
    user_id: str
    title: str
    description: str | None = None
    completed: bool = False
    created_at: datetime = Field(default_factory=now, sa_type=DateTime(timezone=True))  # type: ignore[call-overload]
    updated_at: datetime = Field(default_factory=now, sa_type=DateTime(timezone=True))  # type: ignore[call-overload]


class TaskPublic(SQLModel):
    id: int
    user_id: str
    title: str
    description: str | None
    completed: bool
    created_at: datetime
    updated_at: datetime


class Page(SQLModel):
    items: list[TaskPublic]
    next_cursor: str | None


def owner(user_id: str, credentials: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]) -> str:
    try:
        user = subject(credentials.credentials)
    except jwt.InvalidTokenError as error:
        raise HTTPException(401, "Invalid token", {"WWW-Authenticate": "Bearer"}) from error
    if user != user_id:
        raise HTTPException(403, "Not yours")
    return user


Owner = Annotated[str, Depends(owner)]
TaskId = Annotated[int, Path(ge=1, le=MAX_ID)]
Limit = Annotated[int, Query(ge=1, le=100)]
Cursor = Annotated[str | None, Query(min_length=27, max_length=27)]


def page_statement(user: str, limit: int, cursor: str | None):  # noqa: ANN201
    statement = select(Task).where(Task.user_id == user)
    if cursor:
        statement = statement.where(tuple_(Task.created_at, Task.id) < decode_cursor(cursor))
    return statement.order_by(Task.created_at.desc(), Task.id.desc()).limit(limit + 1)


def page(tasks: list[Task], limit: int) -> dict[str, object]:
    more = len(tasks) > limit
    last = tasks[:limit][-1] if more else None
    return {"items": tasks[:limit], "next_cursor": last and encode_cursor(last.created_at, last.id or 0)}

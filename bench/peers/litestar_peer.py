"""Litestar 2 with msgspec, its own JWTAuth, and SQLAlchemy's AsyncSession."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from litestar import Litestar, Request, get, patch, post, put
from litestar.connection import ASGIConnection
from litestar.di import Provide
from litestar.exceptions import NotFoundException, PermissionDeniedException
from litestar.handlers import BaseRouteHandler
from litestar.params import Parameter
from litestar.security.jwt import JWTAuth, Token
from sqlalchemy import BigInteger, DateTime, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from common import DATABASE_URL, MAX_ID, POOL_SIZE, SECRET, decode_cursor, encode_cursor, serve

Title = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Description = Annotated[str, msgspec.Meta(max_length=2000)]
TaskId = Annotated[int, Parameter(ge=1, le=MAX_ID)]


def now() -> datetime:
    return datetime.now(UTC)


class Base(DeclarativeBase):
    pass


class TaskRow(Base):
    __tablename__ = "task"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    user_id: Mapped[str]
    title: Mapped[str]
    description: Mapped[str | None]
    completed: Mapped[bool]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=now)
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=now)


class TaskCreate(msgspec.Struct, forbid_unknown_fields=True):
    title: Title
    description: Description | None = None
    completed: bool = False


class TaskUpdate(msgspec.Struct, forbid_unknown_fields=True):
    title: Title | msgspec.UnsetType = msgspec.UNSET
    description: Description | msgspec.UnsetType | None = msgspec.UNSET
    completed: bool | msgspec.UnsetType = msgspec.UNSET


class Completion(msgspec.Struct, forbid_unknown_fields=True):
    completed: bool


class Task(msgspec.Struct):
    id: int
    user_id: str
    title: str
    description: str | None
    completed: bool
    created_at: datetime
    updated_at: datetime


class Page(msgspec.Struct):
    items: list[Task]
    next_cursor: str | None


async def retrieve_user(token: Token, _: ASGIConnection[Any, Any, Any, Any]) -> str:
    return token.sub


def owns_url(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    if connection.path_params["user_id"] != connection.user:
        raise PermissionDeniedException


auth = JWTAuth[str, Token](retrieve_user_handler=retrieve_user, token_secret=SECRET, exclude="/schema")
engine = create_async_engine(
    DATABASE_URL.replace("postgresql://", "postgresql+asyncpg://", 1), pool_size=POOL_SIZE, max_overflow=0
)
sessions = async_sessionmaker(engine, expire_on_commit=False)


async def provide_session() -> AsyncIterator[AsyncSession]:
    async with sessions() as session, session.begin():
        yield session


def public(row: TaskRow) -> Task:
    return msgspec.convert(row, Task, from_attributes=True)


async def change(session: AsyncSession, user: str, task_id: int, changes: dict[str, Any]) -> Task:
    row = await find(session, user, task_id)
    for name, value in changes.items():
        setattr(row, name, value)
    row.updated_at = now()
    await session.flush()
    return public(row)


async def find(session: AsyncSession, user: str, task_id: int) -> TaskRow:
    row = await session.scalar(select(TaskRow).where(TaskRow.id == task_id, TaskRow.user_id == user))
    if row is None:
        raise NotFoundException
    return row


@get("/api/{user_id:str}/tasks")
async def list_tasks(
    request: Request[str, Token, Any],
    session: AsyncSession,
    limit: Annotated[int, Parameter(ge=1, le=100)] = 50,
    cursor: Annotated[str | None, Parameter(min_length=27, max_length=27)] = None,
) -> Page:
    statement = select(TaskRow).where(TaskRow.user_id == request.user)
    if cursor:
        statement = statement.where(tuple_(TaskRow.created_at, TaskRow.id) < decode_cursor(cursor))
    statement = statement.order_by(TaskRow.created_at.desc(), TaskRow.id.desc()).limit(limit + 1)
    rows = (await session.scalars(statement)).all()
    last = rows[limit - 1] if len(rows) > limit else None
    return Page([public(row) for row in rows[:limit]], last and encode_cursor(last.created_at, last.id))


@post("/api/{user_id:str}/tasks")
async def create_task(request: Request[str, Token, Any], session: AsyncSession, data: TaskCreate) -> Task:
    row = TaskRow(user_id=request.user, **msgspec.structs.asdict(data))
    session.add(row)
    await session.flush()
    return public(row)


@get("/api/{user_id:str}/tasks/{task_id:int}")
async def get_task(request: Request[str, Token, Any], session: AsyncSession, task_id: TaskId) -> Task:
    return public(await find(session, request.user, task_id))


@put("/api/{user_id:str}/tasks/{task_id:int}")
async def update_task(
    request: Request[str, Token, Any], session: AsyncSession, task_id: TaskId, data: TaskUpdate
) -> Task:
    changes = {name: value for name, value in msgspec.structs.asdict(data).items() if value is not msgspec.UNSET}
    return await change(session, request.user, task_id, changes)


@patch("/api/{user_id:str}/tasks/{task_id:int}/complete")
async def complete_task(
    request: Request[str, Token, Any], session: AsyncSession, task_id: TaskId, data: Completion
) -> Task:
    return await change(session, request.user, task_id, {"completed": data.completed})


app = Litestar(
    [list_tasks, create_task, get_task, update_task, complete_task],
    dependencies={"session": Provide(provide_session)},
    guards=[owns_url],
    on_app_init=[auth.on_app_init],
)

if __name__ == "__main__":
    serve(app)

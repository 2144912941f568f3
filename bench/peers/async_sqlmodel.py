"""FastAPI with SQLModel's AsyncSession and ORM objects, with the models and token check of the synchronous peer."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from common import DATABASE_URL, POOL_SIZE, serve
from sqlmodel_common import (
    Completion,
    Cursor,
    Limit,
    Owner,
    Page,
    Task,
    TaskCreate,
    TaskId,
    TaskPublic,
    TaskUpdate,
    now,
    page,
    page_statement,
)

url = DATABASE_URL.replace("postgresql://", "postgresql+asyncpg://", 1)
engine = create_async_engine(url, pool_size=POOL_SIZE, max_overflow=0)
app = FastAPI()


async def get_session() -> AsyncIterator[AsyncSession]:
    async with AsyncSession(engine, expire_on_commit=False) as session:
        yield session


DbSession = Annotated[AsyncSession, Depends(get_session)]


async def find(session: AsyncSession, user: str, task_id: int) -> Task:
    task = (await session.exec(select(Task).where(Task.id == task_id, Task.user_id == user))).first()
    if task is None:
        raise HTTPException(404, "No such task")
    return task


async def save(session: AsyncSession, task: Task) -> Task:
    session.add(task)
    await session.commit()
    await session.refresh(task)
    return task


@app.get("/api/{user_id}/tasks", response_model=Page)
async def list_tasks(user: Owner, session: DbSession, limit: Limit = 50, cursor: Cursor = None) -> dict[str, object]:
    return page(list((await session.exec(page_statement(user, limit, cursor))).all()), limit)


@app.post("/api/{user_id}/tasks", status_code=201, response_model=TaskPublic)
async def create_task(body: TaskCreate, user: Owner, session: DbSession) -> Task:
    return await save(session, Task(user_id=user, **body.model_dump()))


@app.get("/api/{user_id}/tasks/{task_id}", response_model=TaskPublic)
async def get_task(task_id: TaskId, user: Owner, session: DbSession) -> Task:
    return await find(session, user, task_id)


@app.put("/api/{user_id}/tasks/{task_id}", response_model=TaskPublic)
async def update_task(task_id: TaskId, body: TaskUpdate, user: Owner, session: DbSession) -> Task:
    task = await find(session, user, task_id)
    task.sqlmodel_update(body.model_dump(exclude_unset=True) | {"updated_at": now()})
    return await save(session, task)


@app.patch("/api/{user_id}/tasks/{task_id}/complete", response_model=TaskPublic)
async def complete_task(task_id: TaskId, body: Completion, user: Owner, session: DbSession) -> Task:
    task = await find(session, user, task_id)
    task.sqlmodel_update({"completed": body.completed, "updated_at": now()})
    return await save(session, task)


if __name__ == "__main__":
    serve(app)

"""FastAPI with SQLModel's synchronous Session in `async def` handlers, as in most examples."""

from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException
from sqlmodel import Session, create_engine, select

from common import DATABASE_URL, serve
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

# The default pool (5 + 10) deadlocks with more clients than connections: a handler that waits for a connection blocks
# the event loop, on which another handler would return one.
engine = create_engine(DATABASE_URL.replace("postgresql://", "postgresql+psycopg://", 1), pool_size=40, max_overflow=0)
app = FastAPI()


def get_session() -> Iterator[Session]:
    with Session(engine) as session:
        yield session


DbSession = Annotated[Session, Depends(get_session)]


def find(session: Session, user: str, task_id: int) -> Task:
    task = session.exec(select(Task).where(Task.id == task_id, Task.user_id == user)).first()
    if task is None:
        raise HTTPException(404, "No such task")
    return task


def save(session: Session, task: Task) -> Task:
    session.add(task)
    session.commit()
    session.refresh(task)
    return task


@app.get("/api/{user_id}/tasks", response_model=Page)
async def list_tasks(user: Owner, session: DbSession, limit: Limit = 50, cursor: Cursor = None) -> dict[str, object]:
    return page(list(session.exec(page_statement(user, limit, cursor)).all()), limit)


@app.post("/api/{user_id}/tasks", status_code=201, response_model=TaskPublic)
async def create_task(body: TaskCreate, user: Owner, session: DbSession) -> Task:
    return save(session, Task(user_id=user, **body.model_dump()))


@app.get("/api/{user_id}/tasks/{task_id}", response_model=TaskPublic)
async def get_task(task_id: TaskId, user: Owner, session: DbSession) -> Task:
    return find(session, user, task_id)


@app.put("/api/{user_id}/tasks/{task_id}", response_model=TaskPublic)
async def update_task(task_id: TaskId, body: TaskUpdate, user: Owner, session: DbSession) -> Task:
    task = find(session, user, task_id)
    task.sqlmodel_update(body.model_dump(exclude_unset=True) | {"updated_at": now()})
    return save(session, task)


@app.patch("/api/{user_id}/tasks/{task_id}/complete", response_model=TaskPublic)
async def complete_task(task_id: TaskId, body: Completion, user: Owner, session: DbSession) -> Task:
    task = find(session, user, task_id)
    task.sqlmodel_update({"completed": body.completed, "updated_at": now()})
    return save(session, task)


if __name__ == "__main__":
    serve(app)

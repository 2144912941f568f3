"""The table of tasks. `migrations/` makes it; statements are built from it, and a test holds the two together."""

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Identity,
    Index,
    Table,
    false,
    func,
)
from sqlmodel import Field, SQLModel


class TaskTable(SQLModel, table=True):
    """A row. The lengths and the ranges are those of the contract's `Task`."""

    __tablename__ = "task"
    __table_args__ = (
        CheckConstraint("title <> ''", name="task_title_not_empty"),
        # Scanned backwards they give the newest first, and a page after a position starts in the
        # middle. One cannot do the other's work: without `completed` as a column of its own, a list
        # of the few open tasks among many done ones would read them all.
        Index("task_list", "user_id", "created_at", "id"),
        Index("task_list_completed", "user_id", "completed", "created_at", "id"),
    )

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    user_id: str = Field(max_length=255)
    title: str = Field(max_length=200)
    description: str | None = Field(default=None, max_length=2000)
    completed: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    created_at: datetime = Field(
        sa_type=DateTime(timezone=True),
        sa_column_kwargs={"server_default": func.now()},
    )
    updated_at: datetime = Field(
        sa_type=DateTime(timezone=True),
        sa_column_kwargs={"server_default": func.now()},
    )


task: Table = TaskTable.__table__  # type: ignore[attr-defined]
"""The same as SQLAlchemy's Core sees it."""

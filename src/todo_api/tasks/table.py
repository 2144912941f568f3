"""The table of tasks, from which statements are built. `migrations/` creates it; a test compares the two."""

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
    """A row. Lengths and ranges are those of the contract's `Task`."""

    __tablename__ = "task"
    __table_args__ = (
        CheckConstraint("title <> ''", name="task_title_not_empty"),
        # Scanned backwards, they return the newest tasks first, and start a page at any position. Both are necessary:
        # without `completed` in the index, a list of a few open tasks would read all completed ones too.
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
"""The table of SQLAlchemy Core."""

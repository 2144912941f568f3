"""The tables of tasks, from which statements are built. `migrations/` creates them; a test compares the two."""

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
    text,
)
from sqlmodel import Field, SQLModel

_LIVE = text("deleted_at IS NULL")


class TaskTable(SQLModel, table=True):
    """A row. Lengths and ranges are those of the contract's `Task`. A deleted task stays as a tombstone, so that it can
    be restored, and clients learn of the deletion."""

    __tablename__ = "task"
    __table_args__ = (
        CheckConstraint("title <> ''", name="task_title_not_empty"),
        # Scanned backwards, they return the newest tasks first, and start a page at any position. Both are necessary:
        # without `completed` in the index, a list of a few open tasks would read all completed ones too. Tombstones are
        # in neither, and cost a list nothing.
        Index("task_newest", "user_id", "created_at", "id", postgresql_where=_LIVE),
        Index("task_newest_completed", "user_id", "completed", "created_at", "id", postgresql_where=_LIVE),
        # The changes after a token.
        Index("task_change", "user_id", "change", "id"),
        # The tombstones to forget.
        Index("task_deleted", "user_id", "deleted_at", postgresql_where=text("deleted_at IS NOT NULL")),
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
    version: int = Field(default=1, sa_column_kwargs={"server_default": text("1")})
    """Rises with each change; the entity tag."""
    change: int = Field(default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": text("0")})
    """The change of the list that wrote this row last."""
    deleted_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))


class TaskListTable(SQLModel, table=True):
    """The list of one user. Each write of a task moves `change` in the same statement, whose lock on this row makes the
    order of changes the order of commits (docs/decisions/0029)."""

    __tablename__ = "task_list"

    user_id: str = Field(max_length=255, primary_key=True)
    change: int = Field(sa_type=BigInteger)
    tasks: int
    """Number of tasks without tombstones; `completed` of them are done."""
    completed: int
    forgotten: int = Field(default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": text("0")})
    """The last change whose tombstone was removed."""


task: Table = TaskTable.__table__  # type: ignore[attr-defined]
"""The table of SQLAlchemy Core."""
task_list: Table = TaskListTable.__table__  # type: ignore[attr-defined]

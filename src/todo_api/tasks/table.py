"""The tables of tasks, from which statements are built. `migrations/` creates them; a test compares the two."""

from datetime import date, datetime

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    String,
    Table,
    Text,
    false,
    func,
    literal_column,
    text,
)
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlmodel import Field, SQLModel
from todo_contract import models

from todo_api.database.rows import columns_of

_LIVE = text("deleted_at IS NULL")
# As PostgreSQL writes it, so that the index can be compared with the migrations.
_END_OF_DAY = "((due_date + '23:59:59.999999'::time without time zone) AT TIME ZONE 'UTC'::text)"
due = literal_column(f"COALESCE(due_at, {_END_OF_DAY})", DateTime(timezone=True))
"""By which tasks are sorted: a day counts as its end in UTC."""


class TaskTable(SQLModel, table=True):
    """A row. Lengths and ranges are those of the contract's `Task`. A deleted task stays as a tombstone, so that it can
    be restored, and clients learn of the deletion."""

    __tablename__ = "task"
    __table_args__ = (
        CheckConstraint("title <> ''", name="task_title_not_empty"),
        CheckConstraint("due_date IS NULL OR due_at IS NULL", name="task_due_once"),
        CheckConstraint("priority IN ('low', 'normal', 'high', 'urgent')", name="task_priority"),
        # Scanned backwards, they return the newest tasks first, and start a page at any position. Both are necessary:
        # without `completed` in the index, a list of a few open tasks would read all completed ones too. Tombstones are
        # in neither, and cost a list nothing.
        Index("task_newest", "user_id", "created_at", "id", postgresql_where=_LIVE),
        Index("task_newest_completed", "user_id", "completed", "created_at", "id", postgresql_where=_LIVE),
        # Open tasks by when they are due, and those that are overdue.
        Index("task_due", "user_id", due, "id", postgresql_where=text("deleted_at IS NULL AND NOT completed")),
        # Imported tasks by their ids elsewhere.
        Index("task_external", "user_id", "external_id", postgresql_where=text("external_id IS NOT NULL")),
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
    due_date: date | None
    """At most one of `due_date` and `due_at` is set."""
    due_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    priority: str = Field(max_length=6, sa_column_kwargs={"server_default": text("'normal'")})
    labels: list[str] = Field(sa_type=ARRAY(String(50)), sa_column_kwargs={"server_default": text("'{}'")})
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
    external_id: str | None = Field(default=None, max_length=300)
    """The id of an imported task where it was exported."""


class TaskLabelTable(SQLModel, table=True):
    """A label of a task that is not deleted. Triggers of `task` write it."""

    __tablename__ = "task_label"

    user_id: str = Field(max_length=255, primary_key=True)
    key: str = Field(max_length=150, primary_key=True)
    """The label without regard to case: `label_key` in SQL."""
    created_at: datetime = Field(sa_type=DateTime(timezone=True), primary_key=True)
    task_id: int = Field(sa_type=BigInteger, primary_key=True)
    completed: bool


class TaskLabelCountTable(SQLModel, table=True):
    """A label in use. Triggers of `task` write it."""

    __tablename__ = "task_label_count"

    user_id: str = Field(max_length=255, primary_key=True)
    key: str = Field(sa_type=String(150, collation="C"), primary_key=True)
    """In the order of its bytes, which is the same on every system."""
    name: str = Field(max_length=50)
    """As it was written last."""
    tasks: int
    completed: int


class TaskSearchTable(SQLModel, table=True):
    """The words of a task (docs/decisions/0032). Triggers of `task` write it."""

    __tablename__ = "task_search"
    __table_args__ = (
        Index("task_search_words", "words", postgresql_using="gin", postgresql_with={"fastupdate": "off"}),
    )

    id: int = Field(
        sa_column=Column(BigInteger, ForeignKey("task.id", ondelete="CASCADE"), primary_key=True, autoincrement=False)
    )
    created_at: datetime = Field(sa_type=DateTime(timezone=True))
    words: str = Field(sa_type=TSVECTOR)


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
task_label: Table = TaskLabelTable.__table__  # type: ignore[attr-defined]
task_label_count: Table = TaskLabelCountTable.__table__  # type: ignore[attr-defined]
task_search: Table = TaskSearchTable.__table__  # type: ignore[attr-defined]
columns = columns_of(task, models.Task, etag=literal_column("'\"' || task.version || '\"'", Text))
"""What a task of the contract consists of. Here, so that a member without a column is the first error of all."""

"""The table of kept answers. `migrations/` creates it; a test compares the two."""

from datetime import datetime
from typing import Any

from sqlalchemy import DateTime, Index, Table, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel


class KeptAnswerTable(SQLModel, table=True):
    """The answer to the first request with a key."""

    __tablename__ = "kept_answer"
    __table_args__ = (
        # The answers to forget.
        Index("kept_answer_created", "created_at"),
    )

    user_id: str = Field(max_length=255, primary_key=True)
    operation: str = Field(max_length=64, primary_key=True)
    key: str = Field(max_length=255, primary_key=True)
    request: bytes
    """Digest of the request, by which another request with the same key is found."""
    answer: dict[str, Any] | None = Field(default=None, sa_type=JSONB(none_as_null=True))
    """The row that the statement returned; null if it returned none."""
    created_at: datetime = Field(sa_type=DateTime(timezone=True), sa_column_kwargs={"server_default": func.now()})


kept_answer: Table = KeptAnswerTable.__table__  # type: ignore[attr-defined]
"""The table of SQLAlchemy Core."""

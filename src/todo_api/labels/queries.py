"""The statements of labels. Triggers of `task` keep `task_label` and `task_label_count`, so only tasks are written."""

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Select, String, Text, all_, bindparam, case, func, literal_column, select
from sqlalchemy import update as update_of
from todo_contract import models

from todo_api.database.rows import columns_of, reader
from todo_api.database.session import Session
from todo_api.database.statement import Statement, prepare
from todo_api.tasks.lists import list_etag, with_head
from todo_api.tasks.table import task, task_label, task_label_count, task_list
from todo_api.tasks.writes import is_live, list_of_owner, mark, next_change, of_owner, tags

_columns = columns_of(task_label_count, models.LabelInUse)
_read_label = reader(models.LabelInUse)


class Page(NamedTuple):
    """A page of labels."""

    labels: list[models.LabelInUse]
    has_more: bool
    etag: str
    """Of the list of tasks, because labels change with tasks only."""


# --- reading


@cache
def _page(*, after: bool, conditional: bool) -> Statement:
    head = select(list_etag).where(list_of_owner).cte("head")
    page = (
        select(*_columns)
        .where(task_label_count.c.user_id == bindparam("owner"))
        .order_by(task_label_count.c.key)
        .limit(bindparam("limit", type_=BigInteger))
    )
    if after:
        page = page.where(task_label_count.c.key > func.label_key(bindparam("after", type_=Text)))
    if conditional:
        page = page.where(select(head.c.list_etag).scalar_subquery() != all_(tags))
    return prepare(with_head(head, page.subquery("page")))


async def list_page(
    session: Session, owner: str, *, limit: int, after: str | None = None, known: Sequence[str] | None = None
) -> Page:
    """Returns at most `limit` labels, which come after the label `after`. If the list's entity tag is one of `known`,
    no label is read."""
    statement = _page(after=after is not None, conditional=known is not None)
    # One more label than requested shows whether there is a next page.
    head, *rows = await session.fetch_all(statement, owner=owner, limit=limit + 1, after=after, tags=known)
    return Page([_read_label(row) for row in rows[:limit]], len(rows) > limit, head[-1])


# --- writing

_key = func.label_key(bindparam("label", type_=Text))
_name = bindparam("name", type_=String)
_with_label = select(task_label.c.task_id).where(task_label.c.user_id == bindparam("owner"), task_label.c.key == _key)
_found = (
    select(task.c.id, task.c.labels)
    .where(of_owner, is_live, task.c.id.in_(_with_label))
    .order_by(task.c.id)
    .with_for_update()
    .cte("found")
)
_each = func.unnest(_found.c.labels).table_valued("label", with_ordinality="place").render_derived(name="each")
_each_key = func.label_key(_each.c.label)
_renamed = case((_each_key.in_([_key, func.label_key(_name)]), _name), else_=_each.c.label)


def _changed(labels: Select[Any]) -> Select[Any]:
    """Sets the labels of the tasks that were found, if they differ, and returns the number of these tasks. `labels`
    selects them from those that a task has."""
    after = select(_found, func.array(labels.correlate(_found).scalar_subquery()).label("after")).cte("after")
    changed = select(after.c.id, after.c.after).where(after.c.after != after.c.labels).cte("changed")
    # A count reads all tasks, so all are locked before the row of the list is: otherwise a write that has locked one of
    # them, and waits for the row, would wait for ever.
    counted = select(func.count().label("tasks")).select_from(changed).subquery("counted")
    moved = (
        update_of(task_list)
        .where(list_of_owner, counted.c.tasks > literal_column("0"))
        .values(change=next_change)
        .returning(task_list.c.change)
        .cte("list")
    )
    written = (
        update_of(task)
        .where(of_owner, task.c.id == changed.c.id)
        .values({**mark(moved.c.change), "labels": changed.c.after})
        .returning(task.c.id)
        .cte("written")
    )
    return select(func.count()).select_from(written)


# Both labels have the new name after it, so the one at the first place stays.
_rename = prepare(_changed(select(_renamed).group_by(_renamed).order_by(func.min(_each.c.place))))
_remove = prepare(_changed(select(_each.c.label).where(_each_key != _key).order_by(_each.c.place)))


async def rename(session: Session, owner: str, label: str, name: str) -> int:
    """Renames a label on all tasks, and returns the number of those that were changed."""
    [(tasks,)] = await session.fetch_all(_rename, owner=owner, label=label, name=name)
    return int(tasks)


async def remove(session: Session, owner: str, label: str) -> int:
    """Removes a label from all tasks, and returns the number of those that were changed."""
    [(tasks,)] = await session.fetch_all(_remove, owner=owner, label=label)
    return int(tasks)

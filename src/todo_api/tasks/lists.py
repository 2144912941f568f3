"""The SQL of lists, which queries.py prepares.

A page follows an index in the order of the list, if there is one, and starts at the position of its cursor. The
statement of a page depends on which filters are given (`Shape`), and not on their values.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    CompoundSelect,
    FromClause,
    Select,
    Subquery,
    Text,
    all_,
    and_,
    bindparam,
    func,
    literal_column,
    null,
    select,
    true,
    tuple_,
    union_all,
)

from todo_api.tasks.filters import NEWEST
from todo_api.tasks.shapes import Shape, conditions_of
from todo_api.tasks.table import columns, due, task, task_label, task_list, task_search
from todo_api.tasks.writes import is_live, list_of_owner, of_owner, tags

NEWEST_SEARCHED = 1000
"""Tasks that are looked through for words, before the index of words is used: 0.5 ms."""
_searched: ColumnElement[int] = literal_column(str(NEWEST_SEARCHED))
_ZERO: ColumnElement[int] = literal_column("0")
_ONE: ColumnElement[int] = literal_column("1")
list_etag = literal_column("'\"' || coalesce(max(change), 0) || '\"'", Text).label("list_etag")
"""Of the row of the list, if there is one."""
_limit = bindparam("limit", type_=BigInteger)
_offset = bindparam("offset", type_=BigInteger)
_id = bindparam("id", type_=task.c.id.type)
# As a subquery, so that plans for any value compute it once, and not for each row.
_query = select(func.task_query(bindparam("owner"), bindparam("words", type_=Text))).scalar_subquery()
_search = select(task_search.c.id.label("task_id"), task_search.c.created_at)
_has_words = task_search.c.words.op("@@", is_comparison=True)(_query)


def page(
    shape: Shape, *, after: bool = False, undated: bool = False, conditional: bool = False, counted: bool = False
) -> CompoundSelect[Any]:
    """Returns the rows of a page, after one that has only the columns of the head: the entity tag of the list, and the
    number of its tasks.

    `after` is whether the page starts at a position; with `undated` at one without a time, in the order of `due`. If
    the list is `conditional`, no task is read if its entity tag is one of `tags`. If it is not `counted`, the number
    may be null.
    """
    head = _head(shape, counted=counted).cte("head")
    known = [select(head.c.list_etag).scalar_subquery() != all_(tags)] if conditional else []
    tasks = _Tasks(shape, *known)
    rows: Select[Any] | CompoundSelect[Any]
    if shape.words and shape.sort == NEWEST:
        rows = _joined(tasks.newest_found(after=after), tasks.older_found(after=after))
    elif shape.by.key is due:
        # In both directions, tasks that are never due are last, which is not the order of one index.
        parts = [] if undated else [tasks.sorted(due.is_not(None), after=after)]
        if undated or not shape.is_dated:
            parts.append(tasks.never_due(after=undated))
        rows = _joined(*parts)
    else:
        rows = tasks.sorted(after=after)
    return with_head(head, rows.limit(_limit).offset(_offset).subquery("page"))


def _joined(*parts: Select[Any]) -> CompoundSelect[Any]:
    """Returns the rows of all parts in their order. A later part is read only if those before it do not fill a page."""
    limited = [part.limit(_limit + _offset).subquery(f"part_{number}") for number, part in enumerate(parts)]
    return union_all(*map(select, limited))


def with_head(head: CTE, page: Subquery) -> CompoundSelect[Any]:
    """Returns the rows of a page after one that has only the columns of the head. UNION ALL keeps their order; a join
    would return the head in each row, which asyncpg would read 50 times."""
    return union_all(
        select(*(null().label(each.name) for each in page.c), *head.c),
        select(*page.c, *(null() for _ in head.c)),
    )


def _head(shape: Shape, *, counted: bool) -> Select[Any]:
    number: ColumnElement[Any] = null()
    if shape.is_counted:
        all_tasks, completed = (func.coalesce(func.max(task_list.c[name]), _ZERO) for name in ("tasks", "completed"))
        number = all_tasks if shape.completed is None else completed if shape.completed else all_tasks - completed
    elif counted:
        number = select(func.count()).select_from(_Tasks(shape).selected().subquery()).scalar_subquery()
    if shape.overdue is None:
        return select(list_etag, number.label("total")).where(list_of_owner)
    # What is overdue changes without a change of a task, so the list is another one at each time.
    now = literal_column("'\"' || (extract(epoch FROM clock_timestamp()) * 1000000)::bigint || '\"'", Text)
    return select(now.label("list_etag"), number.label("total"))


class _Tasks:
    """The tasks of a list. None is read unless the conditions `known` hold."""

    def __init__(self, shape: Shape, *known: ColumnElement[bool]) -> None:
        self.shape, self._known = shape, known
        self._labels = [task_label.alias(f"label_{number}") for number in range(shape.labels)]

    def selected(self, *conditions: ColumnElement[bool]) -> Select[Any]:
        """Selects the tasks, not sorted."""
        if self.shape.words:
            return self._found(_search.where(_has_words, *self._known), *conditions)
        if self._labels:
            label = self._labels[0]
            return self._read(label, self._labels[1:], *conditions).where(*self._has(label, 0), *self._known)
        return self._tasks(task, of_owner, *self._known, *conditions)

    def sorted(self, *conditions: ColumnElement[bool], after: bool) -> Select[Any]:
        if self._labels and not self.shape.words and self.shape.by.key is task.c.created_at:
            # The index of labels has this order.
            key = self._labels[0].c.created_at, self._labels[0].c.task_id
            labelled = self.selected(*conditions).where(*self._after(*key, after=after))
            return labelled.order_by(*map(self._directed, key))
        tasks = self.selected(*conditions, *self._after(self.shape.by.key, task.c.id, after=after))
        found = tasks.selected_columns
        return tasks.order_by(self._directed(found[self.shape.by.column]), self._directed(found.id))

    def never_due(self, *, after: bool) -> Select[Any]:
        position = [self._beyond(task.c.id, _id)] if after else []
        # Also in the order of `due`, which is null, because PostgreSQL would not use its index for an order of ids.
        return self.sorted(due.is_(None), *position, after=False)

    def newest_found(self, *, after: bool) -> Select[Any]:
        """Selects those of the next NEWEST_SEARCHED tasks that have the words: for common words they are a page."""
        newest = self._newest(after=after).limit(_searched).subquery("newest")
        words = select(_has_words).where(task_search.c.id == newest.c.id).scalar_subquery()
        return select(newest).where(words).order_by(newest.c.created_at.desc(), newest.c.id.desc())

    def older_found(self, *, after: bool) -> Select[Any]:
        """Selects those that come after the tasks of `newest_found`, by the index of words."""
        newest = self._newest(after=after).offset(_searched - _ONE).limit(_ONE).subquery("newest")
        place = tuple_(task_search.c.created_at, task_search.c.id)
        last = select(newest.c.created_at, newest.c.id).scalar_subquery()
        found = _search.where(_has_words, place.op("<", is_comparison=True)(last), *self._known).order_by(
            task_search.c.created_at.desc(), task_search.c.id.desc()
        )
        return self._found(found)

    def _newest(self, *, after: bool) -> Select[Any]:
        return _Tasks(self.shape._replace(words=False), *self._known).sorted(after=after)

    def _found(self, found: Select[Any], *conditions: ColumnElement[bool]) -> Select[Any]:
        """Selects tasks in the order in which they were found. OFFSET keeps the planner from another order."""
        return self._read(found.offset(_ZERO).subquery("found"), self._labels, *conditions)

    def _read(self, found: FromClause, labels: Sequence[Any], *conditions: ColumnElement[bool]) -> Select[Any]:
        """Selects tasks of the ids in `found` that also have the `labels`.

        The plan does not depend on estimates, which are wrong for a user whose tasks are new: each task is found by its
        id (OFFSET; docs/decisions/0032), and not by looking through all tasks of the owner for it (IS TRUE).
        """
        joined: Any = task
        for number, label in enumerate(labels, len(self._labels) - len(labels)):
            same = label.c.created_at == found.c.created_at, label.c.task_id == found.c.task_id
            joined = joined.join(label, and_(*self._has(label, number), *same))
        tasks = self._tasks(joined, task.c.id == found.c.task_id, of_owner.is_(true()), *conditions)
        read = tasks.correlate(found).offset(_ZERO).lateral("tasks")
        return select(*read.c).select_from(found.join(read, true()))

    def _tasks(self, joined: FromClause, *conditions: ColumnElement[bool]) -> Select[Any]:
        position = [self.shape.by.key.label("position")] if self.shape.by.column == "position" else []
        selected = select(*columns, *position).select_from(joined)
        return selected.where(is_live, *conditions_of(self.shape), *conditions)

    def _after(self, key: ColumnElement[Any], task_id: ColumnElement[Any], *, after: bool) -> list[ColumnElement[bool]]:
        """A comparison of rows can use the index at any depth; the equivalent with OR cannot."""
        position = tuple_(bindparam("value", type_=self.shape.by.key.type), _id)
        return [self._beyond(tuple_(key, task_id), position)] if after else []

    def _has(self, label: Any, number: int) -> Iterator[ColumnElement[bool]]:
        yield label.c.user_id == bindparam("owner")
        yield label.c.key == func.label_key(bindparam(f"label_{number}", type_=Text))
        if self.shape.completed is not None:
            # The index of labels has it, too: tasks of the other state are not read.
            yield label.c.completed == bindparam("completed", type_=label.c.completed.type)

    def _directed(self, key: ColumnElement[Any]) -> ColumnElement[Any]:
        return key.desc() if self.shape.sort.startswith("-") else key

    def _beyond(self, key: ColumnElement[Any], position: ColumnElement[Any]) -> ColumnElement[bool]:
        return key < position if self.shape.sort.startswith("-") else key > position


_changes_head = (
    select(
        func.coalesce(func.max(task_list.c.change), _ZERO).label("list_change"),
        func.coalesce(func.max(task_list.c.forgotten), _ZERO).label("forgotten"),
    )
    .where(list_of_owner)
    .cte("head")
)
_changes_page = (
    select(*columns, task.c.change, task.c.deleted_at.is_not(None).label("is_deleted"))
    .where(of_owner, tuple_(task.c.change, task.c.id) > tuple_(bindparam("change", type_=BigInteger), _id))
    .order_by(task.c.change, task.c.id)
    .limit(_limit)
    .subquery("page")
)
changes = with_head(_changes_head, _changes_page)

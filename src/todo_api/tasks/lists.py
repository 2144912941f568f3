"""The SQL of lists, which queries.py prepares.

A page follows an index in the order of the list, if there is one, and starts at the position of its cursor. The
statement of a page depends on which filters are given (`Shape`), and not on their values.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    ARRAY,
    CTE,
    BigInteger,
    ColumnElement,
    CompoundSelect,
    Date,
    DateTime,
    Select,
    String,
    Subquery,
    Text,
    all_,
    and_,
    any_,
    bindparam,
    func,
    literal_column,
    not_,
    null,
    or_,
    select,
    true,
    tuple_,
    union_all,
)
from sqlalchemy.types import TypeEngine

from todo_api.tasks.filters import BEGIN, END, NEWEST, Filters
from todo_api.tasks.table import due, task, task_label, task_list, task_search
from todo_api.tasks.writes import columns, is_live, list_of_owner, of_owner, tags

_RANK = "array_position('{low,normal,high,urgent}'::varchar[], task.priority)"
# As bytes, because the order of a language depends on the version of the operating system.
_TITLE = """left(task_fold(task.title), 100) COLLATE "C" """


class Sort(NamedTuple):
    """By what a list is sorted, the type of its values, and the column of a row that has the value."""

    key: ColumnElement[Any]
    kind: type[datetime | int | str]
    column: str = "position"


SORTS: Mapping[str, Sort] = {
    "created_at": Sort(task.c.created_at, datetime, "created_at"),
    "updated_at": Sort(task.c.updated_at, datetime, "updated_at"),
    "due": Sort(due, datetime),
    "priority": Sort(literal_column(_RANK, BigInteger), int),
    "title": Sort(literal_column(_TITLE, Text), str),
}
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
_has_words = task_search.c.words.op("@@", is_comparison=True)(_query)


class Shape(NamedTuple):
    """What a list has of `Filters`."""

    completed: bool | None
    labels: int
    priorities: bool
    due_after: bool
    due_before: bool
    overdue: bool | None
    updated_since: bool
    words: bool
    sort: str

    @property
    def by(self) -> Sort:
        return SORTS[self.sort.removeprefix("-")]

    @property
    def is_counted(self) -> bool:
        """Whether the row of the list has the number of the tasks."""
        return not any(self[1:-1]) and self.overdue is None

    @property
    def is_dated(self) -> bool:
        """Whether all tasks of the list are due at some time."""
        return self.due_after or self.due_before or self.overdue is True


def shape_of(filters: Filters) -> Shape:
    return Shape(
        filters.completed,
        len(filters.labels),
        bool(filters.priorities),
        filters.due_after is not None,
        filters.due_before is not None,
        filters.overdue,
        filters.updated_since is not None,
        filters.words is not None,
        filters.sort,
    )


def values_of(filters: Filters, now: datetime) -> dict[str, Any]:
    """Returns the parameters of a statement for its filters. `now` tells what is overdue."""
    found: dict[str, Any] = {f"label_{number}": label for number, label in enumerate(filters.labels)}
    days: dict[str, tuple[date, datetime]] = {}
    if filters.due_after is not None:
        days["after"] = filters.due_after, filters.moment(filters.due_after, END)
    if filters.due_before is not None:
        days["before"] = filters.due_before, filters.moment(filters.due_before, BEGIN)
    if filters.overdue is not None:
        days["overdue"] = filters.today(now), now
    for name, (day, moment) in days.items():
        # `due` is compared, too, so that the index can be used. A day counts as its end in UTC.
        key = min(datetime.combine(day, END, UTC), moment)
        if name != "after":
            key = max(datetime.combine(day, BEGIN, UTC), moment)
        found |= {f"{name}_day": day, f"{name}_at": moment, f"{name}_key": key}
    return found | {
        "completed": filters.completed,
        "priorities": list(filters.priorities),
        "updated_since": filters.updated_since,
        "words": filters.words,
    }


def page(
    shape: Shape, *, after: bool = False, undated: bool = False, conditional: bool = False, counted: bool = False
) -> CompoundSelect[Any]:
    """Returns the rows of a page, after one that has only the columns of the head: the entity tag of the list, and the
    number of its tasks.

    `after` is whether the page starts at a position; with `undated` at one without a time, in the order of `due`. If
    the list is `conditional`, no task is read if its entity tag is one of `tags`. If it is not `counted`, the number
    may be null.
    """
    tasks = _Tasks(shape)
    head = _head(tasks, counted=counted).cte("head")
    known = [select(head.c.list_etag).scalar_subquery() != all_(tags)] if conditional else []
    rows: Select[Any] | CompoundSelect[Any]
    if shape.words and shape.sort == NEWEST:
        rows = _joined(tasks.newest_found(*known, after=after), tasks.older_found(*known, after=after))
    elif shape.by.key is due:
        # In both directions, tasks that are never due are last, which is not the order of one index.
        parts = [] if undated else [tasks.sorted(due.is_not(None), *known, after=after)]
        if undated or not shape.is_dated:
            parts.append(tasks.never_due(*known, after=undated))
        rows = _joined(*parts)
    else:
        rows = tasks.sorted(*known, after=after)
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


def _head(tasks: "_Tasks", *, counted: bool) -> Select[Any]:
    shape = tasks.shape
    number: ColumnElement[Any] = null()
    if shape.is_counted:
        all_tasks, completed = (func.coalesce(func.max(task_list.c[name]), _ZERO) for name in ("tasks", "completed"))
        number = all_tasks if shape.completed is None else completed if shape.completed else all_tasks - completed
    elif counted:
        number = select(func.count()).select_from(tasks.selected().subquery()).scalar_subquery()
    if shape.overdue is None:
        return select(list_etag, number.label("total")).where(list_of_owner)
    # What is overdue changes without a change of a task, so the list is another one at each time.
    now = literal_column("'\"' || (extract(epoch FROM clock_timestamp()) * 1000000)::bigint || '\"'", Text)
    return select(now.label("list_etag"), number.label("total"))


class _Tasks:
    """The tasks of a list."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self._labels = [task_label.alias(f"label_{number}") for number in range(shape.labels)]
        self._key, self._id = shape.by.key, task.c.id
        if self._labels and self._key is task.c.created_at:
            # The index of labels has this order.
            self._key, self._id = self._labels[0].c.created_at, self._labels[0].c.task_id

    def selected(self, *conditions: ColumnElement[bool]) -> Select[Any]:
        """Selects the tasks, not sorted."""
        if not self.shape.words:
            return self._selected(*conditions)
        return self._found(select(task_search.c.id).where(_has_words), *conditions)

    def sorted(self, *conditions: ColumnElement[bool], after: bool) -> Select[Any]:
        tasks = self.selected(*conditions, *self._after(after=after))
        if not self.shape.words:
            return tasks.order_by(self._directed(self._key), self._directed(self._id))
        found = tasks.selected_columns
        return tasks.order_by(self._directed(found[self.shape.by.column]), self._directed(found.id))

    def never_due(self, *conditions: ColumnElement[bool], after: bool) -> Select[Any]:
        position = [self._beyond(task.c.id, _id)] if after else []
        tasks = self.selected(due.is_(None), *conditions, *position)
        return tasks.order_by(self._directed(tasks.selected_columns.id if self.shape.words else task.c.id))

    def newest_found(self, *conditions: ColumnElement[bool], after: bool) -> Select[Any]:
        """Selects those of the next NEWEST_SEARCHED tasks that have the words: for common words they are a page."""
        newest = self._newest(*conditions, after=after).limit(_searched).subquery("newest")
        words = select(_has_words).where(task_search.c.id == newest.c.id).scalar_subquery()
        return select(newest).where(words).order_by(newest.c.created_at.desc(), newest.c.id.desc())

    def older_found(self, *conditions: ColumnElement[bool], after: bool) -> Select[Any]:
        """Selects those that come after the tasks of `newest_found`, by the index of words."""
        newest = self._newest(*conditions, after=after).offset(_searched - _ONE).limit(_ONE)
        last = newest.with_only_columns(self._key, self._id, maintain_column_froms=True).scalar_subquery()
        place = tuple_(task_search.c.created_at, task_search.c.id)
        found = (
            select(task_search.c.id)
            .where(_has_words, place.op("<", is_comparison=True)(last))
            .order_by(task_search.c.created_at.desc(), task_search.c.id.desc())
        )
        return self._found(found, *conditions)

    def _newest(self, *conditions: ColumnElement[bool], after: bool) -> Select[Any]:
        tasks = self._selected(*conditions, *self._after(after=after))
        return tasks.order_by(self._key.desc(), self._id.desc())

    def _found(self, found: Select[Any], *conditions: ColumnElement[bool]) -> Select[Any]:
        """Selects tasks in the order in which they were found. OFFSET keeps the planner, which does not know how many
        are found, from another order of the joins (docs/decisions/0032)."""
        ids = found.offset(_ZERO).subquery("found")
        tasks = self._selected(task.c.id == ids.c.id, *conditions).correlate(ids).offset(_ZERO).lateral("tasks")
        return select(*tasks.c).select_from(ids.join(tasks, true()))

    def _selected(self, *conditions: ColumnElement[bool]) -> Select[Any]:
        position = [self.shape.by.key.label("position")] if self.shape.by.column == "position" else []
        joined: Any = task
        for number, label in enumerate(self._labels):
            joined = joined.join(label, and_(*self._has(label, number)))
        of_list = (of_owner, is_live, *_conditions(self.shape), *conditions)
        return select(*columns, *position).select_from(joined).where(*of_list)

    def _after(self, *, after: bool) -> list[ColumnElement[bool]]:
        """A comparison of rows can use the index at any depth; the equivalent with OR cannot."""
        position = tuple_(bindparam("value", type_=self.shape.by.key.type), _id)
        return [self._beyond(tuple_(self._key, self._id), position)] if after else []

    def _has(self, label: Any, number: int) -> Iterator[ColumnElement[bool]]:
        yield label.c.user_id == bindparam("owner")
        yield label.c.key == func.label_key(bindparam(f"label_{number}", type_=Text))
        yield label.c.created_at == task.c.created_at
        yield label.c.task_id == task.c.id
        if self.shape.completed is not None:
            # The index of labels has it, too: tasks of the other state are not read.
            yield label.c.completed == bindparam("completed", type_=label.c.completed.type)

    def _directed(self, key: ColumnElement[Any]) -> ColumnElement[Any]:
        return key.desc() if self.shape.sort.startswith("-") else key

    def _beyond(self, key: ColumnElement[Any], position: ColumnElement[Any]) -> ColumnElement[bool]:
        return key < position if self.shape.sort.startswith("-") else key > position


def _conditions(shape: Shape) -> Iterator[ColumnElement[bool]]:
    if shape.completed is not None:
        # A parameter keeps plans for any value from the partial index of `due`, of which they would sort all tasks. In
        # the order of `due` they must use it.
        in_order = shape.by.key is due and not shape.completed
        yield not_(task.c.completed) if in_order else task.c.completed == bindparam("completed")
    if shape.priorities:
        yield task.c.priority == any_(bindparam("priorities", type_=ARRAY(String)))
    if shape.due_after:
        at, day, key = _due_parameters("after")
        yield and_(due > key, or_(task.c.due_at > at, task.c.due_date > day))
    if shape.due_before:
        at, day, key = _due_parameters("before")
        yield and_(due < key, or_(task.c.due_at < at, task.c.due_date < day))
    if shape.overdue is not None:
        at, day, key = _due_parameters("overdue")
        if shape.overdue:
            yield and_(not_(task.c.completed), due < key, or_(task.c.due_at < at, task.c.due_date < day))
        else:
            yield or_(task.c.completed, due.is_(None), task.c.due_at >= at, task.c.due_date >= day)
    if shape.updated_since:
        yield task.c.updated_at >= bindparam("updated_since", type_=DateTime(timezone=True))


def _due_parameters(name: str) -> Iterator[ColumnElement[Any]]:
    types: dict[str, TypeEngine[Any]] = {"at": DateTime(timezone=True), "day": Date(), "key": DateTime(timezone=True)}
    return (bindparam(f"{name}_{each}", type_=kind) for each, kind in types.items())


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

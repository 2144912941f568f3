"""Every statement is filtered by the owner in SQL, whatever the request contains.

The statements are found, not listed. A statement that is not found, or has an unknown form, fails a test, so that each
new statement is checked.
"""

from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import (
    CTE,
    BindParameter,
    ClauseElement,
    Column,
    Delete,
    Function,
    Insert,
    Join,
    Lateral,
    Select,
    Subquery,
    Table,
    TableValuedAlias,
    Update,
    and_,
    bindparam,
    false,
    func,
    not_,
    or_,
    select,
    text,
    true,
)
from sqlalchemy import delete as delete_from
from sqlalchemy import insert as insert_into
from sqlalchemy import update as update_of
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import BinaryExpression, BooleanClauseList, Grouping, True_
from sqlalchemy.sql.visitors import iterate

from support.prepared_statements import SOURCE, Prepared, calls, prepared_in
from todo_api.tasks.table import task, task_search


def is_owner(clause: object) -> bool:
    """Whether the clause is `user_id = :owner`."""
    return (
        isinstance(clause, BinaryExpression)
        and clause.operator is operators.eq
        and is_user_id(clause.left)
        and isinstance(clause.right, BindParameter)
        and clause.right.key == "owner"
    )


def is_user_id(expression: object) -> bool:
    return isinstance(expression, Column) and expression.name == "user_id"


def conditions(clause: object) -> Iterable[object]:
    """Returns the conditions that AND combines."""
    if isinstance(clause, Grouping):
        return conditions(clause.element)
    if isinstance(clause, BooleanClauseList) and clause.operator is operators.and_:
        return chain.from_iterable(map(conditions, clause.clauses))
    if isinstance(clause, BinaryExpression) and clause.operator is operators.is_ and isinstance(clause.right, True_):
        return conditions(clause.left)
    return [clause]


def is_of_owner(statement: ClauseElement) -> bool:
    """Whether each part of a statement is filtered by the owner, or inserts rows of the owner."""
    parts, kinds = parts_of(statement), (part_is_of_owner, is_of_parts, forgets, finds_words)
    return bool(parts) and all(any(is_kind(part) for is_kind in kinds) for part in parts)


def parts_of(statement: ClauseElement) -> list[Select[Any] | Update | Delete | Insert]:
    """Returns also those that only a column or a value refers to, such as the other parts of UPDATE … FROM."""
    found, waiting = dict[int, Any](), list[Any]([statement])
    while waiting:
        if isinstance(each := waiting.pop(), ClauseElement) and id(each) not in found:
            found[id(each)] = each
            waiting += [*each.get_children(), getattr(each, "table", None)]
            waiting += (getattr(each, "_values", None) or {}).values()
    return [each for each in found.values() if isinstance(each, Select | Update | Delete | Insert)]


def is_of_parts(part: Select[Any] | Update | Delete | Insert) -> bool:
    """Whether a part reads no table, only other parts of the statement, which are checked themselves."""
    return isinstance(part, Select) and all(map(reads_no_table, froms(part)))


def froms(part: Select[Any]) -> Iterable[object]:
    return part.get_final_froms()


def reads_no_table(clause: object) -> bool:
    if isinstance(clause, Join):
        return reads_no_table(clause.left) and reads_no_table(clause.right)
    return isinstance(clause, CTE | Subquery | Lateral | TableValuedAlias)


def forgets(part: Select[Any] | Update | Delete | Insert) -> bool:
    """Whether a part finds or removes kept answers by their age alone, whoever they belong to. It returns none."""
    oldest = [each for each in iterate(part) if isinstance(each, Column) and each.name == "created_at"]
    tables = {each.name for each in iterate(part) if isinstance(each, Table)}
    return isinstance(part, Select | Delete) and tables == {"kept_answer"} and bool(oldest)


def finds_words(part: Select[Any] | Update | Delete | Insert) -> bool:
    """Whether a part returns only ids and times of tasks that have words of the owner: `task_query` makes them the
    owner's own. Another part reads the tasks."""
    if not isinstance(part, Select) or not all(each is task_search or reads_no_table(each) for each in froms(part)):
        return False
    returned = {each.name for each in part.selected_columns if isinstance(each, Column)}
    queries = [each for each in iterate(part) if isinstance(each, Function) and each.name == "task_query"]
    owners = [next(iter(query.clauses)) for query in queries]
    return (
        returned <= {"id", "created_at"}
        and bool(owners)
        and all(getattr(owner, "key", None) == "owner" for owner in owners)
    )


def part_is_of_owner(part: Select[Any] | Update | Delete | Insert) -> bool:
    if isinstance(part, Insert) and part.select is not None:
        # INSERT … SELECT: the selected rows are checked as a part of their own.
        columns = list(part.select.exported_columns)
        owner = columns[list(part._select_names or ()).index("user_id")]  # noqa: SLF001
        own = getattr(owner, "element", owner)
        return is_user_id(owner) or (isinstance(own, BindParameter) and own.key == "owner")
    if isinstance(part, Insert):
        values: dict[Any, Any] = {getattr(name, "name", name): value for name, value in (part._values or {}).items()}  # noqa: SLF001
        owner = values.get("user_id")
        return isinstance(owner, BindParameter) and owner.key == "owner"
    return any(map(is_owner, conditions(part.whereclause)))


QUERIES = {path: prepared_in(path) for path in sorted(SOURCE.glob("*/queries.py"))}
PREPARED = list(chain.from_iterable(QUERIES.values()))
each_module = pytest.mark.parametrize("path", QUERIES, ids=lambda path: path.parent.name)


@pytest.mark.parametrize("prepared", PREPARED, ids=lambda prepared: prepared.id)
def test_statement_is_filtered_by_the_owner(prepared: Prepared) -> None:
    assert is_of_owner(prepared.clause), f"Filter each part by user_id = :owner: {prepared.clause}"


@each_module
def test_every_statement_in_queries_is_found(path: Path) -> None:
    assert calls(path) == {prepared.line: "prepare" for prepared in QUERIES[path]}


def test_statements_are_created_only_in_queries() -> None:
    makers = {
        str(path.relative_to(SOURCE)): calls(path)
        for path in SOURCE.rglob("*.py")
        if path.parent.name != "database" and calls(path)
    }
    assert "tasks/queries.py" in makers
    assert {Path(path).name for path in makers} == {"queries.py"}


OWNED = task.c.user_id == bindparam("owner")
ONE = task.c.id == bindparam("task_id")
DONE = task.c.completed == bindparam("completed")
WORDS = func.task_query(bindparam("owner"), bindparam("words"))


class TestOwnerCheck:
    @pytest.mark.parametrize(
        "clause",
        [
            select(task),
            select(task).where(ONE),
            select(task).where(or_(ONE, OWNED)),
            select(task).where(not_(OWNED)),
            select(task).where(OWNED.is_(false())),
            select(task).where(ONE, task.c.user_id != bindparam("owner")),
            select(task).where(ONE, task.c.user_id == bindparam("user")),
            select(task).where(ONE, task.c.title == bindparam("owner")),
            select(task).where(OWNED, task.c.id.in_(select(task.c.id).where(DONE))),
            update_of(task).where(ONE),
            update_of(task).where(ONE).values(user_id=bindparam("owner")),
            delete_from(task).where(ONE),
            insert_into(task).values(title=bindparam("title")),
            insert_into(task).values(user_id=bindparam("title"), title=bindparam("owner")),
            insert_into(task).from_select(["user_id", "title"], select(task.c.user_id, task.c.title).where(ONE)),
            insert_into(task).from_select(["user_id", "title"], select(task.c.title, task.c.user_id).where(OWNED)),
            text("DELETE FROM task WHERE user_id = :owner"),
            select(task_search.c.id).where(task_search.c.words.op("@@")(func.task_query(bindparam("user"), "a"))),
            select(task_search.c.words).where(task_search.c.words.op("@@")(WORDS)),
            select(task_search.c.id),
            select(task.c.id).where(task.c.title == WORDS),
            update_of(task).where(OWNED, task.c.id == select(task.c.id).where(DONE).cte().c.id),
        ],
        ids=[
            "all rows", "by id", "owner in OR", "owner in NOT", "owner is false", "another operator",
            "another parameter", "another column", "subquery without owner", "update by id", "owner only in SET",
            "delete by id", "insert without owner", "insert with another owner", "insert of all rows",
            "insert with a title as the owner", "text", "words of another user", "words returned", "all words",
            "query of words for another table", "update from any rows",
        ],
    )  # fmt: skip
    def test_statement_without_the_owner_is_detected(self, clause: ClauseElement) -> None:
        assert not is_of_owner(clause)

    @pytest.mark.parametrize(
        "clause",
        [
            select(task).where(OWNED),
            select(task).where(OWNED.is_(true())),
            select(task).where(and_(ONE, and_(OWNED, DONE))),
            select(task).where(OWNED, or_(ONE, DONE)),
            select(task).where(OWNED, task.c.id.in_(select(task.c.id).where(OWNED))),
            insert_into(task).from_select(["user_id", "title"], select(task.c.user_id, task.c.title).where(OWNED)),
            select(task_search.c.id).where(task_search.c.words.op("@@")(WORDS)),
        ],
        ids=[
            "owner alone", "owner is true", "nested AND", "AND with OR", "owner in subquery too",
            "insert of the owner's rows", "the owner's words",
        ],
    )  # fmt: skip
    def test_statement_with_the_owner_is_accepted(self, clause: ClauseElement) -> None:
        assert is_of_owner(clause)

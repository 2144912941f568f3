"""Finds the statements of a module: those that it prepares when it is imported, and in cached functions."""

import ast
import importlib.util
import inspect
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
from sqlalchemy import ClauseElement, Table
from sqlalchemy.exc import CompileError

from support import ROOT
from support.operations import CONTRACT
from todo_api.database import statement as database_statement
from todo_api.database.statement import Statement

SOURCE = ROOT / "src/todo_api"
MAKERS = {"prepare", "Statement"}
SORTS: list[str] = CONTRACT.document["components"]["parameters"]["SortParam"]["schema"]["enum"]
VALUES: dict[Any, list[Any]] = {bool: [False, True], bool | None: [None, False, True], int: [0, 1, 2]}
"""The values of arguments by their types. The first one of a field is that of none."""


@dataclass(frozen=True)
class Prepared:
    module: str
    clause: ClauseElement
    line: int
    """The line that calls prepare()."""

    @property
    def id(self) -> str:
        return f"{self.module}:{self.line} {self.clause.__visit_name__}"


def prepared_in(path: Path) -> list[Prepared]:
    """Returns every statement of a module: those of its import, and those of each cached function with every
    combination of its arguments."""
    found: list[Prepared] = []
    original = database_statement.prepare

    def prepare(clause: ClauseElement, **options: Any) -> Statement:
        frame = inspect.currentframe()
        assert frame is not None
        assert frame.f_back is not None
        statement = original(clause, **options)
        found.append(Prepared(str(path.relative_to(SOURCE)), clause, frame.f_back.f_lineno))
        return statement

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database_statement, "prepare", prepare)
        module = import_again(path)
        for function in vars(module).values():
            if hasattr(function, "cache_info") and function.__module__ == module.__name__:
                for arguments in all_arguments(function, module):
                    # The columns of another table.
                    with suppress(CompileError, KeyError):
                        function(**arguments)
    return found


def import_again(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"{path.stem}_again", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def all_arguments(function: Any, module: ModuleType) -> Iterator[dict[str, Any]]:
    hints = get_type_hints(inspect.unwrap(function))
    names = list(inspect.signature(function).parameters)
    for values in product(*(all_values(function, hints[name], module) for name in names)):
        yield dict(zip(names, values, strict=True))


def all_values(function: Any, hint: Any, module: ModuleType) -> list[Any]:
    if hint in VALUES:
        return VALUES[hint]
    if hasattr(hint, "_fields"):
        return all_tuples(hint)
    if get_origin(hint) is Literal:
        return list(get_args(hint))
    if hint == frozenset[str]:
        tables = [each for each in vars(module).values() if isinstance(each, Table)]
        columns = [[each.name for each in table.c if each.name not in {"id", "user_id"}] for table in tables]
        return [frozenset(some) for names in columns for some in (*zip(names, strict=True), names)]
    raise AssertionError(f"{function.__name__} has an argument of {hint}: add its values here")


def all_tuples(kind: Any) -> list[Any]:
    """Returns a tuple for each value of each field, without and with all other fields."""
    hints = get_type_hints(kind)
    values = {name: VALUES.get(hints[name]) or SORTS for name in kind._fields}
    none, all_fields = ({name: each[number] for name, each in values.items()} for number in (0, -1))
    others = [{**rest, name: each} for rest in (none, all_fields) for name in values for each in values[name]]
    return [*dict.fromkeys(kind(**each) for each in others)]


def calls(path: Path) -> dict[int, str]:
    """Returns the lines of a module that create a statement."""
    return {
        node.lineno: node.func.id
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in MAKERS
    }

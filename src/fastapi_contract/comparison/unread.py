"""Finds members of a request that no code reads.

A handler that takes a generated model also takes each new member of the contract, so neither the comparison nor a type
checker misses one that has no effect. Therefore the source is searched: the handler, and the functions in its folder to
which it passes the model.
"""

import ast
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel

_WHOLE = frozenset({"model_dump", "model_dump_json", "model_fields"})
"""What a function that reads all members of a model uses."""


def unread(handler: Callable[..., Any], parameter: str, model: type[BaseModel]) -> Iterator[str]:
    """Yields the members of `model` that no code reads from a parameter of `handler`, by their names in the contract.

    If the handler passes the model to a function in its folder, any code there that has the name of a member reads it.
    If it passes it elsewhere, returns it or turns it into a dict, all members are read. A model of which the handler
    reads nothing is a placeholder, not an oversight.
    """
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(handler)))
    except (OSError, SyntaxError):
        # The source is not installed, or the handler is a part of an expression.
        return
    folder = Path(inspect.getfile(handler)).parent
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    read: set[str] = set()
    for name in ast.walk(tree):
        if not isinstance(name, ast.Name) or name.id != parameter:
            continue
        use = parents[name]
        call = parents[use] if isinstance(use, ast.keyword) else use
        if isinstance(use, ast.Attribute) and use.attr in model.model_fields:
            read.add(use.attr)
        elif isinstance(call, ast.Call) and _is_in(folder, handler, call.func) and not _reads_whole_models(folder):
            read |= _names(folder)
        elif not isinstance(use, ast.Compare) and getattr(use, "test", None) is not name:
            return
    for field, member in model.model_fields.items():
        if read and field not in read:
            yield str(member.validation_alias or member.alias or field)


def _is_in(folder: Path, handler: Callable[..., Any], function: ast.expr) -> bool:
    """Whether a function that `handler` calls is defined in a folder."""
    # A class is none: it holds the whole model, as a generated answer does.
    found = _found(function, handler.__globals__)
    module = sys.modules.get(found.__module__) if inspect.isroutine(found) else None
    return Path(getattr(module, "__file__", None) or "/").parent == folder


def _found(function: ast.expr, names: Mapping[str, Any]) -> Any:
    if isinstance(function, ast.Attribute):
        return getattr(_found(function.value, names), function.attr, None)
    return names.get(function.id) if isinstance(function, ast.Name) else None


@cache
def _names(folder: Path) -> frozenset[str]:
    """The names of attributes in the code of a folder, and its texts, such as that of `getattr(query, "label")`."""
    nodes = [node for function in _functions(folder) for node in ast.walk(function)]
    attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    return frozenset(attributes | {str(node.value) for node in nodes if isinstance(node, ast.Constant)})


@cache
def _reads_whole_models(folder: Path) -> bool:
    """Whether a function of a folder does so that is no handler. What a handler does with its own models is known."""
    return any(
        isinstance(node, ast.Attribute) and node.attr in _WHOLE
        for function in _functions(folder)
        if not any(".operation(" in ast.unparse(decorator) for decorator in function.decorator_list)
        for node in ast.walk(function)
    )


@cache
def _functions(folder: Path) -> Sequence[ast.FunctionDef | ast.AsyncFunctionDef]:
    nodes = (node for file in folder.glob("*.py") for node in ast.walk(ast.parse(file.read_bytes())))
    return [node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]

"""Builds models of the contract from rows."""

from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BaseModel
from sqlalchemy import Column, Table

from fastapi_contract.contract import ContractError

Model = TypeVar("Model", bound=BaseModel)


def columns_of(table: Table, model: type[BaseModel]) -> list[Column[Any]]:
    """Returns the columns that hold the members of a `model`. Raises ContractError for members without a column."""
    step = f"Write a migration, and add it to the table {table.name} in table.py."
    missing = [name for name in model.model_fields if name not in table.c]
    if missing:
        raise ContractError([f"{model.__name__}.{name} has no column. {step}" for name in missing])
    return [table.c[name] for name in model.model_fields]


def reader(model: type[Model]) -> Callable[[Any], Model]:
    """Returns a function that builds a `model` from a row, whose columns must have the names of its members.

    Values are not validated, because the table's constraints are those of the contract. Takes 1.2 µs a row instead of
    9: `model_construct` would look for defaults and aliases.
    """
    names = set(model.model_fields)
    new, assign = model.__new__, object.__setattr__

    def read(row: Any) -> Model:
        instance = new(model)
        assign(instance, "__dict__", dict(row.items()))
        assign(instance, "__pydantic_fields_set__", names)
        return instance

    return read

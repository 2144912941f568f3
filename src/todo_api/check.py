"""Compares the code with the contract, without a database, tokens and settings."""

import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fastapi import APIRouter
from todo_contract import models, operations

from fastapi_contract.application import require_no_differences
from fastapi_contract.contract import ContractError
from fastapi_contract.generation.generated import Generated, digest
from todo_api.contract import load_contract


def load_routers(*, mock: bool = False) -> Sequence[APIRouter]:
    """Imports the handlers, and returns their routers after comparing them with the contract. With `mock`, an operation
    may have no handler.

    Raises ContractError with every difference between code and contract.
    """
    with _faults_of_handlers():
        from todo_api.app import routers_of
    routers = routers_of(load_contract(), "mock" if mock else "production")
    require_no_differences(load_contract(), routers)
    return routers


@contextmanager
def _faults_of_handlers() -> Iterator[None]:
    """Turns an exception while handlers are imported into a ContractError, which names file and line."""
    try:
        yield
    except ContractError:
        raise
    except Exception as error:
        raise ContractError([f"{_place(error)}: {_described(error)}"]) from error


def _place(error: Exception) -> str:
    """The line of the service that is nearest to an exception."""
    if isinstance(error, SyntaxError):
        return f"{Path(error.filename or '').name}:{error.lineno}"
    here = Path(__file__).parent
    frames = traceback.extract_tb(error.__traceback__)
    frame = next(each for each in reversed(frames) if here in Path(each.filename).parents)
    return f"{Path(frame.filename).name}:{frame.lineno}"


def _described(error: Exception) -> str:
    # By identity, because the columns of a table have an equality of their own.
    module = next((each for each in (models, operations) if getattr(error, "obj", None) is each), None)
    if not isinstance(error, AttributeError) or module is None:
        return f"{type(error).__name__}: {error}"
    is_fresh = Generated(models, operations).is_fresh(digest(load_contract().document))
    step = "Use a name of generated/." if is_fresh else "Run ./codegen.sh, or use another name."
    return f"{module.__name__.rpartition('.')[2]}.{error.name} is not generated from openapi.yaml. {step}"

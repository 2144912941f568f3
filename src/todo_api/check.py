"""Compares the code with the contract, without a database, tokens and settings."""

import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from todo_contract import models, operations

from fastapi_contract.application import require_no_differences
from fastapi_contract.contract import ContractError
from fastapi_contract.generated import Generated, digest
from fastapi_contract.router import ContractRouter
from todo_api.contract import load_contract


def load_routers() -> Sequence[ContractRouter]:
    """Imports the handlers, and returns their routers after comparing them with the contract.

    Raises ContractError with every difference between code and contract.
    """
    with _generated_names():
        from todo_api.app import ROUTERS
    require_no_differences(load_contract(), ROUTERS)
    return ROUTERS


@contextmanager
def _generated_names() -> Iterator[None]:
    """Turns the use of a name that is missing in generated/ into a ContractError, which names file and line."""
    try:
        yield
    except AttributeError as error:
        if error.obj not in (models, operations):
            raise
        is_fresh = Generated(models, operations).is_fresh(digest(load_contract().document))
        step = "Use a name of generated/." if is_fresh else "Run ./codegen.sh, or use another name."
        place = traceback.extract_tb(error.__traceback__)[-1]
        name = f"{error.obj.__name__.rpartition('.')[2]}.{error.name}"
        text = f"{Path(place.filename).name}:{place.lineno}: {name} is not generated from openapi.yaml. {step}"
        raise ContractError([text]) from None

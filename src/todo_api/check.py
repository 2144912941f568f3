"""Compares the code with the contract, without a database, tokens and settings."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fastapi import FastAPI
from todo_contract import models, operations

from fastapi_contract.application import contract_app
from fastapi_contract.contract import ContractError
from fastapi_contract.generated import Generated, digest
from todo_api.contract import load_contract


def load_app() -> FastAPI:
    """Returns an app that has the operations, and nothing that they need to answer a request.

    Raises ContractError with every difference between code and contract.
    """
    with _generated_names():
        from todo_api.app import ROUTERS
    return contract_app(load_contract(), ROUTERS)


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

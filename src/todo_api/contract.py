"""The contract of this service, and a router for its operations."""

import functools
from collections.abc import Sequence
from pathlib import Path

from todo_contract import models

from fastapi_contract.contract import Contract
from fastapi_contract.router import ContractRouter
from fastapi_contract.security import Guard


@functools.cache
def load_contract() -> Contract:
    """Reads the contract of this installation: beside the package in a wheel, at the top of a checkout."""
    package = Path(__file__).parent
    shipped = package / "openapi.yaml"
    path = shipped if shipped.exists() else package.parents[1] / "openapi.yaml"
    return Contract.parse(path.read_bytes())


def router(**security: Sequence[Guard]) -> ContractRouter:
    """For the operations of one tag. `security` has the guards of each security scheme by its name in the contract."""
    return ContractRouter(load_contract(), models, security)

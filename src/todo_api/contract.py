"""The contract of this service, its client package, and routers for its operations."""

import functools
from collections.abc import Sequence
from pathlib import Path

from todo_contract import models, operations

from fastapi_contract.contract import Contract
from fastapi_contract.router import ContractRouter
from fastapi_contract.security import Guard


@functools.cache
def load_contract() -> Contract:
    """Returns the contract: from the package if a wheel is installed, otherwise from the checkout."""
    return Contract.read(_shipped("openapi.yaml"))


def client_package() -> Path:
    """Returns the client package, which npm installs."""
    return _shipped("generated/client.tgz")


def _shipped(path: str) -> Path:
    """Returns a file of the checkout, which a wheel has in the package."""
    package = Path(__file__).parent
    packaged = package / Path(path).name
    return packaged if packaged.exists() else package.parents[1] / path


def router(**security: Sequence[Guard]) -> ContractRouter:
    """Returns a router for the operations of one tag.

    `security` maps the name of a security scheme in the contract to its guards, in the order of their calls.
    """
    return ContractRouter(load_contract(), models, security, operations)

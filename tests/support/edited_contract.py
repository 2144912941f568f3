"""The contract of the service with an edit, and the service's handlers bound to it."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from fastapi import APIRouter
from todo_contract import models, operations

from fastapi_contract.application import contract_app
from fastapi_contract.contract import Contract, ContractError
from fastapi_contract.router import ContractRouter
from todo_api.app import ROUTERS
from todo_api.contract import load_contract

LIST = "/api/{user_id}/tasks"
ITEM = "/api/{user_id}/tasks/{task_id}"

Document = dict[str, Any]


def contract(edit: Callable[[Document], object] = lambda _: None) -> Contract:
    """Parse a copy of the contract after `edit` has changed it."""
    document = copy.deepcopy(load_contract().document)
    edit(document)
    return Contract.parse(yaml.safe_dump(document).encode())


def bound(contract: Contract, *, without: str = "") -> list[ContractRouter]:
    """Bind the handlers of the service to another contract, except that of the operation `without`."""
    routers = []
    for original in ROUTERS:
        router = ContractRouter(contract, models, original.security, operations)
        for each in original.routes:
            if each.operation_id != without:  # type: ignore[attr-defined]
                router.operation(each.operation_id)(each.endpoint)  # type: ignore[attr-defined]
        routers.append(router)
    return routers


def differences_of(contract: Contract, *routers: APIRouter) -> list[str]:
    """Return the differences that stop the start, by default of the service's own handlers."""
    with pytest.raises(ContractError) as raised:
        contract_app(contract, routers or bound(contract))
    assert all(difference in str(raised.value) for difference in raised.value.differences)
    return raised.value.differences

"""The contract of the service with an edit."""

import copy
from collections.abc import Callable
from typing import Any

import yaml

from fastapi_contract.contract import Contract
from todo_api.contract import load_contract

LIST = "/api/{user_id}/tasks"
ITEM = "/api/{user_id}/tasks/{task_id}"

Document = dict[str, Any]


def contract(edit: Callable[[Document], object] = lambda _: None) -> Contract:
    """Parse a copy of the contract after `edit` has changed it."""
    document = copy.deepcopy(load_contract().document)
    edit(document)
    return Contract.parse(yaml.safe_dump(document).encode())

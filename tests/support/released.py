"""The last released contract, which clients have: whether the service must still keep it, and whether it does."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastapi_contract.changes.contract_diff import released, version_of
from fastapi_contract.contract import Contract, Operation
from fastapi_contract.openapi.document import resolve
from support import ROOT
from support.contract_watch import BrokenContractError, ContractWatch
from support.operations import create_things, send
from support.service import Service
from todo_api.contract import load_contract

FOLDER = ROOT / "contracts"


def require_same_major() -> str:
    """Return the last released version, as it is written. Skip a test if a higher major version declares a break."""
    working, last = version_of(load_contract().document["info"]["version"]), max(released(FOLDER))
    assert working is not None
    version = ".".join(map(str, last))
    if working[0] > last[0]:
        pytest.skip(f"the contract declares a break: its major version is higher than that of {version}")
    return version


def broken_promises(path: Path, service: Service, user: str) -> list[str]:
    """Send each request example of the contract at `path`, with a token and without one. Return how the answers break
    it, and each example that is rejected."""
    contract, found = Contract.parse(path.read_bytes()), list[str]()
    watch = ContractWatch(path, is_working=False)
    signed, anonymous = service.client(user), service.client()
    for client in (signed, anonymous):
        client.event_hooks = {"response": [*client.event_hooks["response"], watch.observe]}
    for operation in contract.operations.values():
        for media_type, body in _bodies(contract, operation):
            things = create_things(service.client(user), user)
            headers = {"Content-Type": media_type} if media_type else {}
            for client in (anonymous, signed):
                try:
                    answer = send(client, operation, user, things, content=body, headers=headers)
                except BrokenContractError as error:
                    found.append(str(error))
                else:
                    if client is signed and not answer.is_success:
                        found.append(f"{operation.id}: the request was valid, and the answer is {answer.status_code}")
    return found


def _bodies(contract: Contract, operation: Operation) -> Iterator[tuple[str, str]]:
    """The examples of an operation's body with their media types, and no body if it is not required."""
    body = resolve(contract.document, operation.spec.get("requestBody", {}))
    for media_type, media in body.get("content", {}).items():
        for example in media.get("examples", {}).values():
            yield media_type, json.dumps(resolve(contract.document, example)["value"])
    if not body.get("required", False):
        yield "", ""

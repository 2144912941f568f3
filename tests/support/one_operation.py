"""A contract of one operation, `send`, for tests of the comparison between contract and code."""

from types import ModuleType
from typing import Any

import yaml

from fastapi_contract.application import contract_app
from fastapi_contract.contract import Contract, ContractError
from fastapi_contract.router import ContractRouter

LEAF = {"type": "object", "required": ["kind"], "properties": {"kind": {"const": "leaf"}, "size": {"type": "integer"}}}
TWIG = {
    "type": "object",
    "required": ["kind"],
    "properties": {"kind": {"const": "twig"}},
    "additionalProperties": False,
}
AGED = {"type": "object", "required": ["age"], "properties": {"age": {"type": "integer"}}}
SCHEMAS: dict[str, Any] = {
    "Leaf": LEAF,
    "Twig": TWIG,
    "Word": {"type": "string", "maxLength": 20, "pattern": "^[a-z]+$"},
}


def ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def document(schemas: dict[str, Any], operation: dict[str, Any] | None = None) -> dict[str, Any]:
    components = {"schemas": {**SCHEMAS, **schemas}}
    path = {"post": {"operationId": "send", **operation}} if operation else {}
    paths = {"/send": path} if operation else {}
    return {"openapi": "3.1.0", "info": {"title": "x", "version": "1.0.0"}, "paths": paths, "components": components}


def content(schema: Any) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema}}}


def differences(contract: Contract, models: Any, handler: Any, known: str | None) -> list[str]:
    """Return the differences of a handler; `known` is the digest of the contract that the models are from."""
    answers = None if known is None else ModuleType("answers")
    if answers is not None:
        answers.CONTRACT = known  # type: ignore[attr-defined]
    router = ContractRouter(contract, models, answers=answers)
    router.operation("send")(handler)
    return differences_of(contract, router)


def differences_of(contract: Contract, router: ContractRouter) -> list[str]:
    try:
        contract_app(contract, [router])
    except ContractError as error:
        return error.differences
    return []


def parsed(whole: dict[str, Any]) -> Contract:
    return Contract.parse(yaml.safe_dump(whole, sort_keys=False).encode())


def handler_with(returned: Any = None, **annotations: Any) -> Any:
    async def send() -> Any: ...

    async def send_value(value: Any) -> Any: ...

    handler: Any = send_value if annotations else send
    handler.__name__ = "send"
    handler.__annotations__ = {"return": returned, **annotations}
    return handler

"""Writes what a TypeScript client needs to call the operations of a contract by their names.

The types of openapi-typescript have parameters, bodies and responses, but nothing that is there at run time.
"""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from fastapi_contract.contract import Contract, ContractError, Operation
from fastapi_contract.openapi.document import resolve
from fastapi_contract.validation.media_types import without_pages

_HEADER = """// Generated from openapi.yaml by ./codegen.sh.
import type { operations } from "./schema.js";

/** A header that some of the responses that document it may lack. */
"""
_OPERATION = """
/** How an operation is called. Parameters that are neither in the path nor headers are in the query. */
export interface Operation {
  method: string;
  path: string;
  headers?: readonly string[];
  /** The media type of the body. */
  body?: string;
  /** The media types of a success, if it is not JSON. */
  answers?: readonly string[];
  /** Requires no token. */
  public?: true;
}
"""


def client_operations(contract: Contract) -> str:
    """Returns a module of TypeScript: the operations with their documentation, and a table of how each is called.

    Raises ContractError for two parameters that a client cannot tell apart by name, and for one that is named `body`.
    """
    operations = contract.operations.values()
    if taken := [line for each in operations for line in _taken(contract, each)]:
        raise ContractError(taken)
    typed = (line for each in operations for line in (*_documentation(each), f'  {each.id}: operations["{each.id}"];'))
    table = (f"  {each.id}: {json.dumps(_call(contract, each))}," for each in operations)
    return "\n".join(
        [
            f"{_HEADER}export type OptionalHeader = {_optional_headers(contract)};\n",
            "export interface Operations {",
            *typed,
            f"}}\n{_OPERATION}",
            "export const OPERATIONS: { readonly [Id in keyof Operations]: Operation } = {",
            *table,
            "};\n",
        ]
    )


def _taken(contract: Contract, operation: Operation) -> Iterator[str]:
    names = Counter([*(each["name"] for each in operation.parameters), "body"])
    line = contract.line(f"#/paths/{operation.path.replace('/', '~1')}/{operation.method.lower()}")
    for name in (name for name, count in names.items() if count > 1):
        yield f"{line}: {operation.id} has two inputs named {name}, for the client. Rename the parameter."


def _documentation(operation: Operation) -> Iterator[str]:
    text = f"{operation.spec.get('summary', operation.id)}.\n\n{operation.spec.get('description', '')}".strip()
    lines = text.replace("*/", "* /").splitlines()
    yield "  /**"
    yield from (f"   * {line}".rstrip() for line in lines)
    if operation.is_deprecated:
        yield "   * @deprecated"
    yield "   */"


def _call(contract: Contract, operation: Operation) -> dict[str, Any]:
    call: dict[str, Any] = {"method": operation.method, "path": operation.path}
    if headers := [each["name"] for each in operation.parameters if each["in"] == "header"]:
        call["headers"] = headers
    if "requestBody" in operation.spec:
        call["body"] = next(iter(resolve(contract.document, operation.spec["requestBody"])["content"]))
    successes = (operation.responses[str(status)] for status in operation.successes)
    media_types = [media_type for each in successes for media_type in without_pages(each.get("content", ()))]
    if any(each != "application/json" for each in media_types):
        call["answers"] = media_types
    if not operation.security:
        call["public"] = True
    return call


def _optional_headers(contract: Contract) -> str:
    """openapi-typescript reads every header that is a `$ref` as required."""
    responses = (each for operation in contract.operations.values() for each in operation.responses.values())
    headers = (pair for response in responses for pair in response.get("headers", {}).items())
    names = {name for name, header in headers if not resolve(contract.document, header).get("required")}
    return " | ".join(f'"{name}"' for name in sorted(names)) or "never"

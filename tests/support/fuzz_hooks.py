"""Rules of the service that OpenAPI cannot express, for schemathesis. schemathesis.toml loads this file."""

import os
from typing import Any

import schemathesis
from schemathesis import Case, DeserializationContext, HookContext, Response
from schemathesis.core.failures import Failure
from schemathesis.generation import GenerationMode
from schemathesis.openapi.checks import RejectedPositiveData, UseAfterFree

from support.beyond_schema import accepted, is_only_beyond_schema, parameter_values
from support.ndjson import describe_responses

KEY_REUSED = "/problems/idempotency-key-reused"
RESTORED: set[str] = set()
"""The paths of tasks that were restored."""


@schemathesis.deserializer("text/csv", "text/plain", "text/calendar", "text/html", "application/octet-stream")
def text_of(_: DeserializationContext, response: Response) -> str:
    """Read the answers that are no JSON, which schemathesis would not check."""
    return response.content.decode(errors="replace")


@schemathesis.hook
def before_load_schema(_: HookContext, raw_schema: dict[str, Any]) -> None:
    """Restrict `user_id` to the `sub` of the token, and positions, entity tags and time zones to some that the service
    knows. Others are still sent, as invalid data, and expect 403 and 422."""
    describe_responses(raw_schema)
    owner = os.environ["FUZZ_OWNER"]
    values = {
        **parameter_values(owner),
        "user_id": [owner],
        # schemathesis makes texts that do not match the pattern of a list.
        "If-Match": ["*", '"1"', '"2", "3"'],
        "If-None-Match": ["*", '"1"', 'W/"2", "3"'],
    }
    # By the name on the wire: a component may have another name in each release.
    for parameter in raw_schema["components"]["parameters"].values():
        if parameter["name"] in values:
            parameter["schema"] = {"enum": values[parameter["name"]]}


@schemathesis.hook
def after_call(_: HookContext, case: Case[Any], response: Response) -> None:
    """Remember which tasks are back."""
    if case.operation.definition.raw.get("operationId") == "restoreTask" and response.status_code == 200:
        RESTORED.add(case.formatted_path.removesuffix("/restore"))


@schemathesis.hook
def map_case(_: HookContext, case: Case[Any]) -> Case[Any]:
    """Make bodies that the service accepts, as far as their schemas cannot express what it rejects."""
    is_valid = case.meta is not None and case.meta.generation.mode is GenerationMode.POSITIVE
    if is_valid and (body := accepted(case.body)) != case.body:
        case.body = body
    return case


@schemathesis.hook
def filter_case(_: HookContext, case: Case[Any]) -> bool:
    """Drop cases that call another path, because schemathesis does not encode strings within an array in a path."""
    return not set("?#") & set(case.formatted_path) and case.formatted_path.count("/") == case.path.count("/")


@schemathesis.hook
def filter_failure(_: HookContext, failure: Failure, case: Case[Any], response: Response) -> bool:
    """Drop what the service may do, though OpenAPI cannot express it.

    - It rejects a generated cursor, but only because of the cursor or the offset: a cursor is valid only if the service
      returned it, for the same filters and order, and only without an offset.
    - It rejects a body by a rule that its schema cannot express.
    - It rejects a key that was used for another request.
    - It returns a task that was deleted and then restored.
    """
    if isinstance(failure, UseAfterFree):
        return not any(case.formatted_path.startswith(path) for path in RESTORED)
    if not isinstance(failure, RejectedPositiveData):
        return True
    if "Idempotency-Key" in (case.headers or {}) and response.json().get("type") == KEY_REUSED:
        return False
    errors = response.json().get("errors", [])
    if "cursor" in (case.query or {}):
        return [error.get("parameter") for error in errors] not in (["cursor"], ["offset"])
    return not errors or not is_only_beyond_schema(errors)

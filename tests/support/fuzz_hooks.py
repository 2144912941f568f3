"""Rules of the service that OpenAPI cannot express, for schemathesis. schemathesis.toml loads this file."""

import os
from datetime import UTC, datetime
from typing import Any

import schemathesis
from schemathesis import Case, DeserializationContext, HookContext, Response
from schemathesis.core.failures import Failure
from schemathesis.openapi.checks import RejectedPositiveData

from todo_api.tasks.cursor import Position, encode


@schemathesis.deserializer("text/csv", "text/plain", "application/octet-stream")
def text_of(_: DeserializationContext, response: Response) -> str:
    """Read the answers that are no JSON, which schemathesis would not check."""
    return response.content.decode(errors="replace")


@schemathesis.hook
def before_load_schema(_: HookContext, raw_schema: dict[str, Any]) -> None:
    """Restrict `user_id` to the `sub` of the token, and `cursor` to one of its list. Others are still sent, as invalid
    data, and expect 403 and 422."""
    owner = os.environ["FUZZ_OWNER"]
    values = {"user_id": owner, "cursor": encode(owner, Position(datetime(9000, 1, 1, tzinfo=UTC), 1))}
    # By the name on the wire: a component may have another name in each release.
    for parameter in raw_schema["components"]["parameters"].values():
        if parameter["name"] in values:
            parameter["schema"] = {"const": values[parameter["name"]]}


@schemathesis.hook
def filter_case(_: HookContext, case: Case[Any]) -> bool:
    """Drop cases that call another path, because schemathesis does not encode strings within an array in a path."""
    return not set("?#") & set(case.formatted_path) and case.formatted_path.count("/") == case.path.count("/")


@schemathesis.hook
def filter_failure(_: HookContext, failure: Failure, case: Case[Any], response: Response) -> bool:
    """Allow the service to reject a generated cursor, but only because of the cursor or the offset.

    A cursor is valid only if the service returned it, and only without an offset. OpenAPI can express neither.
    """
    if not isinstance(failure, RejectedPositiveData) or "cursor" not in (case.query or {}):
        return True
    return [error.get("parameter") for error in response.json().get("errors", [])] not in (["cursor"], ["offset"])

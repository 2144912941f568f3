"""What schemathesis must know of this service and OpenAPI can't say. schemathesis.toml loads it."""

import os
from typing import Any

import schemathesis
from schemathesis import Case, HookContext, Response
from schemathesis.core.failures import Failure
from schemathesis.openapi.checks import RejectedPositiveData


@schemathesis.hook
def before_load_schema(_: HookContext, raw_schema: dict[str, Any]) -> None:
    """For the bearer of a token one `user_id` alone is right. All others are still sent, as wrong ones: 403."""
    user_id = raw_schema["components"]["parameters"]["UserId"]
    user_id["schema"] = {"const": os.environ["FUZZ_OWNER"]}


@schemathesis.hook
def filter_case(_: HookContext, case: Case[Any]) -> bool:
    """schemathesis does not encode text within an array in a path: with `?` in it, it would call another path."""
    return not set("?#") & set(case.formatted_path) and case.formatted_path.count("/") == case.path.count("/")


@schemathesis.hook
def filter_failure(_: HookContext, failure: Failure, case: Case[Any], response: Response) -> bool:
    """A cursor is right only where this service made it, and only without an offset.

    No schema can say the first, and no parameters of OpenAPI the second. So a cursor that was made up may be refused,
    but for these two reasons alone.
    """
    if not isinstance(failure, RejectedPositiveData) or "cursor" not in (case.query or {}):
        return True
    return [error.get("parameter") for error in response.json().get("errors", [])] not in (["cursor"], ["offset"])

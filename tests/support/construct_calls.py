"""Sends the requests of a construct, checks what they return, and sends generated ones."""

import contextlib
import json
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import httpx
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings, strategies
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.config import SchemathesisConfig
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import positive_data_acceptance, response_schema_conformance

from fastapi_contract.openapi.servers import base_path
from fastapi_contract.validation.media_types import EVENT_STREAM
from support.ndjson import describe_responses

_LARGEST = 2**63 - 1

schemathesis.openapi.format("decimal", strategies.decimals(-999, 999, places=2).map(str))


def send(client: httpx.Client, call: dict[str, Any]) -> httpx.Response:
    method, url = call["call"].split(" ", 1)
    headers = {key: str(value) for key, value in call.get("headers", {}).items()}
    content = call.get("text")
    if "json" in call:
        content = json.dumps(call["json"])
        headers.setdefault("Content-Type", "application/json")
    return client.request(method, url, content=content, headers=headers)


def check_right(call: dict[str, Any], response: httpx.Response) -> None:
    """A body must come back as it was sent, unless the construct says otherwise."""
    assert response.status_code == call.get("status", 200), (call, response.text)
    expected = call.get("result", call.get("json"))
    is_json = response.headers.get("content-type", "").startswith("application/json")
    assert (response.json() if is_json else response.text or None) == expected, call
    for header, value in call.get("with", {}).items():
        assert response.headers.get(header) == value, call


def check_wrong(call: dict[str, Any], response: httpx.Response) -> None:
    assert response.status_code == call.get("status", 422), (call, response.text)
    assert response.headers["content-type"] == "application/problem+json", call
    places = call.get("at", [])
    found = [error.get("pointer", error.get("parameter")) for error in response.json().get("errors", ())]
    assert found == ([places] if isinstance(places, str) else places), (call, response.json())


def fuzz(document: dict[str, Any], url: str, examples: int) -> None:
    """Sends valid and invalid requests to each operation. Raises the failures of schemathesis."""
    base_url = url + base_path(document["servers"])
    document = deepcopy(document)
    describe_responses(document)
    schema = schemathesis.openapi.from_dict(document, config=SchemathesisConfig())
    limits = settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    with requests.Session() as session:

        def call(case: Case[Any]) -> None:
            response = case.call(base_url=base_url, session=session)
            # Statuses of a service's own rules, which schemathesis does not know.
            is_rule = response.status_code in {412, 428}
            excluded: list[Any] = [positive_data_acceptance] if is_rule or _is_narrower(case) else []
            if any(value.startswith(EVENT_STREAM) for value in response.headers.get("content-type", ())):
                # Schemathesis takes the schema of an event stream for that of the event around an item.
                excluded.append(response_schema_conformance)
            case.validate_response(response, excluded_checks=excluded)

        for result in schema.get_all_operations():
            assert isinstance(result, Ok)
            operation = result.ok()
            for mode in GenerationMode:
                # An operation without parameters has no invalid requests.
                with contextlib.suppress(Unsatisfiable):
                    limits(given(case=operation.as_strategy(generation_mode=mode))(call))()


def _is_narrower(case: Case[Any]) -> bool:
    """Whether the engine may reject values that JSON Schema allows: `1.0` as an integer, integers of more than 64 bits,
    and an array that is not exploded and has no items."""
    parts = (case.body, case.query, case.path_parameters, case.headers, case.cookies)
    return any(_is_unsafe(part) for part in parts)


def _is_unsafe(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_is_unsafe, value.values()))
    if isinstance(value, list):
        return not value or any(map(_is_unsafe, value))
    if isinstance(value, str) and "," in value:
        # An array in a header.
        return any(map(_is_unsafe, value.split(",")))
    if isinstance(value, str):
        return not value or (value.lstrip("-").isdecimal() and _is_unsafe(int(value)))
    return (isinstance(value, float) and value.is_integer()) or (isinstance(value, int) and abs(value) > _LARGEST)

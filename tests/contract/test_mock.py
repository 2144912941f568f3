"""`make mock` serves the examples of the contract, so that a frontend can be built before the service."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from fastapi_contract.contract import Operation
from support.mock import running_mock
from support.operations import CONTRACT, Form, forms, resolve, send, tasks
from support.service import NO_TLS


def media_types(operation: Operation) -> set[str]:
    """Return the media types of an operation's bodies."""
    parts = [resolve(operation.spec.get("requestBody", {})), *operation.responses.values()]
    return {media_type for part in parts for media_type in part.get("content", {})}


NDJSON = "application/x-ndjson"
# Prism has no NDJSON: it answers 500 to what it should write, and validates lines as one object.
MOCKED = [operation for operation in CONTRACT.operations.values() if NDJSON not in media_types(operation)]
FORMS = [form for operation in MOCKED for form in forms(operation)]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with running_mock(tmp_path_factory.mktemp("mock")) as mock:
        yield mock.client


def example(operation: Operation, status: int, name: str) -> Any:
    content = operation.responses[str(status)]["content"]
    return resolve(next(iter(content.values()))["examples"][name])["value"]


@pytest.mark.parametrize("operation", MOCKED, ids=lambda operation: operation.id)
def test_prefer_chooses_each_status_and_example(client: httpx.Client, operation: Operation) -> None:
    for status, response in operation.responses.items():
        answer = send(client, operation, "a", headers={"Prefer": f"code={status}"})
        assert answer.status_code == int(status)
        for media_type, media in response.get("content", {}).items():
            for name in media["examples"]:
                answer = send(client, operation, "a", headers={"Prefer": f"code={status}, example={name}"})
                assert answer.headers["Content-Type"] == media_type
                assert answer.json() == example(operation, int(status), name)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.id)
def test_valid_request_gets_the_first_example(client: httpx.Client, form: Form) -> None:
    answer = send(client, form, "a")
    success = form.operation.successes[0]
    assert answer.status_code == success
    for media in form.operation.responses[str(success)].get("content", {}).values():
        assert answer.json() == example(form.operation, success, next(iter(media["examples"])))


def test_prefer_example_needs_no_status(client: httpx.Client) -> None:
    answer = client.get(tasks("a"), headers={"Prefer": "example=empty"})
    assert (answer.status_code, answer.json()["items"]) == (200, [])


def test_invalid_body_is_422(client: httpx.Client) -> None:
    answer = client.post(tasks("a"), json={"title": ""})
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/validation-failed")


def test_request_without_a_token_is_401(client: httpx.Client) -> None:
    answer = httpx.get(client.base_url.join(tasks("a")), verify=NO_TLS)
    assert (answer.status_code, answer.json()["type"]) == (401, "/problems/authentication-required")


def test_ctrl_c_leaves_no_process(tmp_path: Path) -> None:
    with running_mock(tmp_path) as mock:
        os.killpg(mock.process.pid, 0)
    with pytest.raises(ProcessLookupError):
        os.killpg(mock.process.pid, 0)

"""Each example fits its schema, and each one of a request is accepted: bodies, parameters and headers."""

import re
from typing import Any

import httpx
import pytest

from fastapi_contract.contract import Operation
from support.contract_examples import examples, misfits
from support.operations import (
    CONTRACT,
    OPERATIONS,
    WITH_BODY,
    Form,
    create_things,
    encoded,
    examples_of,
    parameter_text,
    returned,
    send,
    tasks,
    with_body,
)
from support.service import Service

JSON = {"application/json", "application/merge-patch+json"}
HEADERS = CONTRACT.document["components"]["headers"]
USER = CONTRACT.document["components"]["parameters"]["UserIdParam"]["example"]


@pytest.mark.parametrize(
    ("schema", "example"),
    [pytest.param(schema, example, id=place) for place, schema, example in examples(CONTRACT.document)],
)
def test_example_fits_its_schema(schema: Any, example: Any) -> None:
    assert misfits(CONTRACT.document, schema, example) == []


@pytest.mark.parametrize(
    ("form", "example"),
    [
        pytest.param(form, example, id=f"{form.id} {number}")
        for form in WITH_BODY
        for number, example in enumerate(examples_of(form), 1)
    ],
)
def test_example_of_a_body_is_accepted(client: httpx.Client, user: str, form: Form, example: Any) -> None:
    answer = send_body(client, user, form, example)
    assert answer.status_code in form.operation.successes, answer.text
    if form.media_type in JSON and answer.headers.get("Content-Type") in JSON:
        assert returned(answer, example) in ({}, example)


@with_body
def test_body_inside_its_bounds_is_accepted(client: httpx.Client, user: str, form: Form) -> None:
    """The required members alone, too: an absent member is no reason for a 500."""
    for value in form.inside():
        answer = send_body(client, user, form, value)
        assert answer.status_code in form.operation.successes, (value, answer.text)


def send_body(client: httpx.Client, user: str, form: Form, value: Any) -> httpx.Response:
    content, content_type = encoded(form, value)
    headers = {"Content-Type": content_type}
    return send(client, form, user, create_things(client, user), content=content, headers=headers)


@pytest.mark.parametrize(
    ("operation", "parameter"),
    [
        pytest.param(operation, parameter, id=f"{operation.id} {parameter['name']}")
        for operation in OPERATIONS
        for parameter in operation.parameters
    ],
)
def test_example_of_a_parameter_is_accepted(service: Service, operation: Operation, parameter: Any) -> None:
    """A page of documentation fills in the examples. Each parameter may be sent without the optional others."""
    text = parameter_text(parameter, parameter["example"])
    part = {"query": "params", "header": "headers"}.get(parameter["in"])
    others = {part: {parameter["name"]: text}} if part else {}
    answer = send(service.client(USER), operation, USER, **others)
    # The example of an id identifies nothing here.
    assert answer.status_code in {*operation.successes, 404}, answer.text


class TestHeaders:
    """The examples of headers have the form of real ones."""

    def test_example_of_location_has_the_form_of_a_real_one(self, client: httpx.Client, user: str) -> None:
        created = client.post(tasks(user), json={"title": "x"})
        example = HEADERS["LocationHeader"]["example"]
        assert created.headers["Location"] == re.sub("[0-9]+$", str(created.json()["id"]), example.replace(USER, user))

    def test_example_of_link_has_the_form_of_a_real_one(self, client: httpx.Client, user: str) -> None:
        for _ in range(3):
            client.post(tasks(user), json={"title": "x"})
        page = client.get(tasks(user), params={"limit": 2})
        example = HEADERS["NextPageHeader"]["example"].replace(USER, user)
        cursor = CONTRACT.document["components"]["parameters"]["CursorParam"]["example"]
        assert page.headers["Link"] == example.replace(cursor, page.json()["next_cursor"])

    def test_example_of_a_challenge_is_that_of_a_missing_token(self, service: Service, user: str) -> None:
        rejected = service.client().get(tasks(user))
        assert rejected.headers["WWW-Authenticate"] == HEADERS["ChallengeHeader"]["example"]

    def test_example_of_an_invalid_request_is_that_of_two_headers(self, service: Service, user: str) -> None:
        rejected = service.client().get(tasks(user), headers=[("Authorization", "Bearer a")] * 2)
        assert rejected.headers["WWW-Authenticate"] == HEADERS["InvalidRequestChallengeHeader"]["example"]

    def test_example_of_a_version_is_that_of_the_contract(self, client: httpx.Client) -> None:
        assert client.get("/health").headers["API-Version"] == HEADERS["ApiVersionHeader"]["example"]

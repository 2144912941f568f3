"""Values that a schema allows and a rule beyond it rejects: each rule of the tests is one of the service."""

from typing import Any

import httpx
import pytest
from jsonschema_rs import Draft202012Validator

from fastapi_contract.contract import Operation
from fastapi_contract.validation.media_types import NDJSON
from support.beyond_schema import RULES, Rule, accepted, is_only_beyond_schema, parameter_values
from support.operations import CONTRACT, OWNED, WITH_BODY, Form, create_things, encoded, examples_of, resolve, send
from support.schema_values import Wrong


def bodies_of(rule: Rule) -> dict[str, tuple[Form, Any]]:
    """Returns the bodies that break a rule, valid by their schemas, by the form of the request."""
    found: dict[str, tuple[Form, Any]] = {}
    for form in WITH_BODY:
        schema = resolve(form.media["schema"])
        if rule.broken.keys() <= schema.get("properties", {}).keys():
            example = examples_of(form)[0]
            whole = example[0] if form.media_type == NDJSON else example
            thing = {name: whole[name] for name in schema.get("required", ())} | rule.broken
            assert Draft202012Validator({**CONTRACT.document, **form.media["schema"]}).is_valid(thing)
            found[form.id] = form, [thing] if form.media_type == NDJSON else thing
    return found


BROKEN = [
    pytest.param(rule, form, body, id=f"{name} in {of}")
    for name, rule in RULES.items()
    for of, (form, body) in bodies_of(rule).items()
]


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_rule_is_one_of_an_operation(rule: Rule) -> None:
    assert bodies_of(rule)


def send_body(client: httpx.Client, user: str, form: Form, body: Any) -> httpx.Response:
    content, content_type = encoded(form, body)
    headers = {"Content-Type": content_type}
    return send(client, form, user, create_things(client, user), content=content, headers=headers)


@pytest.mark.parametrize(("rule", "form", "body"), BROKEN)
def test_body_that_breaks_a_rule_is_422_at_its_place(
    client: httpx.Client, user: str, rule: Rule, form: Form, body: Any
) -> None:
    answer = send_body(client, user, form, body)
    assert answer.status_code == 422, answer.text
    [error] = answer.json()["errors"]
    assert error["code"] == rule.code
    assert rule.place.search(error["pointer"])


@pytest.mark.parametrize(("rule", "form", "body"), BROKEN)
def test_accepted_body_breaks_no_rule(client: httpx.Client, user: str, rule: Rule, form: Form, body: Any) -> None:
    answer = send_body(client, user, form, accepted(body))
    assert answer.status_code in form.operation.successes, answer.text


def test_error_of_a_schema_is_no_rule_beyond_it() -> None:
    def error_of(each: Wrong) -> dict[str, str]:
        return {"code": each.code, "pointer": "#" + "".join(f"/{token}" for token in each.path)}

    errors = [error_of(each) for form in WITH_BODY for each in form.outside()]
    mistaken = [error for error in errors if is_only_beyond_schema([error])]
    # Both are reported at the same place, and mean the same.
    assert {(error["code"], error["pointer"].split("/")[-2]) for error in mistaken} <= {("too_long", "labels")}


@pytest.mark.parametrize(
    ("operation", "name"),
    [
        pytest.param(operation, parameter["name"], id=f"{operation.id} {parameter['name']}")
        for operation in OWNED
        for parameter in operation.parameters
        if parameter["name"] in parameter_values("")
    ],
)
def test_parameter_that_the_service_does_not_know_is_422(
    client: httpx.Client, user: str, operation: Operation, name: str
) -> None:
    answer = send(client, operation, user, params={name: "x" * 30})
    assert answer.status_code == 422, answer.text
    assert [error["parameter"] for error in answer.json()["errors"]] == [name]

"""Each bound of the contract's requests: the value just outside it is 422, with the bound's code, limit and place."""

import re
from typing import Any, get_args

import httpx
import pytest
from todo_contract import models

from fastapi_contract.contract import Operation
from fastapi_contract.validation.input_errors import CODES
from fastapi_contract.validation.media_types import NDJSON
from support.databases import execute
from support.operations import CONTRACT, WITH_BODY, Form, encoded, owned, parameter_text, resolve, send, tasks
from support.schema_values import wrong
from support.service import Service

BODIES = [pytest.param(form, id=form.id) for form in WITH_BODY if form.media_type in {"application/json", NDJSON}]
PARAMETERS = [
    pytest.param(operation, parameter, id=f"{operation.id} {parameter['name']}")
    for operation in CONTRACT.operations.values()
    for parameter in operation.parameters
    if parameter["in"] != "cookie"
]


@pytest.mark.parametrize("form", BODIES)
def test_body_just_outside_a_bound_is_422_at_its_place(client: httpx.Client, user: str, form: Form) -> None:
    for value, path, code, limit in form.outside():
        body, content_type = encoded(form, value)
        answer = send(client, form, user, content=body, headers={"Content-Type": content_type})
        assert answer.status_code == 422, (body, answer.text)
        [error] = answer.json()["errors"]
        found = (error["code"], error.get("limit"), error["pointer"])
        assert found == (code, limit, "#" + "".join(f"/{token}" for token in path)), body
        assert error["detail"].endswith(".")
        assert not any(text in error["detail"] for text in ("^", "\\", "pattern", "String", "Input"))


@pytest.mark.parametrize("form", BODIES)
def test_missing_body_is_422_if_it_is_required(client: httpx.Client, user: str, form: Form) -> None:
    answer = send(client, form, user, content=b"", headers={"Content-Type": str(form.media_type)})
    is_required = resolve(form.operation.spec["requestBody"]).get("required", False)
    assert (answer.status_code == 422) == is_required, answer.text


@pytest.mark.parametrize("form", BODIES)
def test_every_bound_of_a_body_is_walked(form: Form) -> None:
    bounds = {"minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems", "minProperties", "pattern"}
    outside = wrong(form.schema, resolve)
    walked = {(code, limit) for _, _, code, limit in outside}

    def count(node: Any) -> int:
        node = resolve(node)
        own = len(bounds & node.keys()) + (node.get("additionalProperties") is False)
        parts = [*node.get("properties", {}).values(), *node.get("anyOf", ()), *node.get("oneOf", ())]
        return own + sum(map(count, [*parts, *([node["items"]] if "items" in node else [])]))

    assert len(outside) >= count(form.schema)
    assert ("unknown_member", None) in walked


@pytest.mark.parametrize(("operation", "parameter"), PARAMETERS)
def test_parameter_just_outside_a_bound_is_422_by_its_name(
    client: httpx.Client, user: str, operation: Operation, parameter: Any
) -> None:
    name = parameter["name"]
    for value, _, code, limit in wrong(parameter["schema"], resolve):
        text = parameter_text(parameter, value)
        is_bound = limit is not None or code in {"pattern", "blank"}
        # A user id outside its bounds is another user's, and an empty segment is no path of the contract.
        # An empty array is not sent, and a header has no spaces at its ends and no control characters.
        is_sent = text != [] and (parameter["in"] == "query" or text != "")
        if parameter["in"] == "header":
            is_sent = is_sent and re.fullmatch("[!-~]+", str(text)) is not None
        if not is_bound or name == "user_id" or not is_sent:
            continue
        part = {"query": "params", "header": "headers", "path": "things"}[parameter["in"]]
        answer = send(client, operation, user, **{part: {name: text}})
        assert answer.status_code == parameter.get("x-invalid-status", 422), (text, answer.text)
        if answer.status_code == 400:
            assert name in answer.json()["detail"]
            continue
        [error] = answer.json()["errors"]
        assert (error["code"], error.get("limit"), error["parameter"]) == (code, limit, name), text


def test_longest_user_id_is_accepted_and_returned(service: Service, user: str) -> None:
    longest = f"{user:x<{resolve({'$ref': '#/components/schemas/UserId'})['maxLength']}}"
    created = service.client(longest).post(tasks(longest), json={"title": "x"})
    assert (created.status_code, created.json()["user_id"]) == (201, longest)


@pytest.mark.parametrize("bound", ["minLength", "maxLength"])
def test_request_id_at_a_bound_is_returned(client: httpx.Client, bound: str) -> None:
    identifier = "x" * resolve({"$ref": "#/components/schemas/RequestId"})[bound]
    assert client.get("/health", headers={"X-Request-ID": identifier}).headers["X-Request-ID"] == identifier


@owned
def test_own_user_id_against_its_pattern_is_422(service: Service, operation: Operation) -> None:
    """The id of another user is 403 before it is validated."""
    answer = send(service.client("a b"), operation, "a b")
    assert answer.status_code == 422, answer.text
    assert [(error["code"], error["parameter"]) for error in answer.json()["errors"]] == [("pattern", "user_id")]


def test_codes_are_those_of_the_contract() -> None:
    assert resolve({"$ref": "#/components/schemas/InputError"})["properties"]["code"]["enum"] == list(CODES)
    assert get_args(models.InputError.model_fields["code"].annotation) == CODES


def test_longest_entity_tag_of_a_list_is_returned(client: httpx.Client, user: str, database_url: str) -> None:
    client.post(tasks(user), json={"title": "x"})
    execute(database_url, f"UPDATE task_list SET change = {2**63 - 1} WHERE user_id = '{user}'")  # noqa: S608
    assert client.get(tasks(user)).headers["ETag"] == f'"{2**63 - 1}"'


def test_longest_list_of_entity_tags_is_accepted(client: httpx.Client, user: str) -> None:
    tag = f'"{"x" * (resolve({"$ref": "#/components/schemas/EntityTags"})["maxLength"] - 2)}"'
    assert client.get(tasks(user), headers={"If-None-Match": tag}).status_code == 200


def test_longest_page_of_changes_is_returned(client: httpx.Client, user: str, database_url: str) -> None:
    fill = "INSERT INTO task (user_id, title) SELECT '{}', 'x' FROM generate_series(1, 100)"
    execute(database_url, fill.format(user))
    page = client.get(f"{tasks(user)}/changes", params={"limit": 100}).json()
    assert (len(page["changed"]), page["has_more"]) == (100, False)
    execute(database_url, f"UPDATE task SET deleted_at = now() WHERE user_id = '{user}'")  # noqa: S608
    page = client.get(f"{tasks(user)}/changes", params={"limit": 100, "since": page["next_since"]}).json()
    assert (len(page["deleted"]), page["has_more"]) == (100, False)

"""Tables agree with the contract: their columns are the properties of a schema, they accept every value that it allows,
and each constraint is a rule of the contract. What cannot be compared fails too."""

import json
from collections.abc import Iterator
from copy import deepcopy
from functools import partial
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema_rs import Draft202012Validator

from fastapi_contract.contract import Operation
from support.beyond_schema import accepted, parameter_values
from support.databases import new_database
from support.operations import CONTRACT, OWNED, Form, create_things, forms, returned, send
from support.schema_values import right
from support.service import Service
from support.table import TABLES, Schema, differences, read, resolve
from todo_api.database import migrate


@pytest.fixture(scope="module")
def table_url() -> Iterator[str]:
    """The URL of a database without rows, which could prevent an alteration."""
    with new_database() as url:
        migrate.upgrade(url)
        yield url


@pytest.mark.parametrize(
    "alteration",
    ["ALTER TABLE task ADD CHECK (length(title) > 0), ADD CHECK (id > 0), ADD CHECK (id >= 1)"],
    ids=["with redundant checks"],
)
def test_table_agrees_with_the_contract(table_url: str, alteration: str) -> None:
    assert differences(table_url, alteration) == []


@pytest.mark.parametrize("table", TABLES)
def test_each_table_agrees_with_the_contract(table_url: str, table: str) -> None:
    assert differences(table_url, table=table) == []


ALTERATIONS = [
    ("ALTER COLUMN title TYPE varchar(100)", "title is character varying(100)"),
    ("ALTER COLUMN title TYPE varchar(201)", "title is character varying(201)"),
    ("ALTER COLUMN description TYPE text", "description is text"),
    ("ALTER COLUMN description SET NOT NULL", "description must be nullable"),
    ("ALTER COLUMN title DROP NOT NULL", "title must not be nullable"),
    ("ALTER COLUMN id TYPE integer", "id is integer, the contract requires bigint"),
    ("ALTER COLUMN updated_at TYPE timestamptz(3)", "updated_at is timestamp(3) with time zone"),
    ("ADD COLUMN note varchar(9)", "note is not a property of Task"),
    ("DROP COLUMN description", "description is no column"),
    ("DROP CONSTRAINT task_pkey CASCADE", "id is not the primary key"),
    ("ADD UNIQUE (user_id, title)", "no response for CREATE UNIQUE INDEX"),
    ("ADD FOREIGN KEY (id) REFERENCES task", "no response for FOREIGN KEY"),
    ("ADD EXCLUDE (title WITH =)", "no response for EXCLUDE"),
    ("ADD CHECK (length(title) < 50)", "Task.title may be"),
    ("ADD CHECK (octet_length(description) <= 2000)", "Task.description may be"),
    ("ADD CHECK (description <> '')", "Task.description may be ''"),
    ("ADD CHECK (title ~ '^[[:ascii:]]+$')", "Task.title may be"),
    ("ADD CHECK (id < 1000000)", "Task.id may be 9007199254740991"),
    ("ADD CHECK (updated_at >= created_at)", "Task.created_at may be"),
    ("ADD CHECK (title <> 'Buy milk')", "rejects nothing that the contract rejects"),
    ("DROP CONSTRAINT task_title_not_empty, ADD CHECK (title IS NOT NULL)", "rejects nothing that the contract"),
    ("ADD CHECK (due_date IS NULL OR description IS NULL)", "rejects nothing that the contract rejects"),
    ("ADD CHECK (due_date IS NULL OR priority <> 'low')", "Task.due_date may be"),
    ("ADD CHECK (cardinality(labels) < 20)", "Task.labels may be"),
    ("ADD CHECK ('urgent' <> priority)", "Task.priority may be 'urgent'"),
    ("ALTER COLUMN title SET NOT NULL; CREATE INDEX ON task (description)", "Task.description may be"),
]


@pytest.mark.parametrize(("alteration", "message"), ALTERATIONS, ids=[alteration for alteration, _ in ALTERATIONS])
def test_table_that_differs_from_the_contract_is_reported(table_url: str, alteration: str, message: str) -> None:
    assert any(message in line for line in differences(table_url, f"ALTER TABLE task {alteration}"))


@pytest.mark.parametrize(
    ("shape", "member", "schema", "message"),
    [
        ("Task", "title", {"type": "string", "maxLength": 300}, "title is character varying(200)"),
        ("Task", "title", {"type": "string"}, "Task.title has no test values"),
        (
            "Task",
            "id",
            {"type": "integer", "minimum": 1, "maximum": 2**63},
            "the contract requires no known type",
        ),
        ("Task", "completed", {"anyOf": [{"type": "boolean"}, {"type": "null"}]}, "completed must be nullable"),
        ("Task", "note", {"type": "string", "maxLength": 9}, "note is no column"),
        (
            "Task",
            "labels",
            {"type": "array", "maxItems": 20, "items": {"type": "string", "maxLength": 60}},
            "labels is character varying(50)[], the contract requires character varying(60)[]",
        ),
        ("TaskCreate", "title", {"type": "string", "maxLength": 200}, "TaskCreate.title may be ''"),
        ("TaskCreate", "title", {"type": "string", "minLength": 1, "maxLength": 201}, "TaskCreate.title may be"),
        ("TaskUpdate", "title", {"anyOf": [{"type": "boolean"}, {"type": "null"}]}, "TaskUpdate.title may be None"),
        ("TaskUpdate", "title", {"type": "array"}, "TaskUpdate.title has no test values"),
        ("TaskUpdate", "note", {"type": "boolean"}, "TaskUpdate.note is not a property of Task"),
    ],
    ids=[
        "longer title", "title without bounds", "id beyond bigint", "nullable completed", "new property",
        "longer label", "empty title in TaskCreate", "longer title in TaskCreate", "null title in TaskUpdate",
        "array as title in TaskUpdate", "new property in TaskUpdate",
    ],
)  # fmt: skip
def test_contract_that_allows_more_than_the_table_is_reported(
    table_url: str, shape: str, member: str, schema: Schema, message: str
) -> None:
    document = deepcopy(CONTRACT.document)
    document["components"]["schemas"][shape]["properties"][member] = schema
    assert any(message in line for line in differences(table_url, document=document))


@pytest.mark.parametrize(
    ("members", "agree"),
    [("'low', 'high'", True), ("'low'", False), ("'low', 'high', ''", False)],
    ids=["same members", "missing member", "additional member"],
)
def test_enum_of_the_contract_is_compared_with_the_check(table_url: str, members: str, agree: bool) -> None:
    document = deepcopy(CONTRACT.document)
    task = document["components"]["schemas"]["Task"]
    task["properties"]["level"] = {"type": "string", "enum": ["low", "high"]}
    task["required"].append("level")
    alteration = f"ALTER TABLE task ADD COLUMN level varchar(4) NOT NULL CHECK (level IN ({members}))"
    assert (differences(table_url, alteration, document) == []) is agree


# --- values of the contract, sent to the service


def bodies(form: Form) -> Iterator[Any]:
    """Yields bodies with each bound of each property, by which no rule beyond their schemas is broken."""
    schema = {} if form.media_type is None else resolve(CONTRACT.document, form.media["schema"])
    values = {name: values_of(member) for name, member in schema.get("properties", {}).items()}
    required = {name: values[name][0] for name in schema.get("required", ())}
    yield from (accepted(required | {name: value}) for name in values for value in values[name])


def values_of(schema: Schema) -> list[Any]:
    return read(CONTRACT.document, schema)[2] or right(schema, partial(resolve, CONTRACT.document))


def parameters(operation: Operation, user: str) -> Iterator[Schema]:
    """Yields each bound of each parameter, or values that the service knows, if no others are accepted."""
    known = parameter_values(user)
    for parameter in operation.parameters:
        name = parameter["name"]
        values = known.get(name) or values_of(parameter["schema"])
        assert values, f"{name} has no values: add bounds, or add its type to describe()"
        yield from ({name: value} for value in values)


def header_names(operation: Operation) -> set[str]:
    return {each["name"] for each in operation.parameters if each["in"] == "header"}


JSON_FORMS = [form for operation in OWNED for form in forms(operation) if form.media_type in {None, "application/json"}]


@pytest.mark.parametrize("form", JSON_FORMS, ids=lambda form: form.id)
def test_every_bound_of_a_request_is_accepted(service: Service, user: str, form: Form) -> None:
    requests: list[tuple[Schema, Any]] = [({}, body) for body in bodies(form)]
    for changed, body in [*requests, *((each, None) for each in parameters(form.operation, user))]:
        owner = changed.get("user_id", user)
        client = service.client(owner)
        things = create_things(client, quote(owner, safe=""))
        in_path = {name: value for name, value in changed.items() if name in things}
        in_header = {name: value for name, value in changed.items() if name in header_names(form.operation)}
        query = {name: value for name, value in changed.items() if name not in {"user_id", *things, *in_header}}
        sent: dict[str, Any] = {"headers": in_header}
        if body is not None:
            sent = {"content": json.dumps(body), "headers": {"Content-Type": "application/json"}}
        response = send(client, form, quote(owner, safe=""), things | in_path, params=query, **sent)
        is_success = response.status_code in form.operation.successes
        # Another task, and another state of the task, are accepted values too.
        accepted = {404} if in_path else {412} if "If-Match" in changed else set()
        assert is_success or response.status_code in accepted, (changed, body, response.text)
        if is_success and body and response.content:
            assert returned(response, body) in ({}, body)


def texts(name: str) -> st.SearchStrategy[str]:
    schema = CONTRACT.document["components"]["schemas"][name]
    return st.text(max_size=schema["maxLength"]).filter(Draft202012Validator(schema).is_valid)


def test_any_valid_task_is_stored_as_sent(client: httpx.Client, user: str) -> None:
    @settings(max_examples=100, derandomize=True, deadline=None)
    @given(texts("Title"), st.none() | texts("Description"), st.booleans())
    def create(title: str, description: str | None, completed: bool) -> None:
        body = {"title": title, "description": description, "completed": completed}
        created = client.post(f"/api/{user}/tasks", json=body)
        assert created.status_code == 201
        assert created.json().items() >= body.items()

    create()

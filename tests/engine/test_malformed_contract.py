"""What OpenAPI 3.1 forbids is rejected by name: wrong types, missing and unknown fields, broken references."""

from typing import Any

import pytest

from support.contract_faults import BODY, GET, PARAMETER, POST, REMOVED, SCHEMA, SCHEME, Edit, faults, parameter


@pytest.mark.parametrize(
    ("edit", "fault"),
    [
        pytest.param(("paths", REMOVED), "The document has no `paths`", id="no paths"),
        pytest.param(
            ("paths", []), "paths has `paths` of the wrong type: a list instead of an object.", id="paths as a list"
        ),
        pytest.param(
            ("info version", 1.0),
            "info has `version` of the wrong type: a number instead of text. Write it in quotes.",
            id="version as a number",
        ),
        pytest.param(
            ("servers", [{"url": "https://{host}/v2"}]), "servers has {host} in its URL", id="variable without a value"
        ),
        pytest.param(("servers", [{"url": "https://[x/v2"}]), "servers has a URL that cannot be read", id="no URL"),
        pytest.param(("servers", [{"url": "/v2?x=1"}]), "servers has a URL that cannot be read", id="URL with a query"),
        pytest.param(
            ("servers", [{"url": "/{v}", "variables": {"v": {"default": "v2", "enum": ["v1"]}}}]),
            "servers has a `default` that is not in its `enum`",
            id="default of a variable",
        ),
        pytest.param((f"{GET} responses", REMOVED), "listNotes has no `responses`", id="no responses"),
        pytest.param((f"{GET} responses", {}), "listNotes has no 2xx or 3xx response", id="no success"),
        pytest.param(
            (f"{GET} responses 99", {"description": ""}),
            "listNotes has the response 99, which is not a status",
            id="no status",
        ),
        pytest.param(
            (f"{GET} responses 204", {"description": "", "content": {"application/json": {"schema": {}}}}),
            "listNotes has `content` in its 204 response",
            id="204 with content",
        ),
        pytest.param(
            (f"{GET} responses 200", {"content": {}}),
            "listNotes has no `description`",
            id="response without a description",
        ),
        pytest.param((f"{GET} operationId", REMOVED), "GET /notes has no operationId", id="no operationId"),
        pytest.param((f"{GET} operationId", "createNote"), "createNote appears twice", id="operationId twice"),
        pytest.param(
            (f"{GET} summry", "x"),
            "listNotes has `summry`, which is not a field of an Operation object. Did you mean summary?",
            id="misspelt field",
        ),
        pytest.param((f"{BODY} application/json", {}), "createNote has no `schema`", id="media type without a schema"),
        pytest.param(
            (f"{POST} requestBody content", {}), "createNote has a request body without media types", id="no media type"
        ),
        pytest.param(
            (PARAMETER, {"name": "limit", "in": "query"}),
            "listNotes has the parameter limit without `schema`",
            id="parameter without a schema",
        ),
        pytest.param(
            (PARAMETER, parameter("body")), "listNotes has the parameter limit in `body`", id="unknown location"
        ),
        pytest.param(
            (PARAMETER, parameter("path")),
            "listNotes has the path parameter limit without `required: true`",
            id="optional path parameter",
        ),
        pytest.param(
            (PARAMETER, parameter("path", required=True)),
            "listNotes has the path parameter limit, which is not in /notes",
            id="path parameter that is not in the path",
        ),
        pytest.param(
            (f"{PARAMETER} required", "yes"),
            "listNotes has `required` of the wrong type: text instead of true or false",
            id="flag as text",
        ),
        pytest.param(
            ("paths /notes parameters", [parameter("query"), parameter("query")]),
            "/notes has the query parameter limit twice",
            id="parameter twice",
        ),
        pytest.param(
            ("paths /notes/{id}", {"get": {"operationId": "getNote", "responses": {"204": {"description": ""}}}}),
            "getNote has no parameter for {id}",
            id="path parameter without a description",
        ),
        pytest.param(("paths notes", {}), "notes is a path that does not begin with `/`", id="path without a slash"),
        pytest.param(("paths /notes/{id", {}), "/notes/{id is a path with an unbalanced brace", id="open brace"),
        pytest.param(("paths /a?b", {}), "/a?b is a path with `?`", id="path with a query"),
        pytest.param(
            ("security", [{"bearer": []}]), "security requires the security scheme bearer", id="unknown security scheme"
        ),
        pytest.param(
            (SCHEME, {"key": {"type": "apiKey", "name": "X"}}),
            "securitySchemes/key has no `in`",
            id="apiKey without a location",
        ),
        pytest.param(
            ("components schemas My*Note", {}),
            "schemas/My*Note has a name with other characters",
            id="name of a component",
        ),
        pytest.param((f"{SCHEMA} type", "text"), "schemas/NoteText has `type` of the wrong type", id="unknown type"),
        pytest.param(
            (f"{SCHEMA} type", ["string", "string"]), "schemas/NoteText has `type` of the wrong type", id="type twice"
        ),
        pytest.param(
            (f"{SCHEMA} maxLength", "5"),
            "schemas/NoteText has `maxLength` of the wrong type: text instead of an integer from 0",
            id="bound as text",
        ),
        pytest.param(
            (f"{SCHEMA} exclusiveMinimum", True),
            "schemas/NoteText has `exclusiveMinimum` of the wrong type",
            id="exclusiveMinimum of OpenAPI 3.0",
        ),
        pytest.param(
            (f"{SCHEMA} pattern", "("),
            "schemas/NoteText has a `pattern` that the generated models cannot use",
            id="pattern",
        ),
        pytest.param(
            (f"{SCHEMA} required", ["a", "b", "a"]),
            "schemas/NoteText has a `required` with a name twice",
            id="name twice",
        ),
        pytest.param((f"{SCHEMA} enum", []), "schemas/NoteText has an empty `enum`", id="empty enum"),
        pytest.param(
            (f"{SCHEMA} minLenght", 1),
            "schemas/NoteText has `minLenght`, which is not a field of a Schema object. Did you mean minLength?",
            id="misspelt keyword",
        ),
    ],
)
def test_malformed_contract_is_rejected_with_its_place(edit: Edit, fault: str) -> None:
    found = faults(edit)
    assert any(each.startswith(fault) for each in found), found


@pytest.mark.parametrize(
    ("ref", "fault"),
    [
        pytest.param(
            "#/components/schemas/Nota",
            "which is not a Schema object of the contract. Did you mean #/components/schemas/Note?",
            id="nowhere",
        ),
        pytest.param(
            "#/components/responses/Note", "which is a Response object and not a Schema object", id="another kind"
        ),
        pytest.param("#/info", "which is an Info object and not a Schema object", id="no component"),
        pytest.param("other.yaml#/Note", "which is another file, and only this one was given", id="another file"),
        pytest.param("https://example.com/Note", "which is not a file below the folder", id="another host"),
        pytest.param("#/components/schemas/NoteText", "which refers back to it without an end", id="itself"),
    ],
)
def test_reference_that_leads_nowhere_is_rejected(ref: str, fault: str) -> None:
    found = faults(("components schemas NoteText", {"$ref": ref}))
    assert any(each.startswith(f"schemas/NoteText refers to {ref}, {fault}") for each in found), found


@pytest.mark.parametrize(
    "union",
    [
        pytest.param({keyword: [{"$ref": "#/components/schemas/NoteText"}]}, id=keyword)
        for keyword in ("allOf", "anyOf", "oneOf")
    ],
)
def test_schema_that_is_part_of_itself_is_rejected(union: Any) -> None:
    [fault] = faults(("components schemas NoteText", union))
    assert "which refers back to it without an end" in fault

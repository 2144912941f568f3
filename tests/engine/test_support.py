"""What the engine does not carry is rejected by name and line, and everything else is accepted."""

import pytest
import yaml

from fastapi_contract.contract import Contract, InvalidContractError
from support.contract_faults import BODY, GET, NOTES, PARAMETER, SCHEMA, SCHEME, Edit, faults, parameter


def test_contract_without_faults_is_accepted() -> None:
    assert faults() == []


def test_fault_begins_with_file_and_line() -> None:
    source = NOTES.read_text().replace("type: integer", "type: integer\n            nullable: true", 1)
    line = source.splitlines().index("            nullable: true") + 1
    with pytest.raises(InvalidContractError, match=rf"openapi.yaml:{line}: listNotes uses `nullable`"):
        Contract.parse(source.encode())


def test_all_faults_are_listed_in_the_order_of_lines() -> None:
    source = NOTES.read_text().replace("title: notes", "titel: notes").replace("maxLength: 128", "maxLength: -1")
    with pytest.raises(InvalidContractError) as raised:
        Contract.parse(f"{source}      xml: {{}}\n      xml: {{}}\n".encode())
    assert [each.split(": ", 1)[1] for each in raised.value.differences] == [
        "info has no `title`, which an Info object requires: add it.",
        "info has `titel`, which is not a field of an Info object. Did you mean title?",
        "schemas/RequestId has `maxLength` of the wrong type: a number instead of an integer from 0.",
        "schemas/Problem uses `xml`, which is not supported. Bodies are not XML.",
        f"The key xml appears twice, first in line {len(source.splitlines()) + 1}: remove one of them.",
    ]
    assert "openapi.yaml cannot be served, 5 faults:" in str(raised.value)


def test_line_of_a_pointer() -> None:
    contract = Contract.parse(NOTES.read_bytes())
    lines = NOTES.read_text().splitlines()
    assert lines[contract.line("#/paths/~1notes/post/operationId").number - 1] == "      operationId: createNote"
    assert lines[contract.line("#/components/schemas/Note/no/such/place").number - 1] == "    Note:"


@pytest.mark.parametrize(
    ("edit", "fault"),
    [
        pytest.param(
            (f"{BODY} multipart/mixed", {"schema": {}}),
            "createNote uses multipart/mixed in a request body",
            id="multipart/mixed",
        ),
        pytest.param(
            (f"{BODY} application/xml", {"schema": {}}),
            "createNote uses application/xml in a request body",
            id="XML body",
        ),
        pytest.param(
            (f"{GET} responses 200", {"description": "", "content": {"text/xml": {"schema": {}}}}),
            "listNotes uses text/xml in a 200 response",
            id="XML response",
        ),
        pytest.param(
            ("servers", [{"url": "/"}, {"url": "https://example.com/v2"}]),
            "servers uses the base path /v2 beside /",
            id="two base paths",
        ),
        pytest.param(
            ("servers", [{"url": "/{v}", "variables": {"v": {"default": "v2", "enum": ["v2", "v1"]}}}]),
            "servers uses the base paths /v1, /v2 by a variable",
            id="two base paths by a variable",
        ),
        pytest.param(("servers", [{"url": "v2"}]), "servers uses the base path v2", id="relative base path"),
        pytest.param(("servers", [{"url": "/v2/../v1"}]), "servers uses the base path /v2/../v1", id="dot segment"),
        pytest.param(("servers", [{"url": "/v2//x"}]), "servers uses the base path /v2//x", id="empty segment"),
        pytest.param(
            ("servers", [{"url": "/caf%C3%A9"}]), "servers uses the base path /caf%C3%A9", id="percent-encoded"
        ),
        pytest.param(
            (f"{GET} responses default", {"description": ""}),
            "listNotes uses `default` in its responses",
            id="default response",
        ),
        pytest.param(
            (f"{GET} responses 4XX", {"description": ""}),
            "listNotes uses `4XX` in its responses",
            id="range of responses",
        ),
        pytest.param(
            (PARAMETER, parameter("query", style="spaceDelimited")),
            "listNotes uses the style spaceDelimited for the query parameter limit",
            id="spaceDelimited",
        ),
        pytest.param(
            (PARAMETER, parameter("query", style="pipeDelimited")),
            "listNotes uses the style pipeDelimited",
            id="pipeDelimited",
        ),
        pytest.param(
            (PARAMETER, parameter("query", style="deepObject")), "listNotes uses the style deepObject", id="deepObject"
        ),
        pytest.param(
            (PARAMETER, parameter("header", style="form")),
            "listNotes uses the style form for the header parameter limit",
            id="style of a header",
        ),
        pytest.param(
            (PARAMETER, parameter("query", schema={"type": "object"})),
            "listNotes uses object in the query parameter limit",
            id="object in a query",
        ),
        pytest.param(
            (PARAMETER, parameter("query", schema={"type": "array", "items": {"type": "array"}})),
            "listNotes uses array in items of the query parameter limit",
            id="nested array in a query",
        ),
        pytest.param(
            (PARAMETER, parameter("cookie", schema={"type": "array"})),
            "listNotes uses array in the cookie parameter limit",
            id="array in a cookie",
        ),
        pytest.param(
            (PARAMETER, {"name": "limit", "in": "query", "content": {"application/json": {"schema": {}}}}),
            "listNotes uses `content`",
            id="parameter with content",
        ),
        pytest.param(
            (PARAMETER, parameter("query", allowReserved=True)), "listNotes uses `allowReserved`", id="allowReserved"
        ),
        pytest.param((f"{GET} servers", []), "listNotes uses `servers`", id="servers of an operation"),
        pytest.param(("paths /notes head", {"responses": {}}), "/notes uses `head`", id="HEAD operation"),
        pytest.param(
            ("paths /notes additionalOperations", {}), "/notes uses `additionalOperations`", id="additionalOperations"
        ),
        *(
            pytest.param((f"{SCHEMA} {keyword}", {}), f"schemas/NoteText uses `{keyword}`", id=keyword)
            for keyword in (
                "patternProperties",
                "prefixItems",
                "if",
                "then",
                "else",
                "not",
                "dependentSchemas",
                "dependentRequired",
                "unevaluatedProperties",
                "unevaluatedItems",
                "contains",
                "$dynamicRef",
                "$dynamicAnchor",
                "$defs",
                "$id",
                "$anchor",
                "xml",
                "nullable",
                "contentEncoding",
            )
        ),
        pytest.param((f"{SCHEMA} items", True), "schemas/NoteText uses the schema `true`", id="boolean schema"),
        pytest.param((f"{SCHEMA} format", "phone"), "schemas/NoteText uses the format phone", id="unknown format"),
        pytest.param(
            ("components schemas Note properties id format", "date"),
            "schemas/Note uses the format date",
            id="format of another type",
        ),
        pytest.param(
            (SCHEME, {"login": {"type": "oauth2", "flows": {}}}),
            "securitySchemes/login uses a security scheme of the type oauth2",
            id="oauth2",
        ),
        pytest.param(
            (SCHEME, {"login": {"type": "openIdConnect"}}),
            "securitySchemes/login uses a security scheme of the type openIdConnect",
            id="openIdConnect",
        ),
        pytest.param(
            (SCHEME, {"login": {"type": "mutualTLS"}}),
            "securitySchemes/login uses a security scheme of the type mutualTLS",
            id="mutualTLS",
        ),
        pytest.param(("openapi", "3.2.0"), "openapi uses OpenAPI 3.2.0", id="OpenAPI 3.2"),
    ],
)
def test_unsupported_construct_is_rejected_by_name(edit: Edit, fault: str) -> None:
    found = faults(edit)
    assert any(each.startswith(f"{fault}") and "which is not supported. " in each for each in found), found


RECURSIVE = {
    "type": "object",
    "properties": {"replies": {"type": "array", "items": {"$ref": "#/components/schemas/Tree"}}},
}
PATH_ITEM = {"get": {"operationId": "getOther", "responses": {"204": {"description": "Done"}}}}


@pytest.mark.parametrize(
    "edits",
    [
        pytest.param([("components schemas Tree", RECURSIVE)], id="recursive schema"),
        pytest.param(
            [
                ("components pathItems", {"Other": PATH_ITEM}),
                ("paths /other", {"$ref": "#/components/pathItems/Other"}),
            ],
            id="path item by reference",
        ),
        pytest.param(
            [("components schemas Abc", {"$ref": "#/components/schemas/Note", "minProperties": 1})],
            id="field beside the reference of a schema",
        ),
        pytest.param(
            [("components schemas Id", {"$ref": "#/components/schemas/Note/properties/id"})],
            id="reference into a schema",
        ),
        pytest.param(
            [("x-own", [1]), ("paths x-own", 1), (f"{GET} x-own", None), (f"{GET} responses x-own", {})],
            id="extensions",
        ),
        pytest.param([("components schemas Free", {})], id="free schema"),
        pytest.param([("components schemas Nullable", {"type": ["string", "null"], "default": None})], id="nullable"),
        pytest.param(
            [
                (
                    "webhooks",
                    {"noted": {"post": {"operationId": "noted", "responses": {"default": {"description": "x"}}}}},
                )
            ],
            id="webhook",
        ),
        pytest.param([("components headers X-Own", {"schema": {"type": "integer"}})], id="header"),
    ],
)
def test_supported_construct_is_accepted(edits: list[Edit]) -> None:
    assert faults(*edits) == []


def test_operation_of_a_referenced_path_item_is_served() -> None:
    document = yaml.safe_load(NOTES.read_bytes())
    document["components"]["pathItems"] = {"Other": PATH_ITEM}
    document["paths"]["/other"] = {"$ref": "#/components/pathItems/Other"}
    assert Contract.parse(yaml.safe_dump(document).encode()).operations["getOther"].path == "/other"


def test_parameter_of_an_operation_replaces_that_of_its_path() -> None:
    document = yaml.safe_load(NOTES.read_bytes())
    document["paths"]["/notes"]["parameters"] = [parameter("query", schema={"type": "string"})]
    [found] = Contract.parse(yaml.safe_dump(document).encode()).operations["listNotes"].parameters
    assert found["schema"]["type"] == "integer"


@pytest.mark.parametrize(
    "error",
    ["blank", {"code": "nothing"}, {"code": []}, {"detail": 5}, {"message": "x"}],
    ids=["text", "code", "code of another type", "detail", "member"],
)
def test_wrong_pattern_error_is_rejected(error: object) -> None:
    schema = {"type": "string", "pattern": "a", "x-pattern-error": error}
    assert "NoteText has an `x-pattern-error` that is not a code, a detail, or both." in faults((SCHEMA, schema))[0]

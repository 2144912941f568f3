"""Request bodies that the engine does not carry are rejected by name."""

from typing import Any

import pytest

from support.contract_faults import BODY, GET, PARAMETER, POST, Edit, faults, parameter

FORM, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data"
NDJSON = "application/x-ndjson"
FILE = {"type": "string", "format": "binary"}


def body(media_type: str, schema: dict[str, Any], **fields: Any) -> Edit:
    return BODY, {media_type: {"schema": schema, **fields}}


def lines_of_a_response(media: dict[str, Any]) -> Edit:
    return f"{GET} responses 200", {"description": "", "content": {NDJSON: media}}


def members(**schemas: Any) -> dict[str, Any]:
    return {"type": "object", "properties": schemas}


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(body("application/merge-patch+json", members()), id="merge patch"),
        pytest.param(body(FORM, members(a={"type": ["array"], "items": {"type": "integer"}})), id="array in a form"),
        pytest.param(body(FORM, {"allOf": [members(a={"$ref": "#/components/schemas/NoteText"})]}), id="allOf"),
        pytest.param(body(FORM, members(a={})), id="member of any type"),
        pytest.param(body(MULTIPART, members(a=FILE, b={"type": "array", "items": FILE}, c=members())), id="files"),
        pytest.param(body("text/plain", {"type": "string"}), id="text"),
        pytest.param(body("application/octet-stream", {}), id="any bytes"),
        pytest.param(body("application/octet-stream", FILE, **{"x-max-bytes": 1}), id="bytes with a limit"),
        pytest.param((f"{POST} requestBody x-max-bytes", 10_000_000), id="limit of a request body"),
        pytest.param(body(NDJSON, members(), **{"x-max-items": 1, "x-max-bytes": 1}), id="lines with limits"),
        pytest.param(body(NDJSON, {}), id="lines of any value"),
        pytest.param(body(NDJSON, {"type": "integer", "enum": [1]}), id="lines of numbers"),
        pytest.param(
            (f"{GET} responses 200", {"description": "", "content": {"application/octet-stream": {"schema": FILE}}}),
            id="binary response",
        ),
    ],
)
def test_supported_body_is_accepted(edit: Edit) -> None:
    assert faults(edit) == []


@pytest.mark.parametrize(
    ("edit", "fault"),
    [
        pytest.param(
            body("image/png", FILE), "createNote uses image/png in a request body, which is not supported.", id="image"
        ),
        pytest.param(
            body(FORM, {"type": "array"}),
            f"createNote has {FORM} with a schema that is not `type: object`: change it.",
            id="form that is a list",
        ),
        pytest.param(
            body(MULTIPART, {}),
            f"createNote has {MULTIPART} with a schema that is not `type: object`: change it.",
            id="form of any type",
        ),
        pytest.param(
            body(FORM, members(a=members())),
            f"createNote uses object in the member a of {FORM}, which is not supported. Supported are string,",
            id="object in a form",
        ),
        pytest.param(
            body(MULTIPART, members(a={"type": "array", "items": {"type": "array"}})),
            f"createNote uses array in items of the member a of {MULTIPART}, which is not supported.",
            id="nested array in a form",
        ),
        pytest.param(
            body(FORM, members(a={"type": ["array", "string"]})),
            f"createNote uses array or string in the member a of {FORM}, which is not supported. "
            "Supported is array alone.",
            id="array or text in a form",
        ),
        pytest.param(
            body(FORM, members(a=FILE)),
            f"createNote uses `format: binary` in the member a of {FORM}, which is not supported. "
            f"Supported are {MULTIPART}, application/octet-stream.",
            id="file in a urlencoded form",
        ),
        pytest.param(
            body(MULTIPART, members(a=members(b=FILE))),
            f"createNote uses `format: binary` in the member a of {MULTIPART}, which is not supported.",
            id="file within JSON in a form",
        ),
        pytest.param(
            body("application/json", members(a={"anyOf": [FILE, {"type": "null"}]})),
            "createNote uses `format: binary` in application/json, which is not supported.",
            id="file in a JSON body",
        ),
        pytest.param(
            (f"{GET} responses 200", {"description": "", "content": {"application/json": {"schema": members(a=FILE)}}}),
            "listNotes uses `format: binary` in application/json, which is not supported.",
            id="file in a JSON response",
        ),
        pytest.param(
            (PARAMETER, parameter("query", schema=FILE)),
            "listNotes uses `format: binary` in the query parameter limit, which is not supported.",
            id="file in a parameter",
        ),
        pytest.param(
            body("text/plain", {"type": "integer"}),
            "createNote uses integer in text/plain, which is not supported. Supported is string.",
            id="number as text",
        ),
        pytest.param(
            body("text/plain", {}),
            "createNote uses any value in text/plain, which is not supported. Supported is string.",
            id="any value as text",
        ),
        pytest.param(
            body("application/octet-stream", {"type": "string", "pattern": "a"}),
            "createNote uses values of application/octet-stream in a schema, which is not supported. "
            "Supported are minLength, maxLength.",
            id="pattern of bytes",
        ),
        pytest.param(
            body(MULTIPART, members(a={**FILE, "pattern": "a"})),
            "createNote uses `pattern` beside `format: binary`, which is not supported. "
            "Supported are minLength, maxLength.",
            id="pattern of a file",
        ),
        pytest.param(
            body("application/octet-stream", members()),
            "createNote uses object in application/octet-stream, which is not supported. Supported is string.",
            id="object as bytes",
        ),
        pytest.param(
            body(MULTIPART, members(a={"type": "string", "contentMediaType": "image/png"})),
            "createNote uses `contentMediaType`, which is not supported. For a file, use `format: binary`.",
            id="contentMediaType",
        ),
        pytest.param(
            body(MULTIPART, members(a=FILE), encoding={"a": {"contentType": "image/png"}}),
            "createNote uses `encoding`, which is not supported. Leave it out.",
            id="encoding",
        ),
        *[
            pytest.param(
                (f"{POST} requestBody x-max-bytes", limit),
                "createNote has an `x-max-bytes` that is not an integer from 1: change it.",
                id=f"limit of {limit!r}",
            )
            for limit in (0, "1000", True, 1.5, None)
        ],
        *[
            pytest.param(
                body(NDJSON, {}, **{"x-max-items": limit}),
                "createNote has an `x-max-items` that is not an integer from 1: change it.",
                id=f"limit of {limit!r} lines",
            )
            for limit in (0, "1000", True, 1.5, None)
        ],
        *[
            pytest.param(
                edit,
                f"{operation} uses `x-max-items` here, which is not supported. "
                f"Supported is `x-max-items` beside the schema of {NDJSON} in a request body.",
                id=f"number of lines of {where}",
            )
            for where, operation, edit in (
                ("json", "createNote", body("application/json", {"type": "array"}, **{"x-max-items": 5})),
                ("a request body", "createNote", (f"{POST} requestBody x-max-items", 5)),
                ("a response", "listNotes", lines_of_a_response({"schema": {}, "x-max-items": 5})),
                ("a schema", "createNote", body(NDJSON, {"x-max-items": 5})),
                ("an operation", "createNote", (f"{POST} x-max-items", 5)),
            )
        ],
        pytest.param(
            body(NDJSON, members(a=FILE)),
            "createNote uses `format: binary` in application/x-ndjson, which is not supported.",
            id="file in a line",
        ),
        pytest.param(
            body("text/event-stream", members()),
            "createNote uses text/event-stream in a request body, which is not supported.",
            id="events",
        ),
        pytest.param(
            body("text/plain", {"type": "string"}, **{"x-max-bytes": -1}),
            "createNote has an `x-max-bytes` that is not an integer from 1: change it.",
            id="limit of a media type",
        ),
    ],
)
def test_unsupported_body_is_rejected_by_name(edit: Edit, fault: str) -> None:
    found = faults(edit)
    assert [each for each in found if each.startswith(fault)] == found != []

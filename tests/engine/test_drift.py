"""Every difference between contract and code is named, with line, place, both values and the step that helps."""

from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal

import pytest
from fastapi import Body, Cookie, Header, Query, Security
from fastapi import Path as InPath
from fastapi.security import APIKeyHeader, HTTPBearer
from typing_extensions import TypeAliasType

from fastapi_contract.application import contract_app
from fastapi_contract.generation.generated import digest
from fastapi_contract.router import ContractRouter
from support.generated import generate_answers, generate_models
from support.one_operation import (
    SCHEMAS,
    content,
    differences,
    differences_of,
    document,
    handler_with,
    parsed,
    ref,
)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    folder = tmp_path_factory.mktemp("drift")
    contract = folder / "openapi.yaml"
    contract.write_bytes(parsed(document({})).source)
    return generate_models(contract, folder)


# --- types that a developer wrote


def parameter(where: str, schema: Any, name: str = "value", **more: Any) -> dict[str, Any]:
    return {"name": name, "in": where, "schema": schema, **more}


DAYS = {"x-deprecated-at": "2026-01-31", "x-sunset": "2027-01-31"}
DONE = {"responses": {"204": {"description": "Done."}}}
WORD = ref("Word")

WRITTEN: dict[str, tuple[dict[str, Any], Any, list[str]]] = {
    "wider type": (parameter("query", {"type": "integer", "minimum": 1}, required=True), Annotated[int, Query()], []),
    "optional": (parameter("query", {"type": "integer"}), Annotated[int | None, Query()], ["required"]),
    "text for an enum": (parameter("query", {"enum": ["a", "b"]}, required=True), Annotated[str, Query()], []),
    "the same bound": (
        parameter("query", {"type": "integer", "minimum": 1}, required=True),
        Annotated[int, Query(ge=1)],
        [],
    ),
    "another bound": (
        parameter("query", {"type": "integer", "minimum": 1}, required=True),
        Annotated[int, Query(ge=2)],
        ["minimum: openapi.yaml says 1, the code 2. Change the type in send()."],
    ),
    "a bound of its own": (
        parameter("query", {"type": "integer"}, required=True),
        Annotated[int, Query(le=9)],
        ["maximum: openapi.yaml says nothing, the code 9. Change the type in send()."],
    ),
    "a narrower enum": (
        parameter("query", {"enum": ["a", "b", "c"]}, required=True),
        Annotated[Literal["a", "b"], Query()],
        ['enum: openapi.yaml says ["a", "b", "c"], the code ["a", "b"]'],
    ),
    "another type": (
        parameter("query", {"type": "string"}, required=True),
        Annotated[int, Query()],
        ['type: openapi.yaml says "string", the code "integer"'],
    ),
    "a bound beside the generated type": (
        parameter("query", {"type": "string", "maxLength": 20}, required=True),
        Annotated[str, Query(max_length=10)],
        ["maxLength: openapi.yaml says 20, the code 10"],
    ),
    "header in another case": (
        parameter("header", {"type": "integer"}, "X-Page", required=True),
        Annotated[int, Header(alias="x-page")],
        [],
    ),
    "header by its argument": (
        parameter("header", {"type": "integer"}, "Value", required=True),
        Annotated[int, Header()],
        [],
    ),
    "cookie": (parameter("cookie", {"type": "boolean"}, required=True), Annotated[bool, Cookie()], []),
    "another place": (
        parameter("cookie", {"type": "boolean"}, required=True),
        Annotated[bool, Query()],
        ["cookie value: openapi.yaml says", "query value: openapi.yaml says nothing"],
    ),
    "array": (
        parameter("query", {"type": "array", "items": {"type": "integer"}}, required=True),
        Annotated[list[int], Query()],
        [],
    ),
    "required and nullable": (
        parameter("query", {"type": ["integer", "null"]}, required=True),
        Annotated[int | None, Query()],
        ['query value: openapi.yaml says "null", the code "required". Give it the default None in send().'],
    ),
    "array of another type": (
        parameter("query", {"type": "array", "items": {"type": "integer"}}, required=True),
        Annotated[list[str], Query()],
        ["items / type"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("documented", "written", "expected"), WRITTEN.values(), ids=WRITTEN)
def test_written_type_must_allow_what_the_contract_allows(
    models: Any, documented: dict[str, Any], written: Any, expected: list[str]
) -> None:
    contract = parsed(document({}, {"parameters": [documented], **DONE}))
    found = differences(contract, models, handler_with(value=written), digest(contract.document))
    assert len(found) == len(expected)
    assert all(part in line for part, line in zip(expected, found, strict=True)), found
    assert all(line.startswith("openapi.yaml:") for line in found)


def test_parameter_that_no_handler_reads_is_named(models: Any) -> None:
    contract = parsed(document({}, {"parameters": [parameter("query", {"type": "string"})], **DONE}))
    found = differences(contract, models, handler_with(), digest(contract.document))
    (line,) = found
    assert line.endswith(
        'send / query value: openapi.yaml says {"type": "string"}, the code nothing. Add it to send().'
    )


def test_generated_type_with_a_bound_of_its_own_is_named(models: Any) -> None:
    documented = parameter("path", WORD, required=True)
    contract = parsed(
        {
            **document({}, None),
            "paths": {"/{value}": {"post": {"operationId": "send", "parameters": [documented], **DONE}}},
        }
    )
    written = Annotated[models.Word, InPath(max_length=5)]
    (line,) = differences(contract, models, handler_with(value=written), digest(contract.document))
    assert "path value / maxLength: openapi.yaml says 20, the code 5. Use models.Word in send()." in line


# --- security, headers and media types

BEARER = {"type": "http", "scheme": "bearer"}
GUARDS: dict[str, Any] = {
    "bearer": HTTPBearer(scheme_name="key", auto_error=False),
    "header": APIKeyHeader(name="X-Key", scheme_name="key", auto_error=False),
    "function": handler_with(),
}


@pytest.mark.parametrize(
    ("scheme", "guard", "message"),
    [
        (BEARER, "bearer", None),
        ({"type": "http", "scheme": "Bearer", "bearerFormat": "JWT"}, "bearer", None),
        ({"type": "apiKey", "in": "header", "name": "x-key"}, "header", None),
        ({"type": "http", "scheme": "basic"}, "bearer", "says http basic, its guard reads http bearer."),
        (
            {"type": "apiKey", "in": "header", "name": "X-Key"},
            "bearer",
            "key: openapi.yaml says apiKey in header x-key, its guard reads http bearer.",
        ),
        (
            {"type": "apiKey", "in": "query", "name": "X-Key"},
            "header",
            "key: openapi.yaml says apiKey in query X-Key, its guard reads apiKey in header x-key.",
        ),
        ({"type": "apiKey", "in": "header", "name": "X-Other"}, "header", "apiKey in header x-other, its guard reads"),
        (BEARER, "function", "none of its guards is a SecurityBase"),
    ],
    ids=[
        "bearer", "bearer in another case", "api key in another case", "basic for bearer", "api key for bearer",
        "query for header", "another header", "no scheme",
    ],
)  # fmt: skip
@pytest.mark.parametrize("alternatives", [[{"key": []}], [{"key": []}, {}]], ids=["required", "optional"])
def test_guard_must_read_the_scheme_of_the_contract(
    models: ModuleType, scheme: Any, guard: str, message: str | None, alternatives: Any
) -> None:
    whole = document({}, {"security": alternatives, **DONE})
    whole["components"]["securitySchemes"] = {"key": scheme}
    contract = parsed(whole)
    router = ContractRouter(contract, models, {"key": [GUARDS[guard]]})
    router.operation("send")(handler_with())
    found = differences_of(contract, router)
    assert len(found) == (message is not None)
    assert message is None or message in found[0]


@pytest.mark.parametrize(
    ("alternatives", "documented"),
    [([], "nothing"), ([{"key": []}, {}], '"key or nothing"'), ([{"key": []}, {"other": []}], '"key or other"')],
    ids=["public", "optional", "alternatives"],
)
def test_dependency_that_requires_more_than_the_contract_is_named(
    models: ModuleType, alternatives: Any, documented: str
) -> None:
    whole = document({}, {"security": alternatives, **DONE})
    whole["components"]["securitySchemes"] = {"key": BEARER, "other": BEARER}
    contract = parsed(whole)
    router = ContractRouter(contract, models, {"key": [GUARDS["bearer"]], "other": [GUARDS["bearer"]]})
    router.operation("send")(handler_with(value=Annotated[Any, Security(GUARDS["bearer"])]))
    assert f'send / security: openapi.yaml says {documented}, the code "key".' in differences_of(contract, router)[0]


ETAG = {"schema": {"type": "string"}}


def answer(headers: dict[str, Any], media_type: str = "application/json") -> dict[str, Any]:
    response = {"description": "Word.", "headers": headers, "content": {media_type: {"schema": WORD}}}
    return {"responses": {"200": response, "204": {"description": "Done."}}}


@pytest.mark.parametrize(
    ("edited", "message"),
    [
        (answer({"ETag": ETAG, "Link": ETAG}), 'header link: openapi.yaml says "optional", the code nothing.'),
        (answer({"Tag": ETAG}), 'header tag: openapi.yaml says "optional", the code nothing.'),
        (answer({}), 'header etag: openapi.yaml says nothing, the code "optional".'),
        (
            answer({"ETag": {**ETAG, "required": True}}),
            'header etag: openapi.yaml says "required", the code "optional".',
        ),
        (answer({"ETag": ETAG}, "text/plain"), 'content: openapi.yaml says "text/plain", the code "application/json".'),
    ],
    ids=["header added", "header renamed", "header removed", "header required", "media type"],
)
def test_stale_answer_is_named(models: ModuleType, tmp_path: Path, edited: dict[str, Any], message: str) -> None:
    path = tmp_path / "openapi.yaml"
    path.write_bytes(parsed(document({}, answer({"ETag": ETAG}))).source)
    answers: Any = generate_answers(path, models, tmp_path)
    contract = parsed(document({}, edited))
    router = ContractRouter(contract, models, answers=answers)
    router.operation("send")(handler_with(answers.Send))
    found = differences_of(contract, router)
    assert message in found[0]
    assert all(line.endswith("Run ./codegen.sh.") for line in found)


def test_body_of_another_type_is_named(models: ModuleType) -> None:
    contract = parsed(document({}, {"requestBody": {"required": True, **content(ref("Leaf"))}, **DONE}))
    (line,) = differences(
        contract, models, handler_with(value=Annotated[str, Body(media_type="text/plain")]), digest(contract.document)
    )
    assert 'body / application/json / type: openapi.yaml says "object", the code "string".' in line


# --- what cannot differ, because it is read from the contract


def test_model_of_the_other_direction_is_named(tmp_path: Path) -> None:
    """A schema with a readOnly member has a model for requests and another one for responses."""
    stored = {"type": "object", "required": ["id"], "properties": {"id": {"type": "integer", "readOnly": True}}}
    operation = {
        "requestBody": {"required": True, **content(ref("stored"))},
        "responses": {"200": {"description": "Stored.", **content(ref("stored"))}},
    }
    contract = parsed(document({"stored": stored}, operation))
    path = tmp_path / "openapi.yaml"
    path.write_bytes(contract.source)
    models: Any = generate_models(path, tmp_path)
    for handler, expected in (
        (handler_with(models.Stored, value=models.StoredRequest), []),
        (
            handler_with(models.Stored, value=models.Stored),
            ["required id: openapi.yaml says false, the code true. Use models.StoredRequest in send()."],
        ),
        (
            handler_with(models.StoredRequest, value=models.StoredRequest),
            ["send returns 200 with models.Stored: annotate send() with -> models.Stored."],
        ),
    ):
        contract.bound.clear()
        found = differences(contract, models, handler, digest(contract.document))
        assert [part in line for part, line in zip(expected, found, strict=True)] == [True] * len(expected), found


@pytest.mark.parametrize("is_fresh", [True, False], ids=["fresh", "stale"])
def test_type_that_contains_itself_must_be_marked_as_the_body(is_fresh: bool) -> None:
    contract = parsed(document({"Value": {"type": "object", "additionalProperties": ref("Value")}}, {
        "requestBody": {"required": True, **content(ref("Value"))}, **DONE,
    }))  # fmt: skip
    models: Any = ModuleType("models")
    models.Value = TypeAliasType("Value", "dict[str, Value]")  # noqa: F821
    known = digest(contract.document) if is_fresh else "another"
    found = differences(contract, models, handler_with(value=models.Value), known)
    text = "a type contains itself. If it is the body, annotate it as such: Annotated[models.Tree, Body()]."
    assert found[0] == f"openapi.yaml:7: send: send() cannot be compared with it: {text}"


def test_tags_and_deprecation_are_those_of_the_contract(models: ModuleType) -> None:
    contract = parsed(document({}, {"tags": ["other"], "deprecated": True, **DAYS, **DONE}))
    router = ContractRouter(contract, models)
    router.operation("send")(handler_with())
    app = contract_app(contract, [router])
    assert app.openapi()["paths"]["/send"]["post"]["tags"] == ["other"]
    (route,) = router.routes
    assert (route.tags, route.deprecated) == (["other"], True)  # type: ignore[attr-defined]


def test_description_of_a_schema_makes_nothing_stale(models: ModuleType) -> None:
    whole = document({}, {"summary": "Send", **DONE})
    edited = document({}, {"summary": "Post", "description": "More.", "tags": ["x"], "x-y": 1, **DONE})
    edited["components"]["schemas"]["Word"] = {**SCHEMAS["Word"], "description": "A word.", "examples": ["a"]}
    assert digest(whole) == digest(edited)
    edited["components"]["schemas"]["Word"]["maxLength"] = 21
    assert digest(whole) != digest(edited)


def test_member_named_as_an_annotation_is_part_of_the_digest() -> None:
    one = document({"Named": {"type": "object", "properties": {"description": {"type": "string"}}}})
    other = document({"Named": {"type": "object", "properties": {"description": {"type": "integer"}}}})
    assert digest(one) != digest(other)

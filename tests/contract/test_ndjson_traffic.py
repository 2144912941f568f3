"""The tests read NDJSON as the list of its items: in the record, in mutants, in optional parts, in values of forms."""

from typing import Any

import httpx
import pytest

from fastapi_contract.contract import Contract
from support.edited_contract import Document, contract
from support.mutants import mutants_of
from support.mutations import Trial
from support.ndjson import items_of, to_lines
from support.operations import Form, encoded, examples_of
from support.optional_parts import OptionalParts
from support.recording import Recording

NDJSON = "application/x-ndjson"
LINE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["size"],
    "properties": {"size": {"type": "integer", "minimum": 1}, "kind": {"type": "string", "enum": ["a", "b"]}},
}


def contract_of(media: dict[str, Any]) -> Contract:
    def edit(document: Document) -> None:
        document["components"]["schemas"]["Line"] = LINE
        document["paths"]["/lines"] = {
            "post": {
                "operationId": "echoLines",
                "security": [],
                "requestBody": {"required": True, "content": {NDJSON: {**media, "x-max-items": 3}}},
                "responses": {
                    "200": {"description": "The lines.", "content": {NDJSON: media, "text/csv": {"schema": {}}}},
                    "422": document["paths"]["/api/{user_id}/tasks"]["post"]["responses"]["422"],
                },
            }
        }

    return contract(edit)


@pytest.fixture(scope="module")
def lines() -> Contract:
    return contract_of({"schema": {"$ref": "#/components/schemas/Line"}})


@pytest.fixture
def form() -> Form:
    # Inline, because the values of a form are those of the service's contract.
    return Form(contract_of({"schema": LINE}).operations["echoLines"], NDJSON)


def survivors(lines: Contract, *bodies: tuple[int, str, Any]) -> set[str]:
    """The mutants of a line that requests and responses do not kill. A body is a status, what is sent and what is
    answered, which is a list of items or a problem."""
    recording = Recording(lines.document)
    for status, sent, answer in bodies:
        request = httpx.Request("POST", "http://test/lines", content=sent.encode(), headers={"Content-Type": NDJSON})
        media_type = NDJSON if status == 200 else "application/problem+json"
        response = httpx.Response(status, request=request, headers={"Content-Type": media_type})
        recording.add("echoLines", request, response, answer)
    mutants = [mutant for mutant in mutants_of(lines.document) if mutant.text.startswith("Line.")]
    return {*Trial(recording.exchanges, lines).of(mutants).survivors}


def test_line_within_its_bounds_kills_tighter_mutants(lines: Contract) -> None:
    killed = survivors(lines) - survivors(lines, (200, '{"size": 9}\n{"size": 1}\n', [{"size": 9}, {"size": 1}]))
    assert killed >= {"Line.size.minimum were 2", "Line.kind were required", "Line.size were string"}
    assert not killed & {"Line.size.minimum were 0", "Line.kind had no value a"}


def test_line_outside_its_bounds_kills_looser_mutants(lines: Contract) -> None:
    problem = {"errors": [{"code": "too_small", "limit": 1, "pointer": "#/1/size"}]}
    assert "Line.size.minimum were 0" in survivors(lines)
    assert "Line.size.minimum were 0" not in survivors(lines, (422, '{"size": 9}\n{"size": 0}\n', problem))


def test_item_of_a_response_kills_mutants(lines: Contract) -> None:
    killed = survivors(lines) - survivors(lines, (200, '{"size": 9}\n', [{"size": 9}, {"size": 9, "kind": "b"}]))
    assert {"Line.kind had no value b", "Line.kind were integer"} <= killed


def test_line_at_a_bound_is_another_exchange(lines: Contract) -> None:
    recording = Recording(lines.document)
    for number, count in ((70_001, 1), (70_002, 1), (1, 2)):
        sent = to_lines([{"size": 70_000}, {"size": number}]).decode()
        request = httpx.Request("POST", "http://test/lines", content=sent.encode(), headers={"Content-Type": NDJSON})
        recording.add("echoLines", request, httpx.Response(200, request=request), None)
        assert len(recording.exchanges) == count, sent


def test_optional_parts_of_a_stream_are_those_of_its_items(lines: Contract) -> None:
    operation = lines.document["paths"]["/lines"]["post"]
    parts = OptionalParts(lines.document)
    of_lines = {f"the value {value} of Line.kind" for value in "ab"} | {"the member Line.kind"}
    assert of_lines <= parts.promised()
    found = {*parts.of(operation, "200", {}, [{"size": 1}, {"size": 1, "kind": "b"}], NDJSON)}
    assert found == {f"a request of echoLines in {NDJSON}", "the member Line.kind", "the value b of Line.kind"}


def test_example_of_a_form_is_one_line(form: Form) -> None:
    body, media_type = encoded(form, examples_of(form)[0])
    assert (items_of(body.decode()), media_type) == ([{"size": 1, "kind": "a"}], NDJSON)


def test_values_inside_a_form_are_bodies_of_one_line(form: Form) -> None:
    assert [{"size": 1}] in form.inside()
    assert {len(value) for value in form.inside()} == {1}


def test_values_outside_a_form_are_lines(form: Form) -> None:
    outside = {(each.code, each.path): each.value for each in form.outside()}
    assert outside["too_small", (0, "size")] == [{"size": 0, "kind": "a"}]
    assert outside["too_many", ()] == [{"size": 1, "kind": "a"}] * 4
    assert all(isinstance(value, list) and value for value in outside.values())


@pytest.mark.parametrize(
    ("media_type", "text"),
    [
        pytest.param(NDJSON, '{"a": "\\u2028"}\n2\n', id="ndjson"),
        pytest.param(NDJSON, '{"a": "\\u2028"}\n2', id="ndjson without its last end"),
        pytest.param("text/event-stream", 'data: {"a": "\\u2028"}\n\ndata: 2\n\n', id="events"),
    ],
)
def test_items_are_read_from_text(media_type: str, text: str) -> None:
    assert items_of(text, media_type) == [{"a": "\u2028"}, 2]


def test_items_of_no_text_are_none() -> None:
    assert items_of("") == items_of(to_lines([]).decode()) == []

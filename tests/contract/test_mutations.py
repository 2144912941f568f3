"""A mutant of the contract is killed by the requests and responses that tell it from the contract, and by no others."""

from typing import Any

import httpx
import pytest

from fastapi_contract.contract import Contract, Operation
from support.contract_watch import ContractWatch
from support.edited_contract import ITEM, Document, contract
from support.mutants import mutants_of
from support.mutations import Result, Trial
from support.operations import CONTRACT, OPERATIONS, WITH_BODY, Form, send, tasks
from support.recording import Recording
from support.service import Service

MUTANTS = {mutant.text: mutant for mutant in mutants_of(CONTRACT.document)}
PUBLIC = [operation for operation in OPERATIONS if not operation.security]


@pytest.fixture
def watch() -> ContractWatch:
    return ContractWatch()


@pytest.fixture
def recorded_client(service: Service, user: str, watch: ContractWatch) -> httpx.Client:
    """A client whose requests alone are on the record."""
    client = service.client(user)
    client.event_hooks = {"response": [watch.observe]}
    return client


def survivors(watch: ContractWatch, *texts: str) -> set[str]:
    return {*Trial(watch.recording.exchanges).of([MUTANTS[text] for text in texts]).survivors}


TIGHTER, LOOSER = "Title.maxLength were 199", "Title.maxLength were 201"


def test_title_of_200_characters_kills_the_tighter_bound_only(
    recorded_client: httpx.Client, user: str, watch: ContractWatch
) -> None:
    recorded_client.post(tasks(user), json={"title": "x" * 199})
    assert survivors(watch, TIGHTER, LOOSER) == {TIGHTER, LOOSER}
    recorded_client.post(tasks(user), json={"title": "x" * 200})
    assert survivors(watch, TIGHTER, LOOSER) == {LOOSER}


def test_title_of_201_characters_kills_the_looser_bound_only(
    recorded_client: httpx.Client, user: str, watch: ContractWatch
) -> None:
    recorded_client.post(tasks(user), json={"title": "x" * 201})
    assert survivors(watch, TIGHTER, LOOSER) == {TIGHTER}


def test_bound_that_changes_only_the_code_of_an_error_is_killed(
    recorded_client: httpx.Client, user: str, watch: ContractWatch
) -> None:
    recorded_client.post(tasks(user), json={"title": ""})
    assert survivors(watch, "Title.minLength were 0", TIGHTER) == {TIGHTER}


def test_requests_that_look_alike_are_recorded_once(
    recorded_client: httpx.Client, user: str, watch: ContractWatch
) -> None:
    for limit in (60, 70):
        recorded_client.get(tasks(user), params={"limit": limit})
    assert len(watch.recording.exchanges) == 1


def test_record_has_no_credentials(recorded_client: httpx.Client, user: str, watch: ContractWatch) -> None:
    recorded_client.get(tasks(user))
    [exchange] = watch.recording.exchanges
    assert recorded_client.headers["Authorization"].removeprefix("Bearer ") not in exchange


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        pytest.param(
            TIGHTER,
            "a test must send or receive Title exactly at maxLength: 200 (createTask, runTaskBatch, importTasks, ...)",
            id="request and response",
        ),
        pytest.param(
            LOOSER,
            "a test must send Title just outside maxLength: 201, and get 422 "
            "(createTask, runTaskBatch, importTasks, ...)",
            id="request",
        ),
        pytest.param(
            "Count.minimum were 1",
            "a test must receive Count exactly at minimum: 0 (listTasks 200, importTasks 200, listLabels 200, ...)",
            id="response",
        ),
    ],
)
def test_survivor_is_reported_with_its_line_and_what_kills_it(text: str, remedy: str) -> None:
    mutant = MUTANTS[text]
    line = CONTRACT.line("#/" + "/".join(mutant.place))
    assert Trial([]).sentence(mutant) == f"{line}: no test would notice if {text}: {remedy}"


def test_each_mutant_has_a_text_of_its_own() -> None:
    """A waiver names one mutant."""
    assert len(MUTANTS) == len(list(mutants_of(CONTRACT.document)))


class TestErrorsOfARun:
    def result(self, *survivors: str, unreached: int = 0) -> Result:
        return Result(100, {each: f"no test would notice if {each}" for each in survivors}, 100, ["x"] * unreached)

    def test_survivor_without_a_waiver_is_an_error(self) -> None:
        assert self.result("a", "b").errors({"a": "because"}) == ["no test would notice if b"]

    def test_waiver_of_a_killed_mutant_is_an_error(self) -> None:
        assert self.result().errors({"a": "because"}) == [
            "the waiver for 'a' in tests/support/waivers.py is not needed: remove it"
        ]

    def test_too_many_waivers_are_an_error(self) -> None:
        waivers = dict.fromkeys("abc", "because")
        assert self.result("a", "b").errors({each: waivers[each] for each in "ab"}) == []
        [error] = self.result("a", "b", "c").errors(waivers)
        assert error == "less than 98% of the mutants are killed: write tests instead of waivers"

    def test_too_few_reached_keywords_are_an_error_that_names_the_others(self) -> None:
        assert self.result(unreached=5).errors({}) == []
        [error] = self.result(unreached=6).errors({})
        assert error.startswith("responses reach less than 95% of the keywords. No response would be wrong if x; x")


class TestConditionalRequests:
    """The tool needs no edit for header parameters, responses without a body and new operations."""

    @pytest.fixture
    def conditional(self) -> Contract:
        tag: Any = {"type": "string", "minLength": 3, "maxLength": 20, "pattern": '^"[0-9]+"$', "examples": ['"1"']}
        parameter = {"name": "If-None-Match", "in": "header", "description": "x", "schema": tag, "example": '"1"'}

        def edit(document: Document) -> None:
            headers = {"ETag": {"description": "x", "required": True, "schema": tag, "example": '"1"'}}
            operation = document["paths"][ITEM]["get"]
            operation["parameters"] = [parameter]
            operation["responses"]["304"] = {"description": "Not modified.", "headers": headers}
            responses = {**operation["responses"], "409": operation["responses"]["404"]}
            restore = {**operation, "operationId": "restoreTask", "responses": responses}
            document["paths"][f"{ITEM}/restore"] = {
                "parameters": document["paths"][ITEM]["parameters"],
                "post": restore,
            }

        return contract(edit)

    def survivors(self, contract: Contract, *exchanges: tuple[str, httpx.Response]) -> set[str]:
        recording = Recording(contract.document)
        for operation, response in exchanges:
            answer = response.json() if response.content else None
            recording.add(operation, response.request, response, answer)
        mutants = [each for each in mutants_of(contract.document) if "304" in each.text or "If-None" in each.text]
        return {*Trial(recording.exchanges, contract).of(mutants).survivors}

    def exchange(self, status: int, tag: str, **response: Any) -> tuple[str, httpx.Response]:
        headers = {"Authorization": "Bearer x", "If-None-Match": tag}
        request = httpx.Request("GET", "http://test/api/a/tasks/1", headers=headers)
        return "getTask", httpx.Response(status, request=request, **response)

    def test_304_kills_its_status_its_header_and_the_upper_bound_of_its_condition(self, conditional: Contract) -> None:
        tag = f'"{"1" * 18}"'
        killed = self.survivors(conditional) - self.survivors(
            conditional, self.exchange(304, tag, headers={"ETag": tag})
        )
        assert killed == {
            "getTask had no 304",
            "the header ETag of getTask.304 had another name",
            "getTask.304.ETag.maxLength were 19",
            "getTask.If-None-Match.maxLength were 19",
        }

    def test_400_to_a_malformed_condition_kills_its_pattern_and_its_name(self, conditional: Contract) -> None:
        answer = self.exchange(400, "abc", json={"type": "/problems/invalid-request"})
        killed = self.survivors(conditional) - self.survivors(conditional, answer)
        assert killed >= {"getTask.If-None-Match had no pattern", "getTask.If-None-Match had another name"}

    def test_new_operation_has_mutants(self, conditional: Contract) -> None:
        assert "restoreTask had no 409" in {mutant.text for mutant in mutants_of(conditional.document)}


@pytest.mark.parametrize("operation", PUBLIC, ids=lambda operation: operation.id)
def test_public_operation_needs_no_credentials(service: Service, operation: Operation) -> None:
    assert send(service.client(), operation, "alex").status_code == 200


@pytest.mark.parametrize("form", WITH_BODY, ids=lambda form: form.id)
def test_body_in_another_media_type_is_415(client: httpx.Client, user: str, form: Form) -> None:
    answer = send(client, form, user, content=b"{}", headers=[("Content-Type", "text/x-other")])
    assert answer.status_code == 415


def test_flag_that_is_neither_true_nor_false_is_422(client: httpx.Client) -> None:
    assert client.get("/health/ready", params={"check": "yes"}).status_code == 422

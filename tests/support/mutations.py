"""Tries whether the requests and responses of a run tell the contract from others that differ in one place.

python -m support.mutations reports/traffic.jsonl
"""

import json
import sys
from collections import defaultdict
from collections.abc import Collection, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema_rs
from starlette.datastructures import Headers
from starlette.types import Message

from fastapi_contract.contract import Contract, ContractError, operations_of, security_of
from fastapi_contract.openapi.document import line_of, resolve
from fastapi_contract.openapi.schema_types import json_types
from fastapi_contract.openapi.servers import base_path
from fastapi_contract.paths import Paths
from fastapi_contract.problems import Problem, ValidationFailed
from fastapi_contract.validation.bodies import RequestBody
from fastapi_contract.validation.input_errors import CODES, InputError
from fastapi_contract.validation.media_types import STREAM_MEDIA_TYPES
from fastapi_contract.validation.parameters import Parameters, conversion
from support.contract_examples import examples, misfits
from support.mutants import Document, Mutant, mutants_of, parts_of
from support.operations import CONTRACT
from support.recording import Exchange
from support.waivers import MUTANT_WAIVERS

VALID = {304, 404, 409, 410, 412, 428}
"""Statuses of requests that keep the contract, beside those of success."""
STATUSES = {"401": {401}, "400": {400}, "415": {415}, "422": {400, 422}}
"""The statuses that a rejection by the contract may have: an operation may answer 400 to a malformed header."""
MAX_PLACES = 3
"""Operations that a survivor's line names."""
KILLED = 0.98
"""The part of the mutants that a run must kill, without those that are waived."""
REACHED = 0.95
"""The part of the responses' keywords that a run must reach."""

Answer = tuple[str, frozenset[tuple[str, str]]]
"""What a contract decides about a request, and the code and place of each error in its input."""


class Judge:
    """Judges recorded requests and responses by one contract."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._base = base_path(document.get("servers", ()))
        self._operations = {
            (path, method): (item, spec)
            for path, method, item, spec in operations_of(document)
            if "operationId" in spec
        }
        self._by_id = {spec["operationId"]: spec for _, spec in self._operations.values()}
        self._paths = Paths({path for path, _ in self._operations})
        self._readers: dict[str, tuple[Parameters, RequestBody | None, bool]] = {}
        self._validators: dict[tuple[str, str], Any] = {}

    def request(self, exchange: Exchange) -> Answer:
        """Return what the contract decides: "valid", another operation, or a key of STATUSES."""
        found = self._paths.find(exchange["path"].removeprefix(self._base))
        key = (found[0].template, exchange["method"].lower()) if found else ("", "")
        if found is None or key not in self._operations:
            return "no operation", frozenset()
        item, spec = self._operations[key]
        security = security_of(self._document, spec)
        is_rejected = exchange["status"] == 401 if exchange["has_credentials"] else {} not in security
        if security and is_rejected:
            return "401", frozenset()
        if exchange["operation"] != spec["operationId"]:
            return "another operation", frozenset()
        try:
            return self._input(exchange, item, spec, found[1])
        except ValidationFailed as invalid:
            return "422", frozenset(map(_code_and_place, (error.members() for error in invalid.errors)))
        except Problem as problem:
            return str(problem.status), frozenset()

    def breaks(self, exchange: Exchange) -> bool:
        """Whether the response breaks the contract."""
        operation, status = exchange["operation"], str(exchange["status"])
        responses = self._by_id[operation]["responses"]
        if status not in responses:
            return True
        response = resolve(self._document, responses[status])
        for name, reference in response.get("headers", {}).items():
            header, text = resolve(self._document, reference), exchange["headers"].get(name.lower())
            if text is None:
                if header.get("required"):
                    return True
                continue
            types = json_types(self._document, resolve(self._document, header["schema"]))
            if not self._is_valid((operation, f"{status} {name}"), header["schema"], conversion(types)(text)):
                return True
        media_type = exchange["headers"].get("content-type", "").partition(";")[0]
        content = response.get("content", {})
        if media_type and media_type not in content:
            return True
        schema, answer = content.get(media_type, {}).get("schema", {}), exchange["answer"]
        values = answer if media_type in STREAM_MEDIA_TYPES else [answer] if answer is not None else []
        return not all(self._is_valid((operation, f"{status} {media_type}"), schema, value) for value in values)

    def _input(self, exchange: Exchange, item: Document, spec: Document, values: dict[str, Any]) -> Answer:
        parameters, body, requires_body = self._reader(item, spec)
        errors: list[InputError] = []
        parameters.read_path(values, errors)
        parameters.read_query(exchange["query"].encode("latin-1"), errors)
        parameters.read_headers(Headers(exchange["request_headers"]).raw, errors)
        if errors:
            raise ValidationFailed(errors)
        if body is None or exchange["body"] is None:
            return "valid", frozenset()
        content = exchange["body"].encode("latin-1")
        headers = [(b"content-type", each.encode("latin-1")) for each in exchange["media_types"]]

        async def receive() -> Message:
            return {"type": "http.request", "body": content}

        _completed(body.read(dict(headers), headers, receive))
        if requires_body and not content:
            raise ValidationFailed([InputError("required", "", pointer="#")])
        return "valid", frozenset()

    def _reader(self, item: Document, spec: Document) -> tuple[Parameters, RequestBody | None, bool]:
        name = spec["operationId"]
        if name not in self._readers:
            each = [*item.get("parameters", ()), *spec.get("parameters", ())]
            parameters = Parameters(self._document, [resolve(self._document, parameter) for parameter in each])
            body = resolve(self._document, spec.get("requestBody", {}))
            reader = RequestBody(self._document, body) if body else None
            self._readers[name] = parameters, reader, body.get("required", False)
        return self._readers[name]

    def _is_valid(self, key: tuple[str, str], schema: Document, value: Any) -> bool:
        if key not in self._validators:
            whole = {**schema, "components": {"schemas": self._document["components"]["schemas"]}}
            self._validators[key] = jsonschema_rs.Draft202012Validator(whole, validate_formats=True)
        valid: bool = self._validators[key].is_valid(value)
        return valid


@dataclass
class Result:
    """Which mutants the exchanges of a run do not tell from the contract."""

    tried: int
    survivors: dict[str, str]
    """By text: the sentence for people."""
    for_responses: int
    unreached: list[str]
    """The mutants that narrow a keyword of a response, and that no response breaks: "Title.maxLength were 199"."""

    @property
    def lines(self) -> list[str]:
        killed, reached = self.tried - len(self.survivors), self.for_responses - len(self.unreached)
        return [
            f"{killed} of {self.tried} mutants of openapi.yaml are killed: {100 * killed / self.tried:.1f} %.",
            f"Responses reach {reached} of {self.for_responses} keywords: {100 * reached / self.for_responses:.1f} %.",
        ]

    def errors(self, waivers: Mapping[str, str]) -> list[str]:
        """Return an error for each survivor without a waiver and each waiver that is not needed, one if there are too
        many waivers, and one that names the keywords that no response has reached, if these are too many."""
        errors = [sentence for text, sentence in self.survivors.items() if text not in waivers]
        errors += [
            f"the waiver for {text!r} in tests/support/waivers.py is not needed: remove it"
            for text in sorted(waivers.keys() - self.survivors.keys())
        ]
        if len(self.survivors) > (1 - KILLED) * self.tried:
            errors.append(f"less than {KILLED:.0%} of the mutants are killed: write tests instead of waivers")
        if len(self.unreached) > (1 - REACHED) * self.for_responses:
            errors.append(f"responses reach less than {REACHED:.0%} of the keywords. {self.unreached_line}")
        return errors

    @property
    def unreached_line(self) -> str:
        return f"No response would be wrong if {'; '.join(self.unreached)}."


class Trial:
    """Tries mutants of a contract on the exchanges of a run."""

    def __init__(self, exchanges: Iterable[str], contract: Contract = CONTRACT) -> None:
        self._contract = contract
        judge = Judge(contract.document)
        self._parts = parts_of(contract.document)
        self._responses: dict[tuple[str, str], list[Exchange]] = defaultdict(list)
        self._requests: dict[str, list[tuple[Exchange, Answer]]] = defaultdict(list)
        for exchange in map(json.loads, exchanges):
            self._responses[exchange["operation"], str(exchange["status"])].append(exchange)
            answer = judge.request(exchange)
            if _agrees(exchange, answer):
                self._requests[exchange["operation"]].append((exchange, answer))

    def of(self, mutants: Collection[Mutant]) -> Result:
        survivors, unreached = {}, []
        for mutant in mutants:
            document = mutant.of(self._contract.document)
            judge = Judge(document)
            is_reached = mutant.is_for_responses and self._has_broken_response(mutant, judge)
            if mutant.is_for_responses and not is_reached:
                unreached.append(mutant.text)
            if not is_reached and not self._has_other_answer(mutant, judge) and not _fails_without_service(document):
                survivors[mutant.text] = self.sentence(mutant)
        return Result(len(mutants), survivors, sum(each.is_for_responses for each in mutants), unreached)

    def sentence(self, mutant: Mutant) -> str:
        """Return what a test must send or receive, and where, so that the mutant is killed."""
        line = line_of(self._contract.lines, mutant.place)
        parts = [part for part in self._parts if part.has(mutant.place)]
        remedy = mutant.remedy
        if remedy.startswith("send or receive") and all(part.status for part in parts):
            remedy = remedy.removeprefix("send or ")
        if remedy.startswith("send "):
            # A request is easier to make than a response is to cause.
            parts = [part for part in parts if part.status is None]
        where = [f"{part.operation} {part.status or ''}".rstrip() for part in parts][:MAX_PLACES]
        places = f" ({', '.join(where)}{', ...' if len(parts) > MAX_PLACES else ''})" if where else ""
        return f"{line}: no test would notice if {mutant.text}: a test must {remedy}{places}"

    def _has_broken_response(self, mutant: Mutant, judge: Judge) -> bool:
        keys = [(part.operation, part.status) for part in self._parts if part.status and part.has(mutant.place)]
        return any(judge.breaks(exchange) for key in keys for exchange in self._responses[key])

    def _has_other_answer(self, mutant: Mutant, judge: Judge) -> bool:
        return any(
            judge.request(exchange) != answer
            for operation in self._operations(mutant)
            for exchange, answer in self._requests[operation]
        )

    def _operations(self, mutant: Mutant) -> Sequence[str]:
        """The operations whose requests a mutant may change."""
        place = mutant.place
        if place[0] != "components" and (len(place) < 3 or place[3:] == ("security",)):
            return list(self._requests)
        return [part.operation for part in self._parts if part.status is None and part.has(place)]


def _agrees(exchange: Exchange, answer: Answer) -> bool:
    """Whether the service decided as the contract: it has rules of its own, such as that two parameters exclude each
    other."""
    decision, errors = answer
    status, body = exchange["status"], exchange["answer"]
    if decision == "valid":
        return 200 <= status < 300 or status in VALID
    if status not in STATUSES.get(decision, ()):
        return False
    # The tests compare code, limit and place of each error: see test_every_bound.py. A 422 of another type has none.
    return status != 422 or body is None or frozenset(map(_code_and_place, body.get("errors", ()))) == errors


def _code_and_place(error: Mapping[str, Any]) -> tuple[str, str]:
    return error["code"], error.get("pointer", error.get("parameter", ""))


def _fails_without_service(document: Document) -> bool:
    """Whether the contract is rejected at the start, or by a test that sends no request."""
    try:
        Contract.parse(json.dumps(document).encode())
    except ContractError:
        return True
    error = document["components"]["schemas"].get("InputError", {})
    return (
        any(misfits(document, schema, example) for _, schema, example in examples(document))
        # See test_codes_are_those_of_the_contract.
        or error.get("properties", {}).get("code", {}).get("enum", list(CODES)) != list(CODES)
    )


def _completed(coroutine: Coroutine[Any, Any, Any]) -> None:
    """Run a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise RuntimeError


def try_all(exchanges: Iterable[str]) -> Result:
    """Try all mutants of the service's contract, which takes five seconds."""
    return Trial(exchanges).of(list(mutants_of(CONTRACT.document)))


def main() -> int:
    result = try_all(Path(sys.argv[1]).read_text(encoding="utf-8").splitlines())
    errors = result.errors(MUTANT_WAIVERS)
    waived = [f"{line} [{MUTANT_WAIVERS[text]}]" for text, line in result.survivors.items() if text in MUTANT_WAIVERS]
    lines = [*result.lines, result.unreached_line, "", "Survivors with a reason:", *waived, "", "Errors:", *errors]
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if errors else 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Checks each response that a test receives against the contract, and records which promised responses were seen."""

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import FailureGroup
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from fastapi_contract.contract import operations_of
from fastapi_contract.openapi.document import read
from fastapi_contract.openapi.servers import base_path
from fastapi_contract.validation.media_types import STREAM_MEDIA_TYPES
from support import ROOT
from support.ndjson import items_of
from support.optional_parts import OptionalParts
from support.recording import Recording

CHECKS = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]

MAX_ITEMS = 100
"""Items of a stream that are recorded."""
Promise = tuple[str, int, str]
"""An operationId, one of the statuses that it documents, and what such a response must have: a media type, a required
header ("the header Location"), or nothing more."""


class BrokenContractError(AssertionError):
    """A response differs from openapi.yaml."""


class ContractWatch:
    """Checks responses against a contract, and records the promises that they keep in `seen`.

    `is_working` is whether it is the contract that the service has: a problem must have the title of an example, and
    `API-Version` must be the contract's version.
    """

    def __init__(self, path: Path = ROOT / "generated/openapi.yaml", *, is_working: bool = True) -> None:
        self._is_working = is_working
        self.document: dict[str, Any] = read(path.read_bytes()).root
        # Without an explicit configuration, schemathesis would load the fuzzer's.
        self.schema = schemathesis.openapi.from_path(path, config=SchemathesisConfig())
        self.seen: set[Promise] = set()
        self.recording = Recording(self.document)
        self._optional = OptionalParts(self.document)
        self.parts: set[str] = set()
        """The optional members, headers and enum values of the responses so far, and the media types of the
        requests."""

    @property
    def promised(self) -> set[Promise]:
        return {
            (operation["operationId"], int(status), part)
            for _, _, _, operation in operations_of(self.document)
            for status, response in operation["responses"].items()
            for part in ("", *self._parts(self.resolve(response)))
        }

    def _parts(self, response: Mapping[str, Any]) -> Iterator[str]:
        """Yield the media types and the required headers of a documented response."""
        yield from response.get("content", {})
        headers = response.get("headers", {})
        yield from (f"the header {name}" for name in headers if self.resolve(headers[name]).get("required"))

    @property
    def problem_types(self) -> set[str]:
        """Those of operations, in the schemas of problems, and those of other paths, in the introduction."""
        members = [each.get("properties", {}) for each in self.document["components"]["schemas"].values()]
        problems = [each["type"] for each in members if {"type", "request_id"} <= each.keys()]
        types = {each for schema in problems for each in schema.get("enum", [schema.get("const")])}
        return types | {*re.findall("`(/problems/[a-z-]+)`", self.document["info"].get("description", ""))}

    def observe(self, response: httpx.Response) -> None:
        """Check and record a response, as an event hook of httpx. Raises BrokenContractError."""
        response.read()
        self._observe_common(response)
        operation = self._find(response.request)
        if operation is None:
            self._observe_outside_operations(response)
            return
        if response.request.method != "HEAD":
            raw = operation.definition.raw
            request = response.request
            sent = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            # Drop the request's body, because schemathesis would read it, and a streamed body can be read only once.
            response.request = httpx.Request(request.method, request.url)
            is_stream = response.headers.get("content-type", "").partition(";")[0] in STREAM_MEDIA_TYPES
            # Schemathesis takes the schema of an event stream for that of the event around an item.
            checks = [check for check in CHECKS if not (is_stream and check is response_schema_conformance)]
            names = [parameter.name for parameter in operation.path_parameters]
            case = operation.Case(path_parameters=dict.fromkeys(names, "1"))
            try:
                case.validate_response(response, checks=checks)
            except FailureGroup as failures:
                raise BrokenContractError(f"{operation.label}: {failures}") from None
            body: Any = None
            if is_stream:
                body = self._items(operation, response)[:MAX_ITEMS]
            elif response.status_code >= 400 and self._is_working:
                self._observe_problem(operation, response)
            is_json = not is_stream and response.headers.get("content-type", "").endswith("json")
            if is_json and response.content:
                body = response.json()
            self.parts |= {*self._optional.of(raw, str(response.status_code), response.headers, body, sent)}
            self.recording.add(raw["operationId"], request, response, body)
            self._observe_promises(raw, response)

    def _observe_promises(self, operation: dict[str, Any], response: httpx.Response) -> None:
        documented = self.resolve(operation["responses"][str(response.status_code)])
        media_type = response.headers.get("content-type", "").partition(";")[0]
        headers = {f"the header {name.lower()}" for name in response.headers}
        for part in ("", *self._parts(documented)):
            if part in {"", media_type} or part.lower() in headers:
                self.seen.add((operation["operationId"], response.status_code, part))

    def unseen(self, seen: Iterable[Promise], waivers: Mapping[tuple[str, int], str]) -> list[str]:
        """Return an error for each promise that was never seen, and for each waiver that is not needed. A waiver holds
        for all that is promised of a status."""
        seen, promised = set(seen), self.promised
        never = sorted(each for each in promised - seen if each[:2] not in waivers)
        # The parts of a response that was not seen are not reported with it.
        reported = [each for each in never if not each[2] or (*each[:2], "") in seen]
        needless = sorted(each for each in waivers if (*each, "") in seen or (*each, "") not in promised)
        return [
            f"{operation} promises {part and f'{part} of '}{status}, and no test has seen it: add a test, or a waiver "
            "with its reason in tests/support/waivers.py"
            for operation, status, part in reported
        ] + [f"the waiver for {operation} {status} is not needed: remove it" for operation, status in needless]

    def unseen_parts(self, parts: Iterable[str], waivers: Mapping[str, str]) -> list[str]:
        """Return an error for each optional member, header and enum value, and each media type of a request, that was
        never seen, and for each waiver that is not needed."""
        promised, parts = self._optional.promised(), set(parts)
        never = sorted(promised - parts - waivers.keys())
        needless = sorted(waivers.keys() & parts | waivers.keys() - promised)
        return [
            f"no test has seen {part}: add a test, or a waiver with its reason in tests/support/waivers.py"
            for part in never
        ] + [f"the waiver for {part} is not needed: remove it" for part in needless]

    def _find(self, request: httpx.Request) -> APIOperation[Any, Any, Any, Any] | None:
        method = "GET" if request.method == "HEAD" else request.method
        # Decoded, as in the server: %2F is a slash.
        base, path = base_path(self.document.get("servers", ())), request.url.path
        if not path.startswith(f"{base}/"):
            return None
        return self.schema.find_operation_by_path(method, path.removeprefix(base))

    def _observe_common(self, response: httpx.Response) -> None:
        """Check the headers and the problem that the contract's `info` promises for every response."""
        for header, value in (
            ("x-content-type-options", "nosniff"),
            ("x-request-id", None),
            ("api-version", self.document["info"]["version"] if self._is_working else None),
        ):
            if header not in response.headers or value not in (None, response.headers[header]):
                raise BrokenContractError(f"{response.request.url.path}: {header} is missing or wrong")
        if "cache-control" not in response.headers:
            raise BrokenContractError(f"{response.request.url.path}: cache-control is missing")
        if response.status_code >= 400:
            if response.headers.get("content-type") != "application/problem+json":
                raise BrokenContractError(f"{response.status_code} is not a problem: {response.headers}")
            if response.request.method != "HEAD":
                problem, request_id = response.json(), response.headers["x-request-id"]
                if (problem["instance"], problem["request_id"]) != (f"/requests/{request_id}", request_id):
                    raise BrokenContractError(f"{problem} does not name the request {request_id}")

    def _observe_outside_operations(self, response: httpx.Response) -> None:
        """Check the problem type of a response to an unknown path or method, or to a page."""
        if response.status_code >= 400 and response.request.method != "HEAD":
            problem_type = response.json()["type"]
            if problem_type not in self.problem_types:
                raise BrokenContractError(f"{problem_type} is not a problem type of the contract")

    def _items(self, operation: APIOperation[Any, Any, Any, Any], response: httpx.Response) -> list[Any]:
        """Return the items of a stream, after a check of each against the schema of its media type."""
        media_type = response.headers["content-type"].partition(";")[0]
        documented = self.resolve(operation.definition.raw["responses"][str(response.status_code)])["content"]
        schema = {**documented[media_type]["schema"], "components": self.document.get("components", {})}
        validator = jsonschema_rs.Draft202012Validator(schema)
        items = items_of(response.text, media_type)
        for item in items:
            error = next(validator.iter_errors(item), None)
            if error is not None:
                raise BrokenContractError(f"{operation.label}: an item of the stream: {error.message}")
        return items

    def _observe_problem(self, operation: APIOperation[Any, Any, Any, Any], response: httpx.Response) -> None:
        """Check that type, title and status of a problem equal those of an example of its response."""
        answer = self.resolve(operation.definition.raw["responses"][str(response.status_code)])
        examples: Collection[Any] = [
            self.resolve(example)["value"]
            for example in answer["content"]["application/problem+json"]["examples"].values()
        ]
        problem = response.json()
        documented = [{key: each[key] for key in ("type", "title", "status")} for each in examples]
        if {key: problem[key] for key in ("type", "title", "status")} not in documented:
            raise BrokenContractError(f"{operation.label}: {json.dumps(problem)} equals no example")

    def resolve(self, node: dict[str, Any]) -> dict[str, Any]:
        """Return the target of a `$ref`, or the node itself if it has none."""
        while "$ref" in node:
            target: Any = self.document
            for part in node["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            node = target
        return node

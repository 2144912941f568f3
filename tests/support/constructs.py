"""Constructs of OpenAPI, one file each in tests/contract/constructs: a whole contract made of each, and its code.

A file has these keys:

    title     the construct, as it appears in docs/constructs.md
    contract  `paths`, `components` and other fields of a contract. Responses of the engine's own problems are added
    body      instead of `contract` and `handlers`: the schema of a JSON body, which comes back as it was sent;
              `components` has further schemas. `right` is a list of bodies, `wrong` a map from a place to bodies
    query     instead of `contract` and `handlers`: a query parameter, with its schema. `right` is a map from a query
              to the text of what the handler receives, `wrong` a list of queries
    files     further files beside the contract, by their names
    replace   a text and what takes its place in the YAML, for constructs that are a notation of YAML itself
    handlers  the handlers, as a developer writes them
    right     requests, and what they must return: `call`, `json` or `text`, `headers`; `status` (200), `result`, `with`
    wrong     requests, and the problem that they must return: `status` (422), `at` (the places of all errors)
    rejected  instead of the other three: `line`, the text of the line that is named, and `message`, what it says
"""

import contextlib
import importlib
import io
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml
from datamodel_code_generator.__main__ import main as generate_models

from fastapi_contract.contract import Contract
from fastapi_contract.generation import codegen
from fastapi_contract.generation.generator_input import Generator, generator_input
from fastapi_contract.openapi.document import place_of, read, resolve, value_at
from fastapi_contract.openapi.openapi_objects import METHODS
from fastapi_contract.openapi.servers import base_path
from support import ROOT

DOCS = ROOT / "docs/constructs.md"
FOLDER = ROOT / "tests/contract/constructs"
PACKAGE = "generated_constructs"
"""Has a package for each construct, with the modules models, operations and handlers."""
_NOTES = ROOT / "tests/engine/notes.yaml"

_DOCS_HEADER = """# Constructs of OpenAPI

What an `openapi.yaml` may contain. Each construct below either works from the contract to the wire, or stops the start
with the sentence that is shown here, preceded by `openapi.yaml:` and the line. Each has a file in
`tests/contract/constructs`, and a test that tries it. `make constructs` writes this page.

| construct | what happens |
|---|---|"""

_HANDLERS = '''"""{title}."""

import json
from collections.abc import AsyncIterator
from datetime import date, datetime, time
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Body, Cookie, Depends, Header, Path, Query, Request, Response
from pydantic import MISSING

from fastapi_contract.contract import Contract
from fastapi_contract.responses.negotiation import AcceptedMediaType
from fastapi_contract.problems import InvalidRequest
from fastapi_contract.router import ContractRouter
from {package} import models, operations
from support.construct_guards import GUARDS, called_by

contract = Contract.read(FilePath(__file__).with_name("openapi.yaml"))
router = ContractRouter(contract, models, GUARDS, operations)


'''
_BODY = """@router.operation("sendValue")
async def send_value(value: models.Value) -> models.Value:
    return value
"""
_QUERY = """@router.operation("readValue")
async def read_value(query: Annotated[models.ReadValueParametersQuery, Query()]) -> str:
    return str(query)
"""


@dataclass(frozen=True)
class Construct:
    """One file. Its keys are described above."""

    name: str
    spec: Mapping[str, Any]

    @property
    def title(self) -> str:
        return str(self.spec["title"])

    @property
    def handlers(self) -> str:
        return str(self.spec.get("handlers", _BODY if "body" in self.spec else _QUERY))

    @property
    def package(self) -> str:
        return f"{PACKAGE}.{self.name.replace('-', '_')}"

    @property
    def is_supported(self) -> bool:
        return "rejected" not in self.spec

    @cached_property
    def contract(self) -> str:
        """The text of the whole contract, without other files."""
        text = _yaml(_whole(self.spec))
        for old, new in self.spec.get("replace", {}).items():
            assert old in text, f"{old} is not in the contract of {self.name}"
            text = text.replace(old, new)
        return text

    @property
    def right(self) -> list[dict[str, Any]]:
        calls = self.spec["right"]
        if "body" in self.spec:
            return [{"call": "POST /value", "json": each} for each in calls]
        if "query" in self.spec:
            return [{"call": f"GET /value?{query}", "result": result} for query, result in calls.items()]
        return list(calls)

    @property
    def wrong(self) -> list[dict[str, Any]]:
        calls = self.spec["wrong"]
        if "body" in self.spec:
            return [{"call": "POST /value", "json": body, "at": at} for at, bodies in calls.items() for body in bodies]
        if "query" in self.spec:
            return [{"call": f"GET /value?{query}", "at": self.spec["query"]["name"]} for query in calls]
        return list(calls)

    def write(self, folder: Path) -> Path:
        """Writes the contract and its other files into `folder`, and returns its path."""
        path = folder / "openapi.yaml"
        path.write_text(self.contract)
        for name, value in self.spec.get("files", {}).items():
            folder.joinpath(name).write_text(_yaml(value))
        return path

    def generate(self, folder: Path) -> str:
        """Writes contract, models, answers and handlers into `folder`, and returns what was generated."""
        package = folder.joinpath(*self.package.split("."))
        package.mkdir(parents=True)
        for each in (package, package.parent):
            each.joinpath("__init__.py").touch()
        contract = Contract.read(self.write(package))
        package.joinpath("openapi.json").write_text(json.dumps(generator_input(contract.document, Generator.MODELS)))
        # The settings of codegen.sh are in pyproject.toml.
        with contextlib.chdir(ROOT), contextlib.redirect_stderr(io.StringIO()) as errors:
            status = generate_models(["--input", str(package / "openapi.json"), "--output", str(package / "models.py")])
        assert status == 0, errors.getvalue()
        with _importing_from(folder):
            models = importlib.import_module(f"{self.package}.models")
            answers = codegen.generate(contract, models)
        package.joinpath("operations.py").write_text(answers)
        head = _HANDLERS.format(title=self.title, package=self.package)
        package.joinpath("handlers.py").write_text(head + self.handlers)
        return contract.source.decode() + package.joinpath("models.py").read_text() + answers

    def load(self, folder: Path) -> ModuleType:
        """Imports the handlers after `generate`. Raises ContractError if they differ from the contract."""
        with _importing_from(folder):
            return importlib.import_module(f"{self.package}.handlers")


def constructs() -> list[Construct]:
    """All of them, in the order of their names."""
    return [Construct(path.stem, read(path.read_bytes()).root) for path in sorted(FOLDER.glob("*.yaml"))]


@contextlib.contextmanager
def _importing_from(folder: Path) -> Iterator[None]:
    """Imports the generated package from `folder`, although another folder may have been used before."""
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]
    importlib.invalidate_caches()
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def _whole(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The contract with what is the same for all constructs, and the problems of the engine."""
    piece = _piece(spec)
    components = piece.get("components", {})
    problems_at = f"{base_path(piece.get('servers', ()))}/problems"
    notes = read(_NOTES.read_bytes().replace(b"/problems", problems_at.encode())).root["components"]
    own = {name: value for name, value in notes["schemas"].items() if not name.startswith("Note")}
    types = ["no-credentials", "bad-credentials", "not-acceptable"]
    own["Problem"]["properties"]["type"]["enum"] += [f"{problems_at}/{name}" for name in types]
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": spec["title"],
            "version": "1.0.0",
            "description": spec["title"],
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/", "description": "This host."}],
        "security": [],
        "tags": [{"name": "constructs", "description": "The only tag."}],
        **piece,
        "components": {
            **components,
            "headers": {**notes["headers"], **components.get("headers", {})},
            "responses": {**components.get("responses", {})},
            "schemas": {**components.get("schemas", {}), **own},
        },
    }
    problems = {
        **notes["responses"],
        "Unauthorized": _problem(f"{problems_at}/no-credentials", "No credentials", 401),
        "NotAcceptable": _problem(f"{problems_at}/not-acceptable", "Not acceptable", 406),
        "Forbidden": _problem(f"{problems_at}/bad-credentials", "Bad credentials", 403),
    }
    for item in document["paths"].values():
        file, _, pointer = item.get("$ref", "#").partition("#")
        within = value_at(spec["files"][file], place_of(f"#{pointer}")) if file else resolve(document, item)
        for method, operation in within.items():
            if method in METHODS:
                _complete(document, operation, problems, home="openapi.yaml" if file else "")
    return document


def _complete(document: dict[str, Any], operation: dict[str, Any], problems: Mapping[str, Any], home: str) -> None:
    """Adds what each operation of a contract has, and the problems that the engine may answer it with. `home` is the
    file of the problems, if the operation is in another one."""
    name = re.sub("([A-Z])", r" \1", operation["operationId"]).capitalize()
    operation.setdefault("summary", name)
    operation.setdefault("description", f"{name}.")
    operation.setdefault("tags", ["constructs"])
    statuses = {"414": "UriTooLong", "422": "ValidationFailed", "431": "HeaderFieldsTooLarge"}
    if "requestBody" in operation:
        statuses |= {"400": "MalformedBody", "413": "ContentTooLarge", "415": "UnsupportedMediaType"}
    if operation.get("security", document["security"]):
        statuses |= {"401": "Unauthorized", "403": "Forbidden"}
    successes = [
        each if home else resolve(document, each) for status, each in operation["responses"].items() if status < "3"
    ]
    if any(len(each.get("content", ())) > 1 for each in successes):
        statuses |= {"406": "NotAcceptable"}
    for status, response in sorted(statuses.items()):
        operation["responses"].setdefault(status, {"$ref": f"{home}#/components/responses/{response}"})
        document["components"]["responses"].setdefault(response, problems[response])


def _problem(kind: str, title: str, status: int) -> dict[str, Any]:
    example = {"type": kind, "title": title, "status": status, "detail": "Send others."}
    example |= {"instance": "/requests/1", "request_id": "1"}
    return {
        "description": f"{title}.",
        "headers": {"X-Request-ID": {"$ref": "#/components/headers/RequestId"}},
        "content": {
            "application/problem+json": {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "examples": {"problem": {"value": example}},
            }
        },
    }


def _piece(spec: Mapping[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any]
    if "body" in spec:
        content = {"application/json": {"schema": {"$ref": "#/components/schemas/Value"}}}
        operation = {
            "operationId": "sendValue",
            "requestBody": {"description": "The value.", "required": True, "content": content},
            "responses": {"200": {"description": "The value.", "content": content}},
        }
        schemas = {"Value": spec["body"], **spec.get("components", {})}
        return {"paths": {"/value": {"post": operation}}, "components": {"schemas": schemas}}
    if "query" in spec:
        text = {"application/json": {"schema": {"type": "string"}}}
        operation = {
            "operationId": "readValue",
            "parameters": [{"in": "query", **spec["query"]}],
            "responses": {"200": {"description": "What the handler receives.", "content": text}},
        }
        return {"paths": {"/value": {"get": operation}}, "components": {"schemas": spec.get("components", {})}}
    piece: dict[str, Any] = spec["contract"]
    return piece


def _yaml(value: Any) -> str:
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=1000, allow_unicode=True)
    return text


class _Dumper(yaml.SafeDumper):
    """Writes the core schema of YAML 1.2: `no` and `2026-12-31` without quotes."""


_Dumper.yaml_implicit_resolvers = {}
for tag, pattern in {
    "null": "null|Null|NULL|~|",
    "bool": "true|True|TRUE|false|False|FALSE",
    "int": "[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+",
    "float": r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?",
}.items():
    _Dumper.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(f"(?:{pattern})$"), None)


def table(all_constructs: Sequence[Construct]) -> str:
    """The text of docs/constructs.md."""
    rows = [
        f"| {each.title} | {'works' if each.is_supported else 'rejected: ' + _cell(each.spec['rejected']['message'])} |"
        for each in sorted(all_constructs, key=lambda each: (not each.is_supported, each.name))
    ]
    return "\n".join([_DOCS_HEADER, *rows, ""])


def _cell(message: str) -> str:
    return message.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(table(constructs()))

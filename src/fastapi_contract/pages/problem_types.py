"""What a contract and the code say of each problem type: its meaning, an example, and the operations that have it."""

import inspect
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from fastapi_contract.contract import Contract, Operation, Schema
from fastapi_contract.openapi.document import resolve
from fastapi_contract.problems import problem_types
from fastapi_contract.responses.answers import is_json

_ID = "0193f8a2c6d87c3e9b1f4a5d6e7f8091"


@dataclass
class ProblemType:
    """A problem type."""

    name: str
    """The last segment of its URL."""
    type: str
    """With the base path, as in the responses."""
    title: str = ""
    status: int = 0
    description: str = ""
    """CommonMark. The first paragraph says what the problem means, and the rest what a client should do."""
    example: Any = None
    operations: list[tuple[Operation, str]] = field(default_factory=list)
    """With the status of the response. Empty if no operation documents it: any request may have it."""

    @property
    def meaning(self) -> str:
        return self.description.partition("\n\n")[0]

    @property
    def remedy(self) -> str:
        return self.description.partition("\n\n")[2]

    def members(self, root: str) -> dict[str, Any]:
        """Returns it for programs. `root` is the path under which clients find the service."""
        operations = [
            {
                "operation": operation.id,
                "method": operation.method,
                "path": operation.template.template,
                "status": int(status),
                "documentation": documentation_of(operation, root),
            }
            for operation, status in self.operations
        ]
        return {
            "type": self.type,
            "title": self.title,
            "status": self.status,
            "description": self.description,
            "operations": operations,
            "example": self.example,
        }


def documentation_of(operation: Operation, root: str) -> str:
    """Returns the URL of an operation in Swagger UI."""
    tag = operation.spec.get("tags", ["default"])[0]
    return f"{root}/docs#/{quote(tag, safe='')}/{quote(operation.id, safe='')}"


def described_types(contract: Contract) -> dict[str, ProblemType]:
    """Returns the problem types of the contract, and those of the classes that have been imported, by name, in the
    order of their statuses."""
    found = _Finder(contract).found
    for path, problem in problem_types().items():
        name = path.rpartition("/")[2]
        each = found.setdefault(name, ProblemType(name, contract.base_path + path))
        each.title, each.status = problem.title, problem.status
        each.description = each.description or inspect.cleandoc(problem.__doc__ or "")
    for each in found.values():
        each.title = each.title or each.name.replace("-", " ").capitalize()
        if each.example is None:
            members = {"type": each.type, "title": each.title, "status": each.status}
            request = {"instance": f"/requests/{_ID}", "request_id": _ID}
            each.example = {**members, "detail": " ".join(each.meaning.replace("`", "").split()), **request}
    return dict(sorted(found.items(), key=lambda item: (item[1].status, item[0])))


class _Finder:
    """Finds the problem types in the responses of all operations."""

    def __init__(self, contract: Contract) -> None:
        self._document = contract.document
        self._start = f"{contract.base_path}/problems/"
        self._in_media: dict[int, list[tuple[str, Schema]]] = {}
        self.found: dict[str, ProblemType] = {}
        for operation in contract.operations.values():
            for status, response in operation.responses.items():
                for media_type, media in response.get("content", {}).items():
                    if is_json(media_type):
                        self._add(operation, status, media)

    def _add(self, operation: Operation, status: str, media: Schema) -> None:
        # Responses are shared by operations.
        key = id(media)
        if key not in self._in_media:
            self._in_media[key] = list(self._types(media.get("schema", {}), set()))
        for type_, schema in self._in_media[key]:
            name = type_.removeprefix(self._start)
            each = self.found.setdefault(name, ProblemType(name, type_))
            if (operation, status) not in each.operations:
                each.operations.append((operation, status))
            if status >= "4":
                self._describe(each, int(status), schema, media)

    def _describe(self, each: ProblemType, status: int, schema: Schema, media: Schema) -> None:
        each.status = each.status or status
        # The description of a schema with several types is about all of them.
        if "const" in resolve(self._document, schema["properties"]["type"]):
            each.description = each.description or schema.get("description", "").strip()
        examples = [resolve(self._document, example).get("value") for example in media.get("examples", {}).values()]
        for example in (media.get("example"), *examples):
            if each.example is None and isinstance(example, dict) and example.get("type") == each.type:
                each.example, each.title = example, str(example.get("title", ""))

    def _types(self, node: Any, seen: set[int]) -> Iterator[tuple[str, Schema]]:
        """Yields the problem types anywhere in a schema, with the schemas that have them."""
        if isinstance(node, dict) and "$ref" in node:
            node = resolve(self._document, node)
        if not isinstance(node, (dict, list)) or id(node) in seen:
            return
        seen.add(id(node))
        if isinstance(node, dict):
            schema = node.get("properties", {}).get("type", {}) if isinstance(node.get("properties"), dict) else {}
            schema = resolve(self._document, schema)
            for value in schema.get("enum", [schema.get("const")]):
                if isinstance(value, str) and value.startswith(self._start) and "/" not in value[len(self._start) :]:
                    yield value, node
        for each in node.values() if isinstance(node, dict) else node:
            yield from self._types(each, seen)

"""The list of problem types, and a page for each: HTML for browsers, JSON for programs."""

import json
from collections.abc import Callable
from functools import cached_property, partial

from fastapi import APIRouter, Request, Response

from fastapi_contract.contract import Contract
from fastapi_contract.pages.contents import Content
from fastapi_contract.pages.layout import PAGE_HEADERS, Layout
from fastapi_contract.pages.problem_types import ProblemType, described_types, documentation_of
from fastapi_contract.problems import NotFound
from fastapi_contract.responses.negotiation import preferred
from fastapi_contract.validation.media_types import HTML

_JSON = "application/json"
_LIST = ""
"""The name of the list among those of problem types, none of which is empty."""


def install(router: APIRouter, contract: Contract, layout: Layout, root: str) -> None:
    """Adds /problems and /problems/{name}."""
    pages = _Pages(contract, layout, root)

    # Not async, so that FastAPI runs them in a thread: the first request reads the contract for the problem types.
    @router.get("/problems")
    def problem_list(request: Request) -> Response:
        return pages.respond(_LIST, request)

    @router.get("/problems/{name}")
    def problem_type(name: str, request: Request) -> Response:
        return pages.respond(name, request)


class _Pages:
    def __init__(self, contract: Contract, layout: Layout, root: str) -> None:
        self._contract = contract
        self._layout = layout
        self._root = root

    def respond(self, name: str, request: Request) -> Response:
        """Returns a page as the request prefers it: JSON, unless it prefers HTML."""
        if name not in self._by_name:
            raise NotFound(self._root)
        media_type = preferred(request.scope, (_JSON, HTML)) or _JSON
        return self._by_name[name][media_type].respond(request)

    @cached_property
    def _by_name(self) -> dict[str, dict[str, Content]]:
        types = described_types(self._contract)
        items = [each.members(self._root) for each in types.values()]
        contents = {_LIST: _contents({"items": items}, partial(self._render, "problems.html", types=types.values()))}
        for name, each in types.items():
            contents[name] = _contents(each.members(self._root), partial(self._render_one, each))
        return contents

    def _render(self, template: str, path: str = "/problems", **values: object) -> bytes:
        return self._layout.render(template, path, **values).encode()

    def _render_one(self, problem: ProblemType) -> bytes:
        example = json.dumps(problem.example, ensure_ascii=False, indent=2)
        operations = [(*each, documentation_of(each[0], self._root)) for each in problem.operations]
        path = f"/problems/{problem.name}"
        return self._render("problem.html", path, problem=problem, example=example, operations=operations)


def _contents(members: object, render: Callable[[], bytes]) -> dict[str, Content]:
    body = json.dumps(members, ensure_ascii=False)
    headers = {"Cache-Control": "no-cache", "Vary": "Accept, Accept-Encoding"}
    return {
        _JSON: Content(body.encode, _JSON, headers, is_coded=True),
        HTML: Content(render, HTML, {**PAGE_HEADERS, **headers}, is_coded=True),
    }

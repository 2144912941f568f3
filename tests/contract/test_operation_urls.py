"""URLs are built from the contract, and the code contains no path."""

import ast
import copy
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path as FilePath
from typing import Any
from urllib.parse import unquote
from uuid import UUID

import httpx
import pytest
import yaml
from todo_contract import models

from fastapi_contract.contract import Contract, Operation
from fastapi_contract.generation import codegen
from support import ROOT
from support.edited_contract import ITEM, LIST, Document, contract
from support.prefix_proxy import prefix_proxy
from support.service import SECRET
from support.serving import serving
from todo_api.auth.tokens import sign
from todo_api.contract import load_contract


class TestUrl:
    @pytest.fixture
    def operations(self) -> dict[str, Operation]:
        return contract().operations

    @pytest.mark.parametrize(
        ("value", "segment"),
        [
            pytest.param("plain-._~", "plain-._~", id="unreserved"),
            pytest.param("a/b?c#d&e=f+g%h", "a%2Fb%3Fc%23d%26e%3Df%2Bg%25h", id="reserved"),
            pytest.param("a b\n", "a%20b%0A", id="white space"),
            pytest.param("ü漢", "%C3%BC%E6%BC%A2", id="not ASCII"),
            pytest.param("{task_id}", "%7Btask_id%7D", id="braces"),
            pytest.param("..", "%2E%2E", id="dot segment"),
            pytest.param(".", "%2E", id="single dot"),
        ],
    )
    def test_value_is_quoted_as_one_segment(self, operations: dict[str, Operation], value: str, segment: str) -> None:
        url = operations["getTask"].url(user_id=value, task_id=5)
        assert url == ITEM.format(user_id=segment, task_id=5)
        assert contract().paths.find(unquote(url)) or "/" in value

    def test_query_parameters_follow_the_path(self, operations: dict[str, Operation]) -> None:
        url = operations["listTasks"].url(user_id="u", completed=True, include_total=False, limit=2, cursor="a&b")
        assert url == LIST.format(user_id="u") + "?completed=true&include_total=false&limit=2&cursor=a%26b"

    @pytest.mark.parametrize(
        ("values", "query"),
        [
            pytest.param({"each": ["a", "b&c", "d,e"]}, "?each=a&each=b%26c&each=d%2Ce", id="exploded array"),
            pytest.param({"all": ["a", "b&c", "d,e"]}, "?all=a,b%26c,d%2Ce", id="array with commas"),
            pytest.param({"each": ["a"], "all": ["b"], "one": "c"}, "?each=a&all=b&one=c", id="several parameters"),
            pytest.param({"each": [True, 1, 0.5]}, "?each=true&each=1&each=0.5", id="items of other types"),
            pytest.param({"each": [], "all": []}, "", id="empty arrays"),
            pytest.param({"each": [], "one": "a"}, "?one=a", id="empty array before a value"),
            pytest.param({"one": date(2026, 12, 24)}, "?one=2026-12-24", id="date"),
            pytest.param(
                {"one": datetime(2026, 1, 2, 3, 4, 5, 6, UTC)}, "?one=2026-01-02T03%3A04%3A05.000006Z", id="UTC"
            ),
            pytest.param(
                {"one": datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=2)))},
                "?one=2026-01-02T00%3A00%3A00%2B02%3A00",
                id="time with an offset",
            ),
            pytest.param({"one": UUID(int=1)}, "?one=00000000-0000-0000-0000-000000000001", id="UUID"),
            pytest.param(
                {"all": [date(2026, 12, 24), date(1, 1, 1)]}, "?all=2026-12-24,0001-01-01", id="array of dates"
            ),
        ],
    )
    def test_value_of_a_query_is_written_as_the_contract_says(self, values: dict[str, Any], query: str) -> None:
        texts = {"type": "array", "items": {"type": "string"}}
        schemas = {"each": ({}, texts), "all": ({"explode": False}, texts), "one": ({}, {"type": "string"})}

        def edit(document: Document) -> None:
            document["paths"][LIST]["get"]["parameters"] += [
                {"name": name, "in": "query", **style, "schema": schema} for name, (style, schema) in schemas.items()
            ]

        url = contract(edit).operations["listTasks"].url(user_id="u", **values)
        assert url == LIST.format(user_id="u") + query

    @pytest.mark.parametrize(
        ("values", "names"),
        [
            pytest.param({"user_id": "u"}, "task_id", id="missing parameter"),
            pytest.param({"user_id": "", "task_id": 1}, "user_id", id="empty value"),
            pytest.param({"user_id": "u", "task_id": 1, "else": 1}, "else", id="unknown parameter"),
            pytest.param({"user_id": "u", "task_id": 1, "limit": 1}, "limit", id="parameter of another operation"),
        ],
    )
    def test_wrong_parameters_are_rejected_by_name(
        self, operations: dict[str, Operation], values: dict[str, str | int], names: str
    ) -> None:
        with pytest.raises(ValueError, match=names):
            operations["getTask"].url(**values)

    def test_code_contains_no_path_of_the_contract(self) -> None:
        """Searches all strings except docstrings for the first literal segment of each path."""
        firsts = {path.split("/")[1] for path in load_contract().document["paths"]} - {""}
        written = re.compile(rf"/(?:{'|'.join(map(re.escape, sorted(firsts)))})(?![\w-])")
        # The example URL of Better Auth in an error message of the settings.
        allowed = {"must be a URL such as https://app.example.com/api/auth/jwks"}
        assert [(location, text) for location, text in strings() if written.search(text) and text not in allowed] == []

    def test_search_for_paths_reads_the_strings_of_the_code(self) -> None:
        assert {"getTask", "/openapi.yaml"} <= {text for _, text in strings()}

    def test_location_and_link_follow_a_changed_path(self, tmp_path: FilePath, database_url: str) -> None:
        """A copy of the package with a contract of its own, because handlers are bound when they are imported. A part
        of the path is in `servers`, and another one is a proxy's prefix."""
        shutil.copytree(ROOT / "src", tmp_path / "src")
        document = copy.deepcopy(load_contract().document)
        moved = {path: path.replace("/api/", "/people/").replace("/tasks", "/to-do") for path in document["paths"]}
        document["paths"] = {moved[path]: item for path, item in document["paths"].items()}
        document["servers"] = [{"url": "/v2"}]
        source = yaml.safe_dump(document, sort_keys=False).replace("/problems/", "/v2/problems/")
        (tmp_path / "openapi.yaml").write_text(source)
        shutil.copytree(ROOT / "generated", tmp_path / "generated")
        answers = codegen.generate(Contract.parse(source.encode()), models)
        (tmp_path / "generated/todo_contract/operations.py").write_text(answers)
        path = f"{tmp_path / 'src'}:{tmp_path / 'generated'}"
        settings = {
            "DATABASE_URL": database_url,
            "BETTER_AUTH_SECRET": SECRET,
            "PYTHONPATH": path,
            "ROOT_PATH": "/todo/",
        }
        with serving(tmp_path, **settings) as service, prefix_proxy(f"http://127.0.0.1:{service.port}", "/todo") as url:
            token, base, tasks = sign(SECRET, "u", lifetime=600), url.removesuffix("/todo"), "/todo/v2/people/u/to-do"
            with httpx.Client(base_url=base, headers={"Authorization": f"Bearer {token}"}) as client:
                created = [client.post(tasks, json={"title": title}) for title in ("one", "two")]
                locations = [task.headers["Location"] for task in created]
                assert locations == [f"{tasks}/{task.json()['id']}" for task in created]
                assert client.get(locations[0]).json()["title"] == "one"
                link = client.get(f"{tasks}?limit=1&completed=false").links["next"]["url"]
                assert link.startswith(f"{tasks}?")
                assert [task["title"] for task in client.get(link).json()["items"]] == ["one"]
                info = client.get("/todo/v2/").json()
                assert [client.get(info[name]).status_code for name in ("contract", "documentation")] == [200, 200]
                assert client.get("/todo/api/u/tasks").json()["type"] == "/v2/problems/not-found"


def strings() -> Iterator[tuple[str, str]]:
    """Yield file, line and text of each string in `src/`: also the literal parts of f-strings, but no docstrings."""
    for path in sorted((ROOT / "src").rglob("*.py")):
        tree = ast.parse(path.read_text())
        prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
                yield f"{path.relative_to(ROOT)}:{node.lineno}", node.value

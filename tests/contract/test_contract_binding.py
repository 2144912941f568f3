"""The app refuses to start where code and contract differ: each kind of disagreement, seeded one at a time."""

import ast
import copy
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path as FilePath
from typing import Annotated, Any
from urllib.parse import unquote

import httpx
import pytest
import yaml
from fastapi import FastAPI, Path, Query
from todo_contract import models

from fastapi_contract.contract import Contract, ContractError, Operation
from fastapi_contract.drift import publish
from fastapi_contract.router import ContractRouter
from support import ROOT
from support.service import SECRET, settings_for
from support.serving import serving
from todo_api import service
from todo_api.app import create_app
from todo_api.auth.bearer import Owner, bearer
from todo_api.auth.tokens import sign
from todo_api.contract import load_contract
from todo_api.tasks import handlers

LIST = "/api/{user_id}/tasks"
ITEM = "/api/{user_id}/tasks/{task_id}"

Document = dict[str, Any]


def contract(edit: Callable[[Document], object] = lambda _: None) -> Contract:
    """A fresh contract, edited."""
    document = copy.deepcopy(load_contract().document)
    edit(document)
    return Contract.parse(yaml.safe_dump(document).encode())


def app_as_written() -> FastAPI:
    app = FastAPI()
    app.include_router(handlers.router)
    app.include_router(service.router)
    return app


def refusal(app: FastAPI, contract: Contract) -> list[str]:
    with pytest.raises(ContractError) as refused:
        publish(app, contract)
    assert all(difference in str(refused.value) for difference in refused.value.differences)
    return refused.value.differences


def test_the_code_as_written_implements_the_contract() -> None:
    publish(app_as_written(), contract())


def test_create_app_checks() -> None:
    app = create_app(settings_for("postgresql://nobody@localhost/nothing"))
    assert app.openapi() is load_contract().document


# --- the contract changes under the code


def schema(name: str, **changes: Any) -> Callable[[Document], object]:
    return lambda document: document["components"]["schemas"][name].update(changes)


def parameter(name: str, **changes: Any) -> Callable[[Document], object]:
    return lambda document: document["components"]["parameters"][name]["schema"].update(changes)


def operation(path: str, method: str, **changes: Any) -> Callable[[Document], object]:
    return lambda document: document["paths"][path][method].update(changes)


def add_operation(document: Document) -> None:
    document["paths"][f"{ITEM}/archive"] = {
        "parameters": document["paths"][ITEM]["parameters"],
        "post": {**document["paths"][ITEM]["get"], "operationId": "archiveTask"},
    }


def remove_operation(document: Document) -> None:
    del document["paths"][ITEM]["delete"]


def change_method(document: Document) -> None:
    document["paths"][ITEM]["post"] = document["paths"][ITEM].pop("put")


def change_path(document: Document) -> None:
    document["paths"]["/healthz"] = document["paths"].pop("/health")


def add_parameter(document: Document) -> None:
    document["paths"][LIST]["get"]["parameters"].append(
        {"name": "sort", "in": "query", "schema": {"type": "string", "enum": ["title"]}}
    )


def remove_parameter(document: Document) -> None:
    document["paths"][LIST]["get"]["parameters"].pop()


def require_parameter(document: Document) -> None:
    document["components"]["parameters"]["Completed"]["required"] = True


def add_body(document: Document) -> None:
    document["paths"][ITEM]["delete"]["requestBody"] = {"$ref": "#/components/requestBodies/TaskUpdate"}


def require_body(document: Document) -> None:
    document["components"]["requestBodies"]["TaskCompletion"]["required"] = True


def allow_null(document: Document) -> None:
    title = {"anyOf": [{"$ref": "#/components/schemas/Title"}, {"type": "null"}]}
    document["components"]["schemas"]["TaskUpdate"]["properties"]["title"] = title


def change_success(document: Document) -> None:
    responses = document["paths"][LIST]["post"]["responses"]
    responses["200"] = responses.pop("201")


def change_media_type(document: Document) -> None:
    content = document["components"]["requestBodies"]["TaskCreate"]["content"]
    content["application/merge-patch+json"] = content.pop("application/json")


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (add_operation, "not implemented: archiveTask (POST /api/{user_id}/tasks/{task_id}/archive)"),
        (remove_operation, "not in openapi.yaml: deleteTask"),
        (operation(ITEM, "get", operationId="readTask"), "not implemented: readTask"),
        (change_method, 'updateTask / method: openapi.yaml says "POST", the code "PUT"'),
        (change_path, 'getHealth / path: openapi.yaml says "/healthz", the code "/health"'),
        (add_parameter, "listTasks / parameters / query sort: openapi.yaml says {"),
        (remove_parameter, "listTasks / parameters / query include_total: openapi.yaml says nothing"),
        (require_parameter, "listTasks / parameters / query completed / required"),
        (parameter("Limit", maximum=200), "listTasks / parameters / query limit / schema / maximum"),
        (parameter("Limit", default=20), "listTasks / parameters / query limit / schema / default"),
        (parameter("Completed", type="string"), "query completed / schema / type"),
        (schema("TaskId", maximum=2147483647), "getTask / parameters / path task_id / schema / maximum"),
        (schema("UserId", pattern="^[a-z]+$"), "createTask / parameters / path user_id / schema / pattern"),
        (schema("Title", maxLength=100), "createTask / body / content / application/json / properties / title"),
        (schema("TaskCreate", required=["title", "completed"]), "createTask / body"),
        (schema("TaskUpdate", additionalProperties=True), "updateTask / body"),
        (schema("Task", required=["id"]), "getTask / responses / 200 / application/json / required"),
        (allow_null, "updateTask / body / content / application/json / properties / title"),
        (add_body, "deleteTask / body: openapi.yaml says {"),
        (require_body, "toggleTaskCompletion / body / required: openapi.yaml says true, the code false"),
        (change_success, "createTask / responses / 200: openapi.yaml says {"),
        (change_media_type, "createTask / body / content / application/merge-patch+json"),
        (operation(ITEM, "get", security=[]), 'getTask / security: openapi.yaml says [], the code ["bearerAuth"]'),
        (operation("/health", "get", security=[{"bearerAuth": []}]), "getHealth / security"),
    ],
)  # fmt: skip
def test_refuses_a_contract_that_the_code_does_not_implement(edit: Callable[[Document], object], told: str) -> None:
    assert any(told in difference for difference in refusal(app_as_written(), contract(edit)))


def test_lists_all_differences_at_once() -> None:
    def edit(document: Document) -> None:
        remove_operation(document)
        add_operation(document)
        change_path(document)

    assert len(refusal(app_as_written(), contract(edit))) == 3


# --- the code changes under the contract


def with_router(replaced: str, edit: Callable[[ContractRouter], object]) -> tuple[FastAPI, Contract]:
    """The app as written, but for the operation that is replaced: `edit` binds it again."""
    whole = contract()
    app = FastAPI()
    for router in (handlers.router, service.router):
        kept = [route for route in router.routes if route.operation_id != replaced]  # type: ignore[attr-defined]
        app.routes.extend(kept)
    router = ContractRouter(whole, models, {"bearerAuth": [bearer]})
    edit(router)
    app.include_router(router)
    return app, whole


def test_refuses_a_handler_outside_the_contract() -> None:
    app = app_as_written()
    app.get("/api/ping")(lambda: None)
    assert "GET /api/ping" in refusal(app, contract())[0]


def test_refuses_a_lost_token_check() -> None:
    async def get_task(user_id: models.UserId, task_id: models.TaskId) -> models.Task:
        raise NotImplementedError

    app, whole = with_router("getTask", lambda router: router.add_api_route(ITEM, get_task, operation_id="getTask"))
    assert 'getTask / security: openapi.yaml says ["bearerAuth"], the code []' in refusal(app, whole)[0]


def test_refuses_a_superfluous_token_check() -> None:
    def edit(router: ContractRouter) -> None:
        @router.operation("getHealth")
        async def get_health(owner: Owner) -> models.Health:
            raise NotImplementedError

    differences = refusal(*with_router("getHealth", edit))
    assert any('getHealth / security: openapi.yaml says [], the code ["bearerAuth"]' in each for each in differences)


def test_refuses_a_wrong_body_model() -> None:
    def edit(router: ContractRouter) -> None:
        @router.operation("updateTask")
        async def update_task(task_id: models.TaskId, changes: models.TaskCreate, owner: Owner) -> models.Task:
            raise NotImplementedError

    assert any("updateTask / body" in each for each in refusal(*with_router("updateTask", edit)))


def test_refuses_a_forgotten_parameter() -> None:
    def edit(router: ContractRouter) -> None:
        @router.operation("getTask")
        async def get_task(owner: Owner) -> models.Task:
            raise NotImplementedError

    assert "getTask / parameters / path task_id" in refusal(*with_router("getTask", edit))[0]


def test_refuses_another_bound() -> None:
    def edit(router: ContractRouter) -> None:
        @router.operation("getTask")
        async def get_task(task_id: Annotated[int, Path(ge=0, le=2**53 - 1)], owner: Owner) -> models.Task:
            raise NotImplementedError

    told = "getTask / parameters / path task_id / schema / minimum: openapi.yaml says 1, the code 0"
    assert told in refusal(*with_router("getTask", edit))[0]


def test_refuses_an_undocumented_parameter() -> None:
    def edit(router: ContractRouter) -> None:
        @router.operation("getTask")
        async def get_task(
            task_id: models.TaskId, owner: Owner, verbose: Annotated[bool, Query()] = False
        ) -> models.Task:
            raise NotImplementedError

    assert "getTask / parameters / query verbose" in refusal(*with_router("getTask", edit))[0]


# --- at import already


def test_suggests_the_operation_that_was_meant() -> None:
    with pytest.raises(ContractError, match="Did you mean listTasks"):
        ContractRouter(contract(), models).operation("listTask")


def test_refuses_a_second_handler() -> None:
    router = ContractRouter(contract(), models)

    @router.operation("getHealth")
    async def get_health() -> models.Health:
        raise NotImplementedError

    with pytest.raises(ContractError, match="getHealth has a second handler"):
        ContractRouter(router.contract, models).operation("getHealth")


def test_refuses_another_return_annotation() -> None:
    with pytest.raises(ContractError, match=r"annotate get_health\(\) with -> models.Health"):

        @ContractRouter(contract(), models).operation("getHealth")
        async def get_health() -> models.Readiness:
            raise NotImplementedError


def test_refuses_a_body_where_none_is_promised() -> None:
    with pytest.raises(ContractError, match="with -> None"):

        @ContractRouter(contract(), models, {"bearerAuth": [bearer]}).operation("deleteTask")
        async def delete_task(task_id: models.TaskId, owner: Owner) -> models.Task:
            raise NotImplementedError


def test_refuses_a_security_scheme_without_implementation() -> None:
    with pytest.raises(ContractError, match="getTask is secured by bearerAuth"):
        ContractRouter(contract(), models).operation("getTask")


def test_refuses_a_model_that_is_not_generated() -> None:
    def edit(document: Document) -> None:
        schemas = document["components"]["schemas"]
        schemas["Wellness"] = schemas["Health"]
        media = document["components"]["responses"]["Health"]["content"]["application/json"]
        media["schema"] = {"$ref": "#/components/schemas/Wellness"}

    with pytest.raises(ContractError, match=r"Wellness, which is not generated: run ./codegen.sh"):

        @ContractRouter(contract(edit), models).operation("getHealth")
        async def get_health() -> models.Health:
            raise NotImplementedError


# --- a contract that nothing can be bound to


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (lambda document: document["paths"][ITEM]["get"].pop("operationId"), "has no operationId"),
        (operation(ITEM, "get", operationId="listTasks"), "listTasks stands twice"),
        (operation(ITEM, "get", responses={"default": {"description": ""}}), "exactly one 2xx"),
    ],
)
def test_refuses_a_contract_that_can_not_be_bound(edit: Callable[[Document], object], told: str) -> None:
    with pytest.raises(ContractError, match=told):
        contract(edit)


# --- URLs


class TestUrl:
    @pytest.fixture
    def operations(self) -> dict[str, Operation]:
        return contract().operations

    @pytest.mark.parametrize(
        ("value", "segment"),
        [
            pytest.param("plain-._~", "plain-._~", id="unreserved"),
            pytest.param("a/b?c#d&e=f+g%h", "a%2Fb%3Fc%23d%26e%3Df%2Bg%25h", id="reserved"),
            pytest.param("a b\n", "a%20b%0A", id="blank"),
            pytest.param("ü漢", "%C3%BC%E6%BC%A2", id="beyond ASCII"),
            pytest.param("{task_id}", "%7Btask_id%7D", id="braces"),
            pytest.param("..", "%2E%2E", id="dot segment"),
            pytest.param(".", "%2E", id="single dot"),
        ],
    )
    def test_value_is_one_segment(self, operations: dict[str, Operation], value: str, segment: str) -> None:
        url = operations["getTask"].url(user_id=value, task_id=5)
        assert url == ITEM.format(user_id=segment, task_id=5)
        assert operations["getTask"].pattern.match(unquote(url)) or "/" in value

    def test_query_follows_the_path(self, operations: dict[str, Operation]) -> None:
        url = operations["listTasks"].url(user_id="u", completed=True, include_total=False, limit=2, cursor="a&b")
        assert url == LIST.format(user_id="u") + "?completed=true&include_total=false&limit=2&cursor=a%26b"

    @pytest.mark.parametrize(
        ("values", "names"),
        [
            pytest.param({"user_id": "u"}, "task_id", id="missing"),
            pytest.param({"user_id": "", "task_id": 1}, "user_id", id="empty"),
            pytest.param({"user_id": "u", "task_id": 1, "else": 1}, "else", id="unknown"),
            pytest.param({"user_id": "u", "task_id": 1, "limit": 1}, "limit", id="parameter of another operation"),
        ],
    )
    def test_wrong_parameters_are_rejected_by_name(
        self, operations: dict[str, Operation], values: dict[str, str | int], names: str
    ) -> None:
        with pytest.raises(ValueError, match=names):
            operations["getTask"].url(**values)

    def test_no_path_of_the_contract_is_written_in_the_code(self) -> None:
        """A path, or its first literal segment, within any string but the docstrings."""
        firsts = {path.split("/")[1] for path in load_contract().document["paths"]} - {""}
        written = re.compile(rf"/(?:{'|'.join(map(re.escape, sorted(firsts)))})(?![\w-])")
        # Example of a URL of Better Auth, in the message for a wrong one.
        allowed = {"must be a URL such as https://app.example.com/api/auth/jwks"}
        assert [(where, text) for where, text in strings() if written.search(text) and text not in allowed] == []

    def test_search_finds_the_strings_of_the_code(self) -> None:
        assert {"getTask", "/openapi.yaml"} <= {text for _, text in strings()}

    def test_location_and_link_follow_a_changed_path(self, tmp_path: FilePath, database_url: str) -> None:
        """A copy of the package with a contract of its own, because handlers are bound when they are imported."""
        shutil.copytree(ROOT / "src", tmp_path / "src")
        document = copy.deepcopy(load_contract().document)
        moved = {path: path.replace("/api/", "/v2/people/").replace("/tasks", "/to-do") for path in document["paths"]}
        document["paths"] = {moved[path]: item for path, item in document["paths"].items()}
        (tmp_path / "openapi.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
        settings = {"DATABASE_URL": database_url, "BETTER_AUTH_SECRET": SECRET, "PYTHONPATH": str(tmp_path / "src")}
        with serving(tmp_path, **settings) as service:
            token = sign(SECRET, "u", lifetime=600)
            base = f"http://127.0.0.1:{service.port}"
            with httpx.Client(base_url=base, headers={"Authorization": f"Bearer {token}"}) as client:
                created = [client.post("/v2/people/u/to-do", json={"title": title}) for title in ("one", "two")]
                locations = [task.headers["Location"] for task in created]
                assert locations == [f"/v2/people/u/to-do/{task.json()['id']}" for task in created]
                assert client.get(locations[0]).json()["title"] == "one"
                link = client.get("/v2/people/u/to-do?limit=1&completed=false").links["next"]["url"]
                assert link.startswith("/v2/people/u/to-do?")
                assert [task["title"] for task in client.get(link).json()["items"]] == ["one"]
                assert client.get("/api/u/tasks").status_code == 404


def strings() -> Iterator[tuple[str, str]]:
    """Where, and the text of each string in `src/`, the literal parts of f-strings included, docstrings excepted."""
    for path in sorted((ROOT / "src").rglob("*.py")):
        tree = ast.parse(path.read_text())
        prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
                yield f"{path.relative_to(ROOT)}:{node.lineno}", node.value

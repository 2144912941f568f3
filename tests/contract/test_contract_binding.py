"""The app does not start if code and contract differ: each kind of difference is seeded, one at a time."""

from collections.abc import Callable
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Path, Query
from todo_contract import models, operations

from fastapi_contract.application import contract_app
from fastapi_contract.contract import ContractError
from fastapi_contract.router import ContractRouter
from support.edited_contract import ITEM, LIST, Document, bound, contract, differences_of
from support.service import settings_for
from todo_api.app import create_app
from todo_api.auth.bearer import Owner
from todo_api.contract import load_contract
from todo_api.tasks import handlers
from todo_api.tasks.dependencies import IfMatch, IfNoneMatch


def test_code_as_written_implements_the_contract() -> None:
    contract_app(whole := contract(), bound(whole))


def test_create_app_publishes_the_contract() -> None:
    app = create_app(settings_for("postgresql://user@localhost/unused"))
    assert app.openapi() is load_contract().document


# --- the contract changes under the code


def schema(name: str, **changes: Any) -> Callable[[Document], object]:
    return lambda document: document["components"]["schemas"][name].update(changes)


def parameter(name: str, **changes: Any) -> Callable[[Document], object]:
    return lambda document: document["components"]["parameters"][name]["schema"].update(changes)


def operation(path: str, method: str, **changes: Any) -> Callable[[Document], object]:
    return lambda document: document["paths"][path][method].update(changes)


def add_operation(document: Document) -> None:
    document["paths"][f"{ITEM}/path-of-this-test"] = {
        "parameters": document["paths"][ITEM]["parameters"],
        "post": {**document["paths"][ITEM]["get"], "operationId": "operationOfThisTest"},
    }


def remove_links(document: Document) -> None:
    del document["components"]["responses"]["TaskCreatedResponse"]["links"]


def remove_operation(document: Document) -> None:
    del document["paths"][ITEM]["delete"]
    remove_links(document)


def rename_operation(document: Document) -> None:
    document["paths"][ITEM]["get"]["operationId"] = "readTask"
    remove_links(document)


def change_method(document: Document) -> None:
    document["paths"][ITEM]["post"] = document["paths"][ITEM].pop("put")


def change_path(document: Document) -> None:
    document["paths"]["/healthz"] = document["paths"].pop("/health")


def add_parameter(document: Document) -> None:
    document["paths"][LIST]["get"]["parameters"].append(
        {"name": "view", "in": "query", "schema": {"type": "string", "enum": ["table"]}}
    )


def remove_parameter(document: Document) -> None:
    document["paths"][LIST]["get"]["parameters"].remove({"$ref": "#/components/parameters/IncludeTotalParam"})


def require_parameter(document: Document) -> None:
    document["components"]["parameters"]["CompletedParam"]["required"] = True


def add_body(document: Document) -> None:
    document["paths"][ITEM]["delete"]["requestBody"] = document["paths"][ITEM]["put"]["requestBody"]


def require_body(document: Document) -> None:
    document["paths"][f"{ITEM}/complete"]["patch"]["requestBody"]["required"] = True


def allow_null(document: Document) -> None:
    title = {"anyOf": [{"$ref": "#/components/schemas/Title"}, {"type": "null"}]}
    document["components"]["schemas"]["TaskUpdate"]["properties"]["title"] = title


def change_success(document: Document) -> None:
    responses = document["paths"][LIST]["post"]["responses"]
    responses["200"] = responses.pop("201")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (add_operation, "not implemented: operationOfThisTest (POST /api/{user_id}/tasks/{task_id}/path-of-this-test)"),
        (remove_operation, "deleteTask is not in openapi.yaml"),
        (rename_operation, "not implemented: readTask"),
        (add_parameter, 'listTasks / query view: openapi.yaml says {"enum": ["table"], "type": "string"}, the code n'),
        (remove_parameter, "listTasks / query include_total: openapi.yaml says nothing, the code {"),
        (require_parameter, "listTasks / query completed / required: openapi.yaml says true, the code false"),
        (parameter("LimitParam", maximum=200), "query limit / maximum and 1 more: openapi.yaml says 200"),
        (parameter("LimitParam", default=20), "query limit / default and 1 more: openapi.yaml says 20"),
        (parameter("CompletedParam", type="string"), "listTasks / query completed / type: openapi.yaml says"),
        (schema("TaskId", maximum=2147483647), "/ id / maximum and"),
        (schema("UserId", pattern="^[a-z]+$"), "listTasks / path user_id / pattern"),
        (schema("Title", maxLength=100), "/ title / maxLength and"),
        (schema("TaskCreate", required=["title", "completed"]), "createTask / body / application/json / required comp"),
        (schema("TaskUpdate", additionalProperties=True), "changes / additionalProperties and 3 more: openapi"),
        (schema("Task", required=["id"]), "application/json / items / items / required title and"),
        (schema("Task", maxProperties=20), "todo_contract.models is stale: it was generated from another openapi.yaml"),
        (schema("TaskPage", additionalProperties=False), "listTasks / response / 200 / application/json / additional"),
        (allow_null, 'changes / title / type and 3 more: openapi.yaml says "null or string", the code "string"'),
        (add_body, 'deleteTask / body: openapi.yaml says ["application/json"], the code nothing. Add it'),
        (require_body, "toggleTaskCompletion / body / required: openapi.yaml says true, the code false"),
        (change_success, "createTask returns CreateTask200, which is not generated. Run ./codegen.sh."),
        (operation(ITEM, "get", security=[]), 'getTask / security: openapi.yaml says nothing, the code "bearerAuth"'),
        (operation("/health", "get", security=[{"bearerAuth": []}]), "getHealth is secured by bearerAuth: pass"),
        (change_method, "todo_contract.models is stale"),
        (change_path, "todo_contract.models is stale"),
    ],
    ids=[
        "operation added", "operation removed", "operation renamed", "parameter added", "parameter removed",
        "parameter required", "parameter maximum", "parameter default", "parameter type", "path parameter maximum",
        "path parameter pattern", "body maxLength", "body required members", "body additionalProperties",
        "response required members", "keyword that models do not show", "response closed", "body nullable member",
        "body added", "body required", "success status", "security removed", "security added", "method", "path",
    ],
)  # fmt: skip
def test_contract_that_differs_from_the_code_stops_the_start(edit: Callable[[Document], object], message: str) -> None:
    assert any(message in difference for difference in differences_of(contract(edit)))


def test_all_differences_are_listed_at_once() -> None:
    def edit(document: Document) -> None:
        remove_operation(document)
        add_operation(document)
        change_path(document)

    assert len(differences_of(contract(edit))) == 3


# --- the code changes under the contract


def rebound(operation_id: str, edit: Callable[[ContractRouter], object]) -> list[str]:
    """Return the differences after `edit` has bound an operation to another handler."""
    whole = contract()
    routers = bound(whole, without=operation_id)
    edit(routers[0])
    return differences_of(whole, *routers)


@pytest.mark.parametrize("hidden", [True, False], ids=["hidden", "documented"])
def test_handler_outside_the_contract_is_rejected(hidden: bool) -> None:
    other = APIRouter()
    other.get("/api/ping", include_in_schema=not hidden)(lambda: None)
    whole = contract()
    assert "not in openapi.yaml: GET /api/ping." in differences_of(whole, *bound(whole), other)[0]


def test_route_without_the_token_check_is_rejected() -> None:
    async def get_task(user_id: models.UserId, task_id: models.TaskId) -> models.Task:
        raise NotImplementedError

    found = rebound("getTask", lambda router: router.add_api_route(ITEM, get_task, operation_id="getTask"))
    assert "not implemented: getTask" in found[0]
    assert f"not in openapi.yaml: GET {ITEM}" in found[1]


def test_superfluous_token_check_is_rejected() -> None:
    def edit(router: ContractRouter) -> None:
        @router.operation("getHealth")
        async def get_health(owner: Owner) -> models.Health:
            raise NotImplementedError

    found = rebound("getHealth", edit)
    assert any('getHealth / security: openapi.yaml says nothing, the code "bearerAuth"' in each for each in found)


def test_wrong_body_model_is_rejected() -> None:
    def edit(router: ContractRouter) -> None:
        @router.operation("updateTask")
        async def update_task(
            task_id: models.TaskId, changes: models.TaskCreate, owner: Owner, if_match: IfMatch
        ) -> operations.UpdateTask200:
            raise NotImplementedError

    found = rebound("updateTask", edit)
    expected = "updateTask / body / application/json / required title: openapi.yaml says false, the code true"
    assert expected in "".join(found)
    assert all(each.endswith("Use models.TaskUpdate in update_task().") for each in found)


def test_missing_parameter_is_rejected() -> None:
    def edit(router: ContractRouter) -> None:
        @router.operation("getTask")
        async def get_task(owner: Owner, tags: IfNoneMatch = None) -> operations.GetTask:
            raise NotImplementedError

    (found,) = rebound("getTask", edit)
    expected = 'getTask / path task_id: openapi.yaml says {"$ref": "#/components/schemas/TaskId"}, the code nothing'
    assert expected in found
    assert found.endswith("Add it to get_task().")


def test_wrong_bound_is_rejected() -> None:
    def edit(router: ContractRouter) -> None:
        @router.operation("getTask")
        async def get_task(
            task_id: Annotated[int, Path(ge=0, le=2**53 - 1)], owner: Owner, tags: IfNoneMatch = None
        ) -> operations.GetTask:
            raise NotImplementedError

    (found,) = rebound("getTask", edit)
    expected = "getTask / path task_id / minimum: openapi.yaml says 1, the code 0. Use models.TaskId in get_task()."
    assert expected in found


def test_undocumented_parameter_is_rejected() -> None:
    def edit(router: ContractRouter) -> None:
        @router.operation("getTask")
        async def get_task(
            task_id: models.TaskId,
            owner: Owner,
            tags: IfNoneMatch = None,
            verbose: Annotated[bool, Query()] = False,
        ) -> operations.GetTask:
            raise NotImplementedError

    (found,) = rebound("getTask", edit)
    assert 'getTask / query verbose: openapi.yaml says nothing, the code {"default": false, "type": "boolean"}' in found
    assert found.endswith("Add it there, or remove it from get_task().")


# --- found while handlers are bound, and reported with all others


def test_unknown_operation_id_suggests_a_similar_one() -> None:
    async def list_task() -> None: ...

    found = rebound("listTasks", lambda router: router.operation("listTask")(list_task))
    assert "listTask is not in openapi.yaml. Did you mean listTasks?" in found


def test_second_handler_of_an_operation_is_rejected() -> None:
    async def get_health() -> models.Health:
        raise NotImplementedError

    found = rebound("", lambda router: router.operation("getHealth")(get_health))
    assert found[0].endswith("getHealth has a second handler: remove one.")


def test_wrong_return_annotation_is_rejected() -> None:
    async def get_health() -> models.Readiness:
        raise NotImplementedError

    (found,) = rebound("getHealth", lambda router: router.operation("getHealth")(get_health))
    assert "annotate get_health() with -> models.Health" in found


def test_return_annotation_of_an_operation_without_a_body_is_rejected() -> None:
    async def delete_task(task_id: models.TaskId, owner: Owner, if_match: IfMatch) -> models.Task:
        raise NotImplementedError

    (found,) = rebound("deleteTask", lambda router: router.operation("deleteTask")(delete_task))
    assert "with -> None" in found


def test_security_scheme_without_implementation_is_rejected() -> None:
    whole = contract()
    router = ContractRouter(whole, models)
    router.operation("getTask")(handlers.get_task)
    found = differences_of(whole, router)
    assert found[0].endswith("getTask is secured by bearerAuth: pass the guards of bearerAuth to its router.")


def test_model_that_is_not_generated_is_rejected() -> None:
    def edit(document: Document) -> None:
        schemas = document["components"]["schemas"]
        schemas["Condition"] = schemas["Health"]
        media = document["components"]["responses"]["HealthResponse"]["content"]["application/json"]
        media["schema"] = {"$ref": "#/components/schemas/Condition"}

    assert "getHealth returns Condition, which is not generated. Run ./codegen.sh." in differences_of(contract(edit))[0]


def test_all_differences_are_in_one_error() -> None:
    def edit(router: ContractRouter) -> None:
        @router.operation("getHealth")
        async def get_health(
            verbose: Annotated[bool, Query()] = False, limit: Annotated[int, Query()] = 1
        ) -> models.Readiness:
            raise NotImplementedError

        @router.operation("listTask")
        async def list_task() -> None: ...

    assert len(rebound("getHealth", edit)) == 4


# --- contracts that no handler can be bound to


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda document: document["paths"][ITEM]["get"].pop("operationId"), "has no operationId"),
        (operation(ITEM, "get", operationId="listTasks"), "listTasks appears twice"),
        (operation(ITEM, "get", responses={"default": {"description": ""}}), "no 2xx or 3xx response"),
    ],
    ids=["no operationId", "duplicate operationId", "no 2xx response"],
)
def test_contract_that_cannot_be_bound_is_rejected(edit: Callable[[Document], object], message: str) -> None:
    with pytest.raises(ContractError, match=message):
        contract(edit)

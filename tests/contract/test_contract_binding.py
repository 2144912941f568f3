"""The app does not start if code and contract differ: each kind of difference is seeded, one at a time."""

from collections.abc import Callable
from typing import Annotated, Any

import pytest
from fastapi import FastAPI, Path, Query
from todo_contract import models

from fastapi_contract.contract import Contract, ContractError
from fastapi_contract.drift import publish
from fastapi_contract.router import ContractRouter
from support.edited_contract import ITEM, LIST, Document, contract
from support.service import settings_for
from todo_api import service
from todo_api.app import create_app
from todo_api.auth.bearer import Owner, bearer
from todo_api.contract import load_contract
from todo_api.tasks import handlers


def app_as_written() -> FastAPI:
    app = FastAPI()
    app.include_router(handlers.router)
    app.include_router(service.router)
    return app


def differences_of(app: FastAPI, contract: Contract) -> list[str]:
    with pytest.raises(ContractError) as raised:
        publish(app, contract)
    assert all(difference in str(raised.value) for difference in raised.value.differences)
    return raised.value.differences


def test_code_as_written_implements_the_contract() -> None:
    publish(app_as_written(), contract())


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
    del document["components"]["responses"]["TaskCreated"]["links"]


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


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (add_operation, "not implemented: operationOfThisTest (POST /api/{user_id}/tasks/{task_id}/path-of-this-test)"),
        (remove_operation, "not in openapi.yaml: deleteTask"),
        (rename_operation, "not implemented: readTask"),
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
        (operation(ITEM, "get", security=[]), 'getTask / security: openapi.yaml says [], the code ["bearerAuth"]'),
        (operation("/health", "get", security=[{"bearerAuth": []}]), "getHealth / security"),
    ],
    ids=[
        "operation added", "operation removed", "operation renamed", "method", "path", "parameter added",
        "parameter removed", "parameter required", "parameter maximum", "parameter default", "parameter type",
        "path parameter maximum", "path parameter pattern", "body maxLength", "body required members",
        "body additionalProperties", "response required members", "body nullable member", "body added",
        "body required", "success status", "security removed", "security added",
    ],
)  # fmt: skip
def test_contract_that_differs_from_the_code_stops_the_start(edit: Callable[[Document], object], message: str) -> None:
    assert any(message in difference for difference in differences_of(app_as_written(), contract(edit)))


def test_all_differences_are_listed_at_once() -> None:
    def edit(document: Document) -> None:
        remove_operation(document)
        add_operation(document)
        change_path(document)

    assert len(differences_of(app_as_written(), contract(edit))) == 3


# --- the code changes under the contract


def with_router(replaced: str, edit: Callable[[ContractRouter], object]) -> tuple[FastAPI, Contract]:
    """Return the app as written and its contract, with the operation `replaced` bound again by `edit`."""
    whole = contract()
    app = FastAPI()
    for router in (handlers.router, service.router):
        kept = [route for route in router.routes if route.operation_id != replaced]  # type: ignore[attr-defined]
        app.routes.extend(kept)
    router = ContractRouter(whole, models, {"bearerAuth": [bearer]})
    edit(router)
    app.include_router(router)
    return app, whole


def test_handler_outside_the_contract_is_rejected() -> None:
    app = app_as_written()
    app.get("/api/ping")(lambda: None)
    assert "GET /api/ping" in differences_of(app, contract())[0]


def test_missing_token_check_is_rejected() -> None:
    async def get_task(user_id: models.UserId, task_id: models.TaskId) -> models.Task:
        raise NotImplementedError

    app, whole = with_router("getTask", lambda router: router.add_api_route(ITEM, get_task, operation_id="getTask"))
    assert 'getTask / security: openapi.yaml says ["bearerAuth"], the code []' in differences_of(app, whole)[0]


def test_superfluous_token_check_is_rejected() -> None:
    def edit(router: ContractRouter) -> None:
        @router.operation("getHealth")
        async def get_health(owner: Owner) -> models.Health:
            raise NotImplementedError

    differences = differences_of(*with_router("getHealth", edit))
    assert any('getHealth / security: openapi.yaml says [], the code ["bearerAuth"]' in each for each in differences)


def test_wrong_body_model_is_rejected() -> None:
    def edit(router: ContractRouter) -> None:
        @router.operation("updateTask")
        async def update_task(task_id: models.TaskId, changes: models.TaskCreate, owner: Owner) -> models.Task:
            raise NotImplementedError

    assert any("updateTask / body" in each for each in differences_of(*with_router("updateTask", edit)))


def test_missing_parameter_is_rejected() -> None:
    def edit(router: ContractRouter) -> None:
        @router.operation("getTask")
        async def get_task(owner: Owner) -> models.Task:
            raise NotImplementedError

    assert "getTask / parameters / path task_id" in differences_of(*with_router("getTask", edit))[0]


def test_wrong_bound_is_rejected() -> None:
    def edit(router: ContractRouter) -> None:
        @router.operation("getTask")
        async def get_task(task_id: Annotated[int, Path(ge=0, le=2**53 - 1)], owner: Owner) -> models.Task:
            raise NotImplementedError

    message = "getTask / parameters / path task_id / schema / minimum: openapi.yaml says 1, the code 0"
    assert message in differences_of(*with_router("getTask", edit))[0]


def test_undocumented_parameter_is_rejected() -> None:
    def edit(router: ContractRouter) -> None:
        @router.operation("getTask")
        async def get_task(
            task_id: models.TaskId, owner: Owner, verbose: Annotated[bool, Query()] = False
        ) -> models.Task:
            raise NotImplementedError

    assert "getTask / parameters / query verbose" in differences_of(*with_router("getTask", edit))[0]


# --- checked when a handler is imported


def test_unknown_operation_id_suggests_a_similar_one() -> None:
    with pytest.raises(ContractError, match="Did you mean listTasks"):
        ContractRouter(contract(), models).operation("listTask")


def test_second_handler_of_an_operation_is_rejected() -> None:
    router = ContractRouter(contract(), models)

    @router.operation("getHealth")
    async def get_health() -> models.Health:
        raise NotImplementedError

    with pytest.raises(ContractError, match="getHealth has a second handler"):
        ContractRouter(router.contract, models).operation("getHealth")


def test_wrong_return_annotation_is_rejected() -> None:
    with pytest.raises(ContractError, match=r"annotate get_health\(\) with -> models.Health"):

        @ContractRouter(contract(), models).operation("getHealth")
        async def get_health() -> models.Readiness:
            raise NotImplementedError


def test_return_annotation_of_an_operation_without_a_body_is_rejected() -> None:
    with pytest.raises(ContractError, match="with -> None"):

        @ContractRouter(contract(), models, {"bearerAuth": [bearer]}).operation("deleteTask")
        async def delete_task(task_id: models.TaskId, owner: Owner) -> models.Task:
            raise NotImplementedError


def test_security_scheme_without_implementation_is_rejected() -> None:
    with pytest.raises(ContractError, match="getTask is secured by bearerAuth"):
        ContractRouter(contract(), models).operation("getTask")


def test_model_that_is_not_generated_is_rejected() -> None:
    def edit(document: Document) -> None:
        schemas = document["components"]["schemas"]
        schemas["Condition"] = schemas["Health"]
        media = document["components"]["responses"]["Health"]["content"]["application/json"]
        media["schema"] = {"$ref": "#/components/schemas/Condition"}

    with pytest.raises(ContractError, match=r"Condition, which is not generated: run ./codegen.sh"):

        @ContractRouter(contract(edit), models).operation("getHealth")
        async def get_health() -> models.Health:
            raise NotImplementedError


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

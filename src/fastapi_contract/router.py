"""Makes FastAPI routes from the contract, so that a handler repeats neither path, status, documentation nor guards."""

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, TypeVar, get_args, get_type_hints

from fastapi import APIRouter, Response
from fastapi.datastructures import Default
from fastapi.responses import JSONResponse

from fastapi_contract.answers import Success, is_typed, model_of, successes_of
from fastapi_contract.bodies import JsonBody
from fastapi_contract.contract import Contract, ContractError, Operation
from fastapi_contract.document import resolve
from fastapi_contract.parameters import Parameters
from fastapi_contract.requests import contract_route
from fastapi_contract.schemas import Validator
from fastapi_contract.security import Guard, dependencies_of, guards_of

Handler = TypeVar("Handler", bound=Callable[..., Any])


class ContractRouter(APIRouter):
    """An APIRouter whose routes come from the contract.

    `models` is the module of the generated models. `security` has the guards of each security scheme, by its name in
    the contract and in the order of their calls. They are called before each operation that the contract secures with
    that scheme, whether its handler has a parameter for them or not.

        router = ContractRouter(contract, models, {"bearerAuth": [check_token]})
    """

    def __init__(
        self,
        contract: Contract,
        models: ModuleType,
        security: Mapping[str, Sequence[Guard]] | None = None,
        answers: ModuleType | None = None,
    ) -> None:
        super().__init__()
        self.contract = contract
        self.models = models
        self.answers = answers
        self.security = security or {}

    def operation(self, operation_id: str) -> Callable[[Handler], Handler]:
        """Decorator that binds a handler to an operation, and returns the handler unchanged.

        The handler's parameters are FastAPI's. Its return annotation must be the generated model of the 2xx response,
        or None if that has no body, so that a type checker can verify what the handler returns.

        Raises ContractError for an unknown operationId, a second handler, a security scheme without guards, and
        another return annotation.

            @router.operation("getTask")
            async def get_task(user_id: models.UserId, task_id: models.TaskId) -> models.Task:
                return await load_task(user_id, task_id)
        """
        contract = self.contract
        if operation_id not in contract.operations:
            close = difflib.get_close_matches(operation_id, contract.operations, n=1)
            hint = f"Did you mean {close[0]}?" if close else "Add it there first."
            raise ContractError([f"{operation_id} is not in openapi.yaml. {hint}"])
        operation = contract.operations[operation_id]
        if operation_id in contract.bound:
            raise ContractError([f"{operation_id} has a second handler: remove one."])
        named = {name: None for alternative in operation.security for name in alternative}
        if missing := [name for name in named if name not in self.security]:
            raise ContractError(
                [f"{operation_id} is secured by {name}: pass the guards of {name} to its router." for name in missing]
            )
        guards = guards_of(operation.security, self.security)
        parameters = Parameters(contract.document, operation.parameters, operation.keys_in_query)

        successes = successes_of(contract, operation)
        typed = is_typed(successes)

        def bind(handler: Handler) -> Handler:
            if typed:
                _check_answers(operation, handler, successes, self.answers)
            else:
                _check_model(operation, handler, successes[0], model_of(contract, operation, successes[0], self.models))
            self.add_api_route(
                operation.path,
                handler,
                methods=[operation.method],
                operation_id=operation.id,
                status_code=operation.successes[0],
                tags=operation.spec.get("tags"),
                summary=operation.spec.get("summary"),
                description=operation.spec.get("description"),
                deprecated=operation.spec.get("deprecated"),
                responses={int(status): answer for status, answer in operation.responses.items()},
                dependencies=dependencies_of(operation.security, self.security),
                # A plain Response for an empty body, because JSONResponse gives a 204 a content type.
                response_class=Response if typed or successes[0].schema is None else Default(JSONResponse),
                response_model=None if typed else Default(None),
                route_class_override=contract_route(guards, parameters, _json_body(contract, operation)),
            )
            contract.bound.add(operation_id)
            return handler

        return bind


def _json_body(contract: Contract, operation: Operation) -> JsonBody | None:
    if "requestBody" not in operation.spec:
        return None
    body = resolve(contract.document, operation.spec["requestBody"])
    return JsonBody(Validator(contract.document, body["content"]["application/json"].get("schema", {})))


def _check_model(operation: Operation, handler: Callable[..., Any], success: Success, model: Any) -> None:
    expected = type(None) if model is None else model
    if get_type_hints(handler).get("return", inspect.Parameter.empty) != expected:
        name = "None" if model is None else f"models.{getattr(model, '__name__', model)}"
        raise ContractError(
            [f"{operation.id} returns {success.status} with {name}: annotate {handler.__name__}() with -> {name}."]
        )


def _check_answers(
    operation: Operation, handler: Callable[..., Any], successes: Sequence[Success], answers: ModuleType | None
) -> None:
    names = [success.class_name for success in successes]
    known = {getattr(answers, name, None) for name in names}
    if None in known:
        raise ContractError([f"{operation.id} returns {' | '.join(names)}, not generated: run ./codegen.sh."])
    found = get_type_hints(handler).get("return", inspect.Parameter.empty)
    if not set(get_args(found) or [found]) <= known:
        expected = " | ".join(f"operations.{name}" for name in names)
        raise ContractError([f"{operation.id} returns {expected}: annotate {handler.__name__}() with -> {expected}."])

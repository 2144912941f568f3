"""Makes FastAPI routes from the contract, so that a handler repeats neither path, status, documentation nor guards."""

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, TypeVar, get_args, get_type_hints

from fastapi import APIRouter, Response, params
from fastapi.datastructures import Default
from fastapi.responses import JSONResponse

from fastapi_contract.comparison.messages import Lines
from fastapi_contract.contract import Contract, ContractError, Operation
from fastapi_contract.generation.generated import Generated
from fastapi_contract.openapi.document import resolve
from fastapi_contract.requests import Binding, ContractRoute, contract_route
from fastapi_contract.responses.answers import Success, is_typed, model_of, offered_media_types, successes_of
from fastapi_contract.responses.negotiation import reads_accepted
from fastapi_contract.security import Guard, guards_of
from fastapi_contract.validation.bodies import RequestBody
from fastapi_contract.validation.parameters import Parameters

Handler = TypeVar("Handler", bound=Callable[..., Any])


class ContractRouter(APIRouter):
    """An APIRouter whose routes come from the contract.

    `models` is the module of the generated models. `security` has the guards of each security scheme, by its name in
    the contract and in the order of their calls. They are called before each operation that the contract secures with
    that scheme, whether its handler has a parameter for them or not. `answers` is the module of the generated answers.

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
        self.generated = Generated(models, answers)
        self.security = security or {}
        self.differences: list[str] = []
        """Those that were found while handlers were bound. contract_app() reports them with all others."""
        self.handled: set[str] = set()
        """The operationIds that have a handler here, although it may be wrong."""

    def operation(self, operation_id: str) -> Callable[[Handler], Handler]:
        """Decorator that binds a handler to an operation, and returns the handler unchanged.

        The handler's parameters are FastAPI's. Its return annotation must be the generated model of the 2xx response,
        None if that has no body, or the generated answers if the model does not say everything (docs/decisions/0017),
        so that a type checker can verify what the handler returns.

        An unknown operationId, a second handler, a security scheme without guards, and another return annotation are
        added to `differences`.

            @router.operation("getTask")
            async def get_task(user_id: models.UserId, task_id: models.TaskId) -> models.Task:
                return await load_task(user_id, task_id)
        """

        def bind(handler: Handler) -> Handler:
            self.handled.add(operation_id)
            try:
                self._bind(operation_id, handler)
            except ContractError as error:
                self._note(operation_id, error)
            return handler

        return bind

    def _note(self, operation_id: str, error: ContractError) -> None:
        operation = self.contract.operations.get(operation_id)
        start = f"{Lines(self.contract).of(operation.spec)}: " if operation else ""
        self.differences += [f"{start}{difference}" for difference in error.differences]

    def _bind(self, operation_id: str, handler: Callable[..., Any]) -> None:
        contract = self.contract
        if operation_id not in contract.operations:
            close = difflib.get_close_matches(operation_id, contract.operations, n=1)
            hint = f"Did you mean {close[0]}?" if close else "Add it there first."
            raise ContractError([f"{operation_id} is not in openapi.yaml. {hint}"])
        operation = contract.operations[operation_id]
        if operation_id in contract.bound:
            raise ContractError([f"{operation_id} has a second handler: remove one."])
        contract.bound.add(operation_id)
        named = {name: None for alternative in operation.security for name in alternative}
        if missing := [name for name in named if name not in self.security]:
            raise ContractError(
                [f"{operation_id} is secured by {name}: pass the guards of {name} to its router." for name in missing]
            )
        guards = guards_of(operation.security, self.security)
        binding = Binding(operation, self.generated, self.security)
        successes = successes_of(contract, operation)
        has_model = not is_typed(successes) and successes[0].schema is not None
        try:
            if is_typed(successes):
                _check_answers(operation, handler, successes, self.generated.answers)
            else:
                model = model_of(contract, operation, successes[0], self.generated.models)
                _check_model(operation, handler, successes[0], model)
        except ContractError as error:
            # Bound nevertheless, so that the differences of its parameters are found too.
            self._note(operation_id, error)
            has_model = False
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
            # A plain Response for an empty body, because JSONResponse gives a 204 a content type.
            response_class=Default(JSONResponse) if has_model else Response,
            response_model=Default(None) if has_model else None,
            route_class_override=route_class_of(contract, operation, guards, binding),
        )
        route = self.routes[-1]
        assert isinstance(route, ContractRoute)
        _check_inputs(operation.id, f"{handler.__name__}()", route)


def route_class_of(
    contract: Contract, operation: Operation, guards: Sequence[Guard], binding: Binding | None = None
) -> type[ContractRoute]:
    """Returns the class of the route of an operation, which checks its requests."""
    return contract_route(
        guards,
        Parameters(contract.document, operation.parameters, operation.keys_in_query),
        _request_body(contract, operation),
        offered_media_types(successes_of(contract, operation)),
        binding,
        rejects_accept="406" in operation.responses,
    )


def _request_body(contract: Contract, operation: Operation) -> RequestBody | None:
    if "requestBody" not in operation.spec:
        return None
    return RequestBody(contract.document, resolve(contract.document, operation.spec["requestBody"]))


def _check_inputs(operation_id: str, handler: str, route: ContractRoute) -> None:
    """Rejects parameters that FastAPI would read from the request itself, or whose value does not exist."""
    if route.body_field is not None and isinstance(route.body_field.field_info, params.Form):
        step = f"use the generated model of the body in {handler}, and no Form(), File() or UploadFile."
        raise ContractError([f"{operation_id} reads its form by the contract: {step}"])
    if reads_accepted(route.dependant) and not route.offered:
        raise ContractError([f"{operation_id} has no choice of media types: remove AcceptedMediaType from {handler}."])


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
        raise ContractError([f"{operation.id} returns {' | '.join(names)}, which is not generated. Run ./codegen.sh."])
    found = get_type_hints(handler).get("return", inspect.Parameter.empty)
    if not set(get_args(found) or [found]) <= known:
        expected = " | ".join(f"operations.{name}" for name in names)
        raise ContractError([f"{operation.id} returns {expected}: annotate {handler.__name__}() with -> {expected}."])

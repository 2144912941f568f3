"""Feeds a FastAPI route from the contract, so that a handler says only what it does."""

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, TypeVar, get_type_hints

from fastapi import APIRouter, Response, Security
from fastapi.datastructures import Default
from fastapi.responses import JSONResponse

from fastapi_contract.contract import Contract, ContractError, Operation
from fastapi_contract.requests import Guard, contract_route

Handler = TypeVar("Handler", bound=Callable[..., Any])


class ContractRouter(APIRouter):
    """An APIRouter whose routes come from the contract.

    `models` is the module of the generated models. `security` has the guards of each security scheme that the
    contract's operations name, in the order in which they are called. They are added to every operation that the
    contract secures, so that no handler can forget them.
    """

    def __init__(
        self, contract: Contract, models: ModuleType, security: Mapping[str, Sequence[Guard]] | None = None
    ) -> None:
        super().__init__()
        self.contract = contract
        self.models = models
        self.security = security or {}

    def operation(self, operation_id: str) -> Callable[[Handler], Handler]:
        """Binds a handler to an operation.

        Raises ContractError for an unknown operationId, for a second handler, for a scheme without an
        implementation, and for a return annotation that is not the model of the 2xx answer: the type checker
        then proves the body.
        """
        contract = self.contract
        if operation_id not in contract.operations:
            close = difflib.get_close_matches(operation_id, contract.operations, n=1)
            hint = f" Did you mean {close[0]}?" if close else ""
            raise ContractError([f"{operation_id} is not in openapi.yaml.{hint}"])
        operation = contract.operations[operation_id]
        if operation_id in contract.bound:
            raise ContractError([f"{operation_id} has a second handler: remove one."])
        if missing := [name for name in operation.schemes if name not in self.security]:
            raise ContractError(
                [f"{operation_id} is secured by {name}: give its router an implementation." for name in missing]
            )
        guards = [guard for name in operation.schemes for guard in self.security[name]]

        def bind(handler: Handler) -> Handler:
            _check_return(operation, handler, self.models)
            self.add_api_route(
                operation.path,
                handler,
                methods=[operation.method],
                operation_id=operation.id,
                status_code=operation.status,
                tags=operation.spec.get("tags"),
                summary=operation.spec.get("summary"),
                description=operation.spec.get("description"),
                deprecated=operation.spec.get("deprecated"),
                responses={int(status): answer for status, answer in operation.responses.items()},
                dependencies=[Security(guard) for guard in guards],
                # A bare Response, for FastAPI's JSON response gives a 204 a content type.
                response_class=Default(JSONResponse) if operation.model else Response,
                route_class_override=contract_route(
                    guards, operation.parameter_types("path"), operation.parameter_types("query")
                ),
            )
            contract.bound.add(operation_id)
            return handler

        return bind


def _check_return(operation: Operation, handler: Callable[..., Any], models: ModuleType) -> None:
    wanted = getattr(models, operation.model, None) if operation.model else type(None)
    if wanted is None:
        raise ContractError([f"{operation.id} answers {operation.model}, which is not generated: run ./codegen.sh."])
    if get_type_hints(handler).get("return", inspect.Parameter.empty) is not wanted:
        name = f"models.{operation.model}" if operation.model else "None"
        raise ContractError(
            [f"{operation.id} answers {operation.status} with {name}: annotate {handler.__name__}() with -> {name}."]
        )

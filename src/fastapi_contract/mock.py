"""Answers operations that have no handler yet from the examples of the contract, so that their clients can be written
before them."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence

from fastapi import APIRouter, Request, Response

from fastapi_contract.comparison.messages import Lines
from fastapi_contract.contract import Contract, ContractError, Operation
from fastapi_contract.responses.examples import Examples, NoExampleError
from fastapi_contract.responses.negotiation import accept_of
from fastapi_contract.router import ContractRouter, route_class_of
from fastapi_contract.security import Guard, guards_of


class MockRouter(APIRouter):
    """The operations of a contract that none of the `routers` handles. Each answers with its first example of a
    success, after the same checks of the request as one with a handler: guards, parameters, body.

    Raises ContractError if an operation has no example, or a security scheme no guards.

        routers = [tasks.router, labels.router]
        contract_app(contract, [*routers, MockRouter(contract, routers)])
    """

    def __init__(self, contract: Contract, routers: Iterable[ContractRouter]) -> None:
        super().__init__()
        routers = list(routers)
        handled = {operation_id for router in routers for operation_id in router.handled}
        self.mocked = {each for each in contract.operations if each not in handled}
        """The operationIds that are answered here."""
        guards: dict[str, Sequence[Guard]] = {}
        for router in routers:
            guards.update(router.security)
        operations = [each for each in contract.operations.values() if each.id in self.mocked]
        examples = {operation.id: Examples(contract, operation) for operation in operations}
        lines = Lines(contract)
        faults = [
            f"{lines.of(operation.spec)}: {operation.id} {fault}"
            for operation in operations
            for fault in _faults(operation, examples[operation.id], guards)
        ]
        if faults:
            raise ContractError(faults)
        for operation in operations:
            self.add_api_route(
                operation.path,
                _answer(examples[operation.id]),
                methods=[operation.method],
                operation_id=operation.id,
                status_code=operation.successes[0],
                response_class=Response,
                response_model=None,
                route_class_override=route_class_of(contract, operation, guards_of(operation.security, guards)),
            )


def _faults(operation: Operation, examples: Examples, guards: Mapping[str, Sequence[Guard]]) -> Iterator[str]:
    named = {name: None for alternative in operation.security for name in alternative}
    for name in named:
        if name not in guards:
            yield f"is secured by {name}: pass the guards of {name} to a router."
    try:
        examples.choose(None, None, b"")
    except NoExampleError as error:
        yield f"has no handler, and its {error} has no example: add one."


def _answer(examples: Examples) -> Callable[[Request], Awaitable[Response]]:
    async def answer_from_example(request: Request) -> Response:
        found = examples.choose(None, None, accept_of(request.scope))
        assert found is not None
        return found.response()

    return answer_from_example

"""Runs the commands of a batch in one transaction, in which its answer is kept with the idempotency key."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

from pydantic import MISSING
from todo_contract import models

from fastapi_contract.problems import Problem, ValidationFailed
from fastapi_contract.validation.input_errors import InputError
from todo_api.database.session import Session
from todo_api.idempotency import queries as idempotency
from todo_api.idempotency.key import Key
from todo_api.tasks import queries, rules
from todo_api.tasks.problems import CommandStopped, PreconditionRequired, TaskChanged, TooManyTasks

_Command: TypeAlias = (
    models.CreateTaskCommand | models.UpdateTaskCommand | models.CompleteTaskCommand | models.DeleteTaskCommand
)


class Batch(NamedTuple):
    """Commands of one user, and the settings that they keep."""

    owner: str
    commands: Sequence[_Command]
    values: Sequence[dict[str, Any]]
    """The members that each command writes, as they are stored."""
    atomic: bool
    max_tasks: int
    require_if_match: bool

    @classmethod
    def of(cls, owner: str, batch: models.TaskBatch, *, max_tasks: int, require_if_match: bool) -> "Batch":
        """Raises ValidationFailed if members of a task break a rule, or two commands have the same id."""
        values = list(_values(batch.commands))
        return cls(owner, batch.commands, values, batch.atomic, max_tasks, require_if_match)

    async def run(self, session: Session, key: Key | None) -> tuple[models.TaskBatchResult, bool]:
        """Returns the results, and whether they are those of an earlier request with this key.

        Raises RequestInProgress and IdempotencyKeyReused.
        """
        async with session.transaction() as transaction:
            if key is None:
                return await self._all(transaction), False
            request = idempotency.digest(
                {"atomic": self.atomic, "commands": [command.model_dump(mode="json") for command in self.commands]}
            )
            kept = await idempotency.claim(transaction, self.owner, key, request)
            if kept is not None:
                return models.TaskBatchResult.model_validate(kept), True
            result = await self._all(transaction)
            await idempotency.keep(transaction, self.owner, key, request, result.model_dump(mode="json"))
            return result, False

    async def _all(self, transaction: Session) -> models.TaskBatchResult:
        # As all writers of several tasks do, so that no two wait for each other (docs/decisions/0029).
        await queries.lock(transaction, self.owner, sorted(set(_task_ids(self.commands))))
        results = await (self._all_or_none if self.atomic else self._each)(transaction)
        return models.TaskBatchResult(done=all(each.problem is None for each in results), results=results)

    async def _each(self, session: Session) -> list[models.CommandResult]:
        return [await self._result(session, number) for number in range(len(self.commands))]

    async def _all_or_none(self, session: Session) -> list[models.CommandResult]:
        results = []
        try:
            async with session.transaction() as savepoint:
                for number in range(len(self.commands)):
                    results.append(await self._result(savepoint, number))
                    if results[-1].problem is not None:
                        raise _StoppedError
        except _StoppedError:
            stopped = CommandStopped()
            return [
                results[-1] if number == len(results) - 1 else _failed(command, stopped)
                for number, command in enumerate(self.commands)
            ]
        return results

    async def _result(self, session: Session, number: int) -> models.CommandResult:
        command = self.commands[number]
        try:
            status, task = await self._carry_out(session, command, self.values[number])
        except Problem as problem:
            return _failed(command, problem)
        return models.CommandResult(id=command.id, status=status, task=task, problem=None)

    async def _carry_out(
        self, session: Session, command: _Command, values: dict[str, Any]
    ) -> tuple[Literal[200, 201, 204], models.Task | None]:
        """Raises TaskNotFound, TaskChanged, TooManyTasks and PreconditionRequired."""
        if isinstance(command, models.CreateTaskCommand):
            written = await queries.create(session, self.owner, values, max_tasks=self.max_tasks)
            if written.task is None:
                raise TooManyTasks(self.max_tasks)
            return 201, written.task
        etags = None if command.if_match is MISSING else [command.if_match]
        if etags is None and self.require_if_match:
            raise PreconditionRequired
        if isinstance(command, models.DeleteTaskCommand):
            (await queries.delete(session, self.owner, command.task_id, etags=etags)).outcome()
            return 204, None
        return 200, (await queries.update(session, self.owner, command.task_id, values, etags=etags)).outcome()


class _StoppedError(Exception):
    """A command of an atomic batch failed: those before it are rolled back."""


def _values(commands: Sequence[_Command]) -> Iterator[dict[str, Any]]:
    ids = set()
    for number, command in enumerate(commands):
        place = f"#/commands/{number}"
        if command.id in ids:
            fault = "Another command has this id. Give each command its own."
            raise ValidationFailed([InputError("invalid", fault, pointer=f"{place}/id")])
        ids.add(command.id)
        match command:
            case models.CreateTaskCommand():
                yield rules.checked(command.task.model_dump(), f"{place}/task")
            case models.UpdateTaskCommand():
                yield rules.checked(command.changes.model_dump(exclude_unset=True), f"{place}/changes")
            case models.CompleteTaskCommand():
                yield {"completed": command.completed}
            case models.DeleteTaskCommand():
                yield {}


def _task_ids(commands: Sequence[_Command]) -> Iterator[int]:
    return (command.task_id for command in commands if not isinstance(command, models.CreateTaskCommand))


def _failed(command: _Command, problem: Problem) -> models.CommandResult:
    members = {"type": problem.type, "title": problem.title, "detail": problem.detail}
    return models.CommandResult.model_validate(
        {
            "id": command.id,
            "status": problem.status,
            "task": problem.task.model_dump(mode="json") if isinstance(problem, TaskChanged) else None,
            "problem": members,
        }
    )

"""The problem types of the task operations (RFC 9457)."""

from typing import Any

from todo_contract import models

from fastapi_contract.problems import Problem


class TaskNotFound(Problem):
    """The user has no task with this id: it was deleted, it never existed, or it belongs to another user."""

    type = "/problems/task-not-found"
    title = "Task not found"
    status = 404

    def __init__(self, headers: dict[str, str] | None = None) -> None:
        super().__init__("The user has no task with this id. It may have been deleted.", headers)


class TooManyTasks(Problem):
    """The user has as many tasks as the service keeps for one user."""

    type = "/problems/too-many-tasks"
    title = "Too many tasks"
    status = 409

    def __init__(self, limit: int, headers: dict[str, str] | None = None) -> None:
        """`limit` is the number of tasks that a user can have."""
        super().__init__(f"The user has {limit} tasks, and no more are kept. Delete some.", headers)


class ChangesExpired(Problem):
    """The token of changes is too old: tasks may have been deleted after it, and the service has forgotten which."""

    type = "/problems/changes-expired"
    title = "Changes expired"
    status = 410

    def __init__(self) -> None:
        super().__init__("Deletions after this token may be forgotten. Start again without since.")


class TaskChanged(Problem):
    """Another request has changed the task: it has none of the entity tags in If-Match. Nothing was changed."""

    type = "/problems/task-changed"
    title = "Task changed"
    status = 412

    def __init__(self, task: models.Task, headers: dict[str, str] | None = None) -> None:
        """`task` is the task as it is now."""
        super().__init__(
            "The task has another etag. See task for its present state.", {"ETag": task.etag, **(headers or {})}
        )
        self.task = task

    def members(self) -> dict[str, Any]:
        return {**super().members(), "task": self.task.model_dump(mode="json")}


class PreconditionRequired(Problem):
    """This service requires If-Match for a change of a task, so that no change of another client is lost."""

    type = "/problems/precondition-required"
    title = "Precondition required"
    status = 428

    def __init__(self) -> None:
        super().__init__("This change requires the header If-Match. Send the etag of the task.")


class CommandStopped(Problem):
    """Another command of an atomic batch failed, so none of its commands was carried out.

    The result of that command says why: correct it, and send the batch again with a new `Idempotency-Key`."""

    type = "/problems/command-stopped"
    title = "Command stopped"
    status = 424

    def __init__(self) -> None:
        super().__init__("Another command of the atomic batch failed, so nothing was changed. See the other results.")

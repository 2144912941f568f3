"""The problem types of the task operations (RFC 9457)."""

from fastapi_contract.problems import Problem


class TaskNotFound(Problem):
    """The user has no task with this id: it was deleted, it never existed, or it belongs to another user."""

    type = "/problems/task-not-found"
    title = "Task not found"
    status = 404

    def __init__(self) -> None:
        super().__init__("The user has no task with this id. It may have been deleted.")

"""What each operation does to one task, without the service.

An operation of the API is a line of `EFFECTS`, and one of `REQUESTS` in workload.py, which sends it.
"""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple


class Task(NamedTuple):
    """The members that clients write."""

    title: str
    description: str | None
    completed: bool
    due_date: str | None = None
    due_at: str | None = None
    priority: str = "normal"
    labels: tuple[str, ...] = ()

    def changed(self, changes: Mapping[str, Any]) -> "Task":
        """The task after a request with these members: one due member clears the other."""
        dues = {"due_date", "due_at"}
        cleared = dict.fromkeys(dues, None) if any(changes.get(name) is not None for name in dues) else {}
        return self._replace(**{**cleared, **changes})


class State(NamedTuple):
    life: Literal["unknown", "present", "deleted"]
    """"unknown" before its creation."""
    task: Task
    """Also of a deleted task, because it can be restored."""
    version: int = 0
    exact: bool = True
    """False after a write whose answer has no version: then the version is greater than `version`."""
    deleted_version: int | None = None
    """The version that was deleted, if it is known."""


INITIAL = State("unknown", Task("", None, completed=False))


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation on one task, and its answer. Times are of time.monotonic_ns()."""

    name: str
    """A key of `EFFECTS`."""
    start: int
    end: int | None
    """None if the answer was lost."""
    status: int | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)
    """The members of the request."""
    if_match: int | None = None
    """The version that the request requires."""
    task: Task | None = None
    """The task in the answer."""
    version: int | None = None
    """Its version."""
    client: int | None = None

    @property
    def effect(self) -> Hashable:
        return self.name, tuple(sorted(self.changes.items())), self.if_match

    def __str__(self) -> str:
        answer = "lost" if self.end is None else f"{self.status} {self.task or ''} version {self.version}"
        end = "…" if self.end is None else f"{self.end / 1e9:.6f}"
        condition = "" if self.if_match is None else f" if version is {self.if_match}"
        return (
            f"{self.start / 1e9:.6f} to {end} client {self.client}: "
            f"{self.name} {dict(self.changes)}{condition} -> {answer}"
        )


def _read(state: State, operation: Operation) -> State | None:
    return state if state.life == "present" else None


def _create(state: State, operation: Operation) -> State | None:
    return State("present", Task(**operation.changes)) if state.life == "unknown" else None


def _change(state: State, operation: Operation) -> State | None:
    return state._replace(task=state.task.changed(operation.changes)) if state.life == "present" else None


def _toggle(state: State, operation: Operation) -> State | None:
    if state.life != "present":
        return None
    return state._replace(task=state.task._replace(completed=not state.task.completed))


def _delete(state: State, operation: Operation) -> State | None:
    return state._replace(life="deleted") if state.life == "present" else None


def _restore(state: State, operation: Operation) -> State | None:
    return {"unknown": None, "present": state, "deleted": state._replace(life="present")}[state.life]


EFFECTS: Mapping[str, Callable[[State, Operation], State | None]] = {
    "get": _read,
    "create": _create,
    "set": _change,
    "toggle": _toggle,
    "update": _change,
    "patch": _change,
    "delete": _delete,
    "restore": _restore,
}
"""The state after an operation, without its version; the same object if it only reads, and None if the service must
answer 404."""

READS = {"get"}


def step(state: State, operation: Operation) -> State | None:
    """Return the state after an operation, or None if its answer is not possible in this state."""
    if operation.name == "delete" and operation.if_match is not None and state.life == "deleted":
        return _delete_again(state, operation)
    after = EFFECTS[operation.name](state, operation)
    if operation.status == 404:
        return state if after is None else None
    if after is None:
        return None
    if operation.status == 412:
        seen = _observe(state, operation)
        return seen if seen is not None and seen.version != operation.if_match else None
    if after is state:
        return _observe(state, operation)
    before = state if operation.if_match is None else _bind(state, operation.if_match)
    return None if before is None else _write(before, after, operation)


def _delete_again(state: State, operation: Operation) -> State | None:
    """A deletion with the condition of an earlier one succeeds again."""
    if operation.end is None:
        return state
    possible = (
        {204, 404} if state.deleted_version is None else {204 if operation.if_match == state.deleted_version else 404}
    )
    return state if operation.status in possible else None


def _write(before: State, after: State, operation: Operation) -> State | None:
    """Return the state after a write to a task in the state `before`, if it can have its answer."""
    if operation.version is None:
        deleted_version = before.version if after.life == "deleted" and before.exact else None
        return after._replace(version=before.version, exact=False, deleted_version=deleted_version)
    if operation.version <= before.version or operation.task != after.task:
        return None
    return after._replace(version=operation.version, exact=True, deleted_version=None)


def _observe(state: State, operation: Operation) -> State | None:
    if operation.task != state.task or operation.version is None:
        return None
    return _bind(state, operation.version)


def _bind(state: State, version: int) -> State | None:
    """Return the state if it can have this version."""
    if state.exact:
        return state if state.version == version else None
    return state._replace(version=version, exact=True) if version > state.version else None

"""The history of all clients, and its division into one history for each task."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import NamedTuple

from support.history.linearizability import SearchLimitError, linearize
from support.history.model import INITIAL, Operation, Task, step

SHOWN = 6
"""Operations of a contradiction that are printed, before it and in it."""


class Seen(NamedTuple):
    task: Task
    version: int


@dataclass(frozen=True, slots=True)
class Listing:
    """The answer of listTasks, with all tasks of a user."""

    user: str
    start: int
    end: int
    tasks: Mapping[int, Seen]


def mark_of(title: str) -> str:
    """Return the mark of the creation, with which each title of a task begins: "17" of "17 updated 4"."""
    return title.split(" ", 1)[0]


@dataclass
class History:
    """What the clients did. Each creation has a mark of its own, by which its task is found in lists."""

    operations: dict[int, list[Operation]] = field(default_factory=lambda: defaultdict(list))
    """All except creations, by task."""
    creations: dict[str, Operation] = field(default_factory=dict)
    """By mark."""
    created: dict[int, tuple[str, str]] = field(default_factory=dict)
    """User and mark of each task whose creation was answered."""
    listings: list[Listing] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    """Answers that no operation may have."""

    @property
    def answered(self) -> int:
        return sum(each.end is not None for each in self._all()) + len(self.listings)

    @property
    def maybes(self) -> int:
        return sum(each.end is None for each in self._all())

    def _all(self) -> chain[Operation]:
        return chain(self.creations.values(), *self.operations.values())

    def contradictions(self) -> list[str]:
        """Return a text for each part of the history that a correct service cannot cause."""
        tasks = self._tasks()
        times = Counter(mark for _, mark in tasks.values())
        found = [f"creation {mark} is stored {count} times" for mark, count in times.items() if count > 1]
        histories = self._by_task(tasks)
        for task_id, (_, mark) in tasks.items():
            if mark not in self.creations:
                found.append(f"task {task_id} with the mark {mark} was never created")
            elif (text := contradiction(histories[task_id])) is not None:
                found.append(f"task {task_id}: {text}")
        return self.unexpected + found

    def _tasks(self) -> dict[int, tuple[str, str]]:
        """Return user and mark of each task, also of those that only lists have shown, as their creation was lost."""
        tasks = dict(self.created)
        for listing in self.listings:
            for task_id, seen in listing.tasks.items():
                tasks.setdefault(task_id, (listing.user, mark_of(seen.task.title)))
        return tasks

    def _by_task(self, tasks: Mapping[int, tuple[str, str]]) -> dict[int, list[Operation]]:
        """Return the history of each task. A list is a read of each task of its user, all at the same time."""
        found, of_user = {}, defaultdict(list)
        for task_id, (user, mark) in tasks.items():
            creation = self.creations.get(mark)
            found[task_id] = [*([] if creation is None else [creation]), *self.operations[task_id]]
            of_user[user].append(task_id)
        for listing in self.listings:
            absent = Operation("get", listing.start, listing.end, 404)
            for task_id in of_user[listing.user]:
                if (seen := listing.tasks.get(task_id)) is not None:
                    found[task_id].append(replace(absent, status=200, task=seen.task, version=seen.version))
                # Before its creation, a task is absent in any case.
                elif found[task_id][0].start < listing.end:
                    found[task_id].append(absent)
        return found


def contradiction(operations: list[Operation]) -> str | None:
    """Return why the operations of one task are not linearizable; None if they are."""
    try:
        result = linearize(operations, INITIAL, step)
    except SearchLimitError as error:
        return f"undecided: {error}"
    if not result.rest:
        return None
    before, rest = result.order[-SHOWN:], result.rest[:SHOWN]
    lines = ["after", *(f"  {each}" for each in before), "none of these is possible:", *(f"  {each}" for each in rest)]
    return "\n".join(lines)

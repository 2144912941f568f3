"""After random changes, the tasks are those of a model in Python, and the labels are those of the tasks."""

import uuid
from typing import Any

import httpx
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from support.label_model import all_tasks, differences, removed, renamed
from support.operations import labels, tasks
from support.service import Service
from todo_api.tasks.rules import key_of, normalized

LABELS = [
    *("work", "Work", "WORK", "home", "Home", "a/b", "A/B", "100%", "😀", "ß", "ẞ", "ss", "SS", "İ", "i", "I"),
    *("é", "e\u0301", "É", "ΑΣ", "ας", "ασ", "x y", "#?&=+"),
]
label = st.sampled_from(LABELS)
names = st.lists(label, max_size=5, unique_by=key_of)
number = st.integers(0, 30)


class Machine(RuleBasedStateMachine):
    service: Service

    def __init__(self) -> None:
        super().__init__()
        self.user = f"user-{uuid.uuid4().hex}"
        self.client: httpx.Client = self.service.client(self.user)
        self.tasks: dict[int, tuple[list[str], bool]] = {}
        """The labels of each task, and whether it is completed."""
        self.deleted: dict[int, tuple[list[str], bool]] = {}

    def call(self, method: str, url: str, status: int, **others: Any) -> Any:
        answer = self.client.request(method, url, **others)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    def chosen(self, number: int) -> int:
        return list(self.tasks)[number % len(self.tasks)]

    @rule(names=names, completed=st.booleans())
    def create(self, names: list[str], completed: bool) -> None:
        task = self.call("POST", tasks(self.user), 201, json={"title": "x", "labels": names, "completed": completed})
        self.tasks[task["id"]] = [normalized(each) for each in names], completed

    @rule(number=number, names=names)
    def update(self, number: int, names: list[str]) -> None:
        if self.tasks:
            task = self.chosen(number)
            self.call("PATCH", f"{tasks(self.user)}/{task}", 200, json={"labels": names})
            self.tasks[task] = [normalized(each) for each in names], self.tasks[task][1]

    @rule(number=number, completed=st.booleans())
    def complete(self, number: int, completed: bool) -> None:
        if self.tasks:
            task = self.chosen(number)
            self.call("PATCH", f"{tasks(self.user)}/{task}/complete", 200, json={"completed": completed})
            self.tasks[task] = self.tasks[task][0], completed

    @rule(number=number)
    def delete(self, number: int) -> None:
        if self.tasks:
            task = self.chosen(number)
            self.call("DELETE", f"{tasks(self.user)}/{task}", 204)
            self.deleted[task] = self.tasks.pop(task)

    @rule(number=number)
    def restore(self, number: int) -> None:
        if self.deleted:
            task = list(self.deleted)[number % len(self.deleted)]
            self.call("POST", f"{tasks(self.user)}/{task}/restore", 200)
            self.tasks[task] = self.deleted.pop(task)

    @rule(label=label, name=label)
    def rename(self, label: str, name: str) -> None:
        answer = self.call("PATCH", labels(self.user), 200, params={"label": label}, json={"name": name})
        self.replace({task: renamed(before, label, name) for task, (before, _) in self.tasks.items()}, answer["tasks"])

    @rule(label=label)
    def remove(self, label: str) -> None:
        answer = self.call("DELETE", labels(self.user), 200, params={"label": label})
        self.replace({task: removed(before, label) for task, (before, _) in self.tasks.items()}, answer["tasks"])

    def replace(self, after: dict[int, list[str]], count: int) -> None:
        assert count == sum(after[task] != before for task, (before, _) in self.tasks.items())
        self.tasks = {task: (after[task], completed) for task, (_, completed) in self.tasks.items()}

    @invariant()
    def tasks_are_those_of_the_model(self) -> None:
        stored = {task["id"]: (task["labels"], task["completed"]) for task in all_tasks(self.client, self.user)}
        assert stored == self.tasks

    def teardown(self) -> None:
        assert differences(self.client, self.user) == []


def test_labels_are_those_of_the_tasks_after_random_changes(service: Service) -> None:
    Machine.service = service
    run_state_machine_as_test(
        Machine, settings=settings(max_examples=20, stateful_step_count=25, deadline=None, database=None)
    )

"""The checker accepts what one task can answer to concurrent operations, and rejects everything else."""

import random
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from support.history.linearizability import SearchLimitError, linearize
from support.history.model import INITIAL, READS, Operation, State, Task, step
from support.history.recording import History, Listing, Seen, contradiction

NEW = Task("1 new", None, completed=False)
DONE = NEW._replace(completed=True)
ON, AT = "2026-12-24", "2026-12-24T17:30:00Z"
ON_A_DAY, AT_A_TIME = NEW._replace(due_date=ON), NEW._replace(due_at=AT)
LABELED = NEW._replace(labels=("a", "b"))
VALUES = NEW._asdict()
CREATED = Operation("create", 0, 1, 201, VALUES, task=NEW, version=1)


def get(start: int, end: int, task: Task, version: int) -> Operation:
    return Operation("get", start, end, 200, task=task, version=version)


def missing(start: int, end: int) -> Operation:
    return Operation("get", start, end, 404)


def toggle(start: int, end: int, task: Task, version: int) -> Operation:
    return Operation("toggle", start, end, 200, task=task, version=version)


def patch(start: int, end: int, task: Task, version: int, **changes: object) -> Operation:
    return Operation("patch", start, end, 200, changes, task=task, version=version)


TIMED = patch(2, 3, AT_A_TIME, 2, due_at=AT)
LABELING = patch(2, 9, LABELED, 2, labels=("a", "b"))


def lost(name: str, start: int, if_match: int | None = None, **changes: object) -> Operation:
    return Operation(name, start, None, changes=changes, if_match=if_match)


def deleted(start: int, end: int) -> Operation:
    return Operation("delete", start, end, 204)


def deletion(start: int, end: int, status: int, if_match: int) -> Operation:
    return Operation("delete", start, end, status, if_match=if_match)


def restored(start: int, end: int, task: Task, version: int) -> Operation:
    return Operation("restore", start, end, 200, task=task, version=version)


def conditional(status: int, if_match: int, task: Task, version: int) -> Operation:
    return Operation("set", 4, 5, status, {"completed": True}, if_match, task, version)


ACCEPTED = {
    "a read of the created task": [CREATED, get(2, 3, NEW, 1)],
    "a read during the creation that does not see it": [CREATED, missing(0, 2)],
    "a read before the end of a write that sees it": [CREATED, toggle(2, 9, DONE, 2), get(3, 4, DONE, 2)],
    "a read during a write that does not see it": [CREATED, toggle(2, 9, DONE, 2), get(3, 4, NEW, 1)],
    "two toggles at once": [CREATED, toggle(2, 9, NEW, 3), toggle(3, 8, DONE, 2)],
    "a lost toggle that never took effect": [CREATED, lost("toggle", 2), get(3, 4, NEW, 1)],
    "a lost toggle that took effect": [CREATED, lost("toggle", 2), get(3, 4, DONE, 2)],
    "a lost toggle that took effect late": [CREATED, lost("toggle", 2), get(3, 4, NEW, 1), get(5, 6, DONE, 2)],
    "two lost toggles that both took effect": [CREATED, lost("toggle", 2), lost("toggle", 2), get(3, 4, NEW, 3)],
    "a lost creation that took effect late": [lost("create", 0, **VALUES), missing(2, 3), get(4, 5, NEW, 1)],
    "a lost deletion": [CREATED, lost("delete", 2), get(3, 4, NEW, 1), missing(5, 6)],
    "404 for each operation on a deleted task": [CREATED, deleted(2, 3), Operation("toggle", 4, 5, 404), missing(6, 7)],
    "two deletions at once of which one succeeds": [CREATED, Operation("delete", 2, 9, 404), deleted(3, 8)],
    "a change with its condition": [CREATED, conditional(200, 1, DONE, 2)],
    "a failed condition": [CREATED, toggle(2, 3, DONE, 2), conditional(412, 1, DONE, 2)],
    "a condition after a lost write": [CREATED, lost("toggle", 2), conditional(200, 2, DONE, 3)],
    "a lost change with its condition": [CREATED, lost("toggle", 2, if_match=1), get(3, 4, DONE, 2)],
    "the same deletion twice": [CREATED, deletion(2, 3, 204, 1), deletion(4, 5, 204, 1), missing(6, 7)],
    "a deletion after a lost one with the same condition": [
        CREATED,
        lost("delete", 2, if_match=1),
        deletion(3, 4, 204, 1),
    ],
    "another deletion afterwards": [CREATED, deletion(2, 3, 204, 1), deletion(4, 5, 404, 7)],
    "a restored task": [CREATED, deleted(2, 3), restored(4, 5, NEW, 3), get(6, 7, NEW, 3)],
    "a restored task that was not deleted": [CREATED, restored(2, 3, NEW, 1), get(4, 5, NEW, 1)],
    "a restored task of a lost deletion": [CREATED, lost("delete", 2), restored(3, 4, NEW, 3)],
    "a day that clears the time": [CREATED, TIMED, patch(4, 5, ON_A_DAY, 3, due_date=ON)],
    "no day, which keeps the time": [CREATED, TIMED, patch(4, 5, AT_A_TIME, 3, due_date=None)],
    "two members at once": [CREATED, LABELING, patch(2, 9, LABELED._replace(priority="low"), 3, priority="low")],
    "a lost restoration": [CREATED, deleted(2, 3), lost("restore", 4), missing(5, 6), get(7, 8, NEW, 3)],
}
REJECTED = {
    "a read of another title": [CREATED, get(2, 3, NEW._replace(title="1 other"), 1)],
    "a read after a write that does not see it": [CREATED, toggle(2, 3, DONE, 2), get(4, 5, NEW, 1)],
    "a read of a version that no write made": [CREATED, get(2, 3, NEW, 2)],
    "two reads of which the second is older": [CREATED, toggle(2, 9, DONE, 2), get(3, 4, DONE, 2), get(5, 6, NEW, 1)],
    "404 for a task that exists": [CREATED, missing(2, 3)],
    "a read of a deleted task": [CREATED, deleted(2, 3), get(4, 5, NEW, 1)],
    "two toggles at once with one result": [CREATED, toggle(2, 9, DONE, 2), toggle(3, 8, DONE, 3)],
    "two toggles at once with one version": [CREATED, toggle(2, 9, DONE, 2), toggle(3, 8, NEW, 2)],
    "a toggle that took effect twice": [CREATED, toggle(2, 3, NEW, 3)],
    "two deletions that both succeed": [CREATED, deleted(2, 9), deleted(3, 8)],
    "a lost toggle that took effect before its start": [CREATED, get(2, 3, DONE, 2), lost("toggle", 4)],
    "a lost toggle that took effect twice": [CREATED, lost("toggle", 2), get(3, 4, DONE, 2), get(5, 6, NEW, 3)],
    "a lost deletion that was undone": [CREATED, lost("delete", 2), missing(3, 4), get(5, 6, NEW, 1)],
    "a change although its condition fails": [CREATED, toggle(2, 3, DONE, 2), conditional(200, 1, DONE, 3)],
    "a failed condition that is true": [CREATED, conditional(412, 1, NEW, 1)],
    "a lost change although its condition fails": [CREATED, lost("toggle", 2, if_match=7), get(3, 4, DONE, 8)],
    "404 for the same deletion": [CREATED, deletion(2, 3, 204, 1), deletion(4, 5, 404, 1)],
    "a failed condition of a deleted task": [
        CREATED,
        lost("update", 2),
        lost("delete", 2),
        missing(3, 4),
        Operation("delete", 5, 6, 412, {}, 1, NEW, 2),
    ],
    "another deletion that succeeds": [CREATED, deletion(2, 3, 204, 1), deletion(4, 5, 204, 7)],
    "the same deletion of a restored task": [
        CREATED,
        deletion(2, 3, 204, 1),
        restored(4, 5, NEW, 3),
        deletion(6, 7, 204, 1),
    ],
    "a day beside the time": [CREATED, TIMED, patch(4, 5, AT_A_TIME._replace(due_date=ON), 3, due_date=ON)],
    "labels lost by a change at once": [
        CREATED,
        LABELING,
        patch(2, 9, NEW._replace(priority="low"), 3, priority="low"),
    ],
    "labels in another order": [CREATED, patch(2, 3, LABELED, 2, labels=("b", "a"))],
    "a restored task with another title": [CREATED, deleted(2, 3), restored(4, 5, DONE, 3)],
    "a restored task with its old version": [CREATED, deleted(2, 3), restored(4, 5, NEW, 1)],
    "404 for the restoration of a deleted task": [CREATED, deleted(2, 3), Operation("restore", 4, 5, 404)],
    "404 after the restoration": [CREATED, deleted(2, 3), restored(4, 5, NEW, 3), missing(6, 7)],
}


@pytest.mark.parametrize("operations", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_possible_answers_are_accepted(operations: list[Operation]) -> None:
    assert contradiction(operations) is None


@pytest.mark.parametrize("operations", REJECTED.values(), ids=REJECTED.keys())
def test_impossible_answers_are_rejected(operations: list[Operation]) -> None:
    assert contradiction(operations) is not None


def test_contradiction_names_what_fits_and_what_does_not() -> None:
    text = contradiction([CREATED, get(2, 3, NEW, 1), missing(4, 5)])
    assert text is not None
    possible, impossible = text.split("none of these is possible:")
    assert "get {} -> 200" in possible
    assert "get {} -> 404" in impossible


def test_contradiction_names_an_old_answer_that_comes_later() -> None:
    text = contradiction([CREATED, toggle(2, 3, DONE, 2), toggle(4, 5, NEW, 3), get(6, 7, DONE, 2)])
    assert text is not None
    assert text.splitlines()[-1].endswith(f"{DONE} version 2")


def listing(start: int, *tasks: tuple[int, Task, int]) -> Listing:
    return Listing("user", start, start + 1, {number: Seen(task, version) for number, task, version in tasks})


def history(creation: Operation, *listings: Listing) -> History:
    created = {7: ("user", "1")} if creation.end is not None else {}
    return History(creations={"1": creation}, created=created, listings=list(listings))


LOST = lost("create", 0, **VALUES)


class TestHistory:
    def test_lost_creation_in_a_list_is_accepted(self) -> None:
        assert history(LOST, listing(1), listing(3, (7, NEW, 1))).contradictions() == []

    def test_lost_creation_in_no_list_is_accepted(self) -> None:
        assert history(LOST, listing(1)).contradictions() == []

    @pytest.mark.parametrize("creation", [CREATED, LOST], ids=["answered", "lost"])
    def test_creation_that_is_stored_twice_is_rejected(self, creation: Operation) -> None:
        found = history(creation, listing(2, (7, NEW, 1), (8, NEW, 1))).contradictions()
        assert "creation 1 is stored 2 times" in found

    def test_task_without_a_creation_is_rejected(self) -> None:
        (found,) = history(
            CREATED, listing(2, (7, NEW, 1), (8, Task("2 new", None, completed=False), 1))
        ).contradictions()
        assert found == "task 8 with the mark 2 was never created"

    def test_list_that_lacks_a_task_is_rejected(self) -> None:
        (found,) = history(CREATED, listing(2)).contradictions()
        assert found.startswith("task 7: after")

    def test_list_that_shows_a_deleted_task_is_rejected(self) -> None:
        seen = history(CREATED, listing(6, (7, NEW, 1)))
        seen.operations[7].append(deleted(2, 3))
        assert len(seen.contradictions()) == 1


def test_200_toggles_at_once_are_decided_without_a_long_search() -> None:
    toggles = [toggle(2, 999, DONE if number % 2 else NEW, 1 + number) for number in range(1, 201)]
    random.Random(1).shuffle(toggles)  # noqa: S311
    result = linearize([CREATED, *toggles], INITIAL, step, limit=202)
    assert [each.version for each in result.order] == [*range(1, 202)]


def test_rejection_after_many_lost_answers_is_decided_without_a_long_search() -> None:
    maybes = [lost("toggle", 2) for _ in range(20)] + [lost("delete", 2) for _ in range(20)]
    result = linearize([CREATED, *maybes, missing(3, 4), get(5, 6, NEW, 1)], INITIAL, step, limit=1000)
    assert result.rest


def test_search_ends_at_its_limit() -> None:
    maybes = [lost("update", 2, title=f"1 {number}") for number in range(20)]
    with pytest.raises(SearchLimitError, match="22 operations: no result after 10 states"):
        linearize([CREATED, *maybes, get(3, 4, NEW._replace(title="1 other"), 9)], INITIAL, step, limit=10)


# --- random histories: operations are executed one after the other, and then each is given a longer time


Request = tuple[str, dict[str, object]]
"""Name and changes."""
Executed = tuple[Request, int, int, str, str | None]
"""A request, the times before and after it takes effect, the fate of its answer, and its condition."""

CHANGES = st.fixed_dictionaries(
    {}, optional={"title": st.sampled_from(["1 a", "1 b"]), "completed": st.booleans(), "description": st.none()}
)
REQUESTS: st.SearchStrategy[Request] = st.one_of(
    st.sampled_from([("get", {}), ("toggle", {}), ("delete", {}), ("restore", {})]),
    CHANGES.map(lambda changes: ("update", changes)),
)
STEPS = st.lists(
    st.tuples(
        REQUESTS,
        st.integers(0, 60),
        st.integers(0, 60),
        st.sampled_from(["answered", "lost", "never executed"]),
        st.sampled_from([None, "current", "old", "deleted"]),
    ),
    max_size=25,
)


def execute(
    state: State, name: str, changes: dict[str, object], condition: str | None, at: int
) -> tuple[State, Operation]:
    """Return the state after an operation, and the operation with the answer that it must have."""
    if_match = {None: None, "current": state.version, "old": 0, "deleted": state.deleted_version}[
        condition if name not in (*READS, "restore") else None
    ]
    asked = Operation(name, at, at, None, changes, if_match)
    if state.life != "present" and name == "restore":
        state = state._replace(life="present", version=at, deleted_version=None)
        return state, replace(asked, status=200, task=state.task, version=at)
    if state.life != "present":
        is_same = name == "delete" and if_match is not None and if_match == state.deleted_version
        return state, replace(asked, status=204 if is_same else 404)
    if (fails := if_match not in (None, state.version)) or name in {"get", "restore"}:
        return state, replace(asked, status=412 if fails else 200, task=state.task, version=state.version)
    if name == "delete":
        return state._replace(life="deleted", version=at, deleted_version=state.version), replace(asked, status=204)
    members = {"completed": not state.task.completed} if name == "toggle" else changes
    state = state._replace(task=state.task._replace(**members), version=at, deleted_version=None)
    return state, replace(asked, status=200, task=state.task, version=at)


def executed(steps: list[Executed]) -> list[Operation]:
    """Return a history of operations that take effect one after the other, at the times 100, 110, …"""
    state = State("present", NEW, version=90)
    operations = [Operation("create", 80, 95, 201, VALUES, task=NEW, version=90)]
    for number, ((name, changes), before, after, fate, condition) in enumerate(steps):
        at = 100 + 10 * number
        changed, operation = execute(state, name, changes, condition, at)
        if fate == "answered":
            state = changed
            operations.append(replace(operation, start=max(at - before, 81), end=at + after))
        elif name not in READS:
            state = changed if fate == "lost" else state
            operations.append(Operation(name, max(at - before, 81), None, None, changes, operation.if_match))
    return operations


@given(steps=STEPS, data=st.data())
def test_random_execution_is_accepted_at_any_concurrency(steps: list[Executed], data: st.DataObject) -> None:
    assert contradiction(data.draw(st.permutations(executed(steps)))) is None


@given(steps=STEPS, data=st.data())
def test_random_execution_with_a_wrong_task_is_rejected(steps: list[Executed], data: st.DataObject) -> None:
    operations = executed(steps)
    number = data.draw(st.sampled_from([number for number, each in enumerate(operations) if each.task is not None]))
    operations[number] = replace(operations[number], task=Task("1 wrong", None, completed=False))
    assert contradiction(operations) is not None


@given(steps=STEPS, data=st.data())
def test_random_execution_with_a_wrong_404_is_rejected(steps: list[Executed], data: st.DataObject) -> None:
    operations = executed([each for each in steps if each[0][0] != "delete"])
    # During its creation, the task may be missing.
    answers = [number for number, each in enumerate(operations) if each.task is not None and each.start > 95]
    assume(answers)
    number = data.draw(st.sampled_from(answers))
    operations[number] = replace(operations[number], status=404, task=None, version=None)
    assert contradiction(operations) is not None


@given(steps=STEPS, data=st.data())
def test_random_execution_with_an_old_read_is_rejected(steps: list[Executed], data: st.DataObject) -> None:
    """The read starts after the answer to a write, and has the state before it."""
    operations = executed(steps)
    writes = [each for each in operations if each.status in (200, 201) and each.name not in READS]
    # A restoration of a task that is not deleted repeats its version.
    states = list({each.version: each.task for each in writes if each.version is not None}.items())
    assume(len(states) > 1)
    number = data.draw(st.integers(1, len(states) - 1))
    end = next(each.end for each in writes if each.version == states[number][0])
    version, task = states[number - 1]
    assert end is not None
    assert task is not None
    operations.append(get(end + 1, end + 99, task, version))
    assert contradiction(operations) is not None

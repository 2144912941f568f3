"""Decides whether concurrent operations are linearizable: whether each took effect at one moment between its start and
its end.

The search of Wing and Gong ("Testing and Verifying Concurrent Objects", 1993) with the memo of Lowe ("Testing for
Linearizability", 2017): it places one operation after the other. Lost answers are the reason for three additions,
because an operation without an end could be next at any time: those are tried last, fewer of them first; an order is
given up if another one is as far with some of them left; and of equal ones, the first is tried.
"""

import heapq
import itertools
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar


class Operation(Protocol):
    @property
    def start(self) -> int: ...

    @property
    def end(self) -> int | None:
        """None if the answer was lost: the operation takes effect at any time after its start, or never."""

    @property
    def version(self) -> int | None:
        """The version of the object in the answer. A smaller version is an earlier state."""

    @property
    def effect(self) -> Hashable:
        """Equal for operations that change each state in the same way."""


S = TypeVar("S", bound=Hashable)
Op = TypeVar("Op", bound=Operation)

Step = Callable[[S, Op], S | None]
"""Returns the state after an operation, or None if its answer is not possible in this state."""


class SearchLimitError(Exception):
    """The search was ended before it found an order or excluded all."""


@dataclass(frozen=True, slots=True)
class Result(Generic[Op]):
    order: Sequence[Op]
    """The order that was found, or the longest one that fits."""
    rest: Sequence[Op] = ()
    """Empty if the operations are linearizable. Otherwise those of which none can follow the longest order: those that
    have started, and those that have the next version."""


@dataclass(frozen=True, slots=True)
class _Node(Generic[S, Op]):
    """Operations that are placed, and what can follow. Numbers are positions in the operations by start."""

    state: S
    started: int
    """The operations before this number have started, at the latest when the last one was placed."""
    answered: tuple[int, ...] = ()
    """Those of them that are not placed and have an answer."""
    lost: tuple[int, ...] = ()
    """Those of them that are not placed and have none."""
    placed: int = 0
    """Number of placed answers."""
    versions: int = 0
    """Number of placed answers with a version."""
    operation: Op | None = None
    """The last one that was placed."""
    before: "_Node[S, Op] | None" = None

    def order(self) -> list[Op]:
        found: list[Op] = []
        node: _Node[S, Op] | None = self
        while node is not None and node.operation is not None:
            found.append(node.operation)
            node = node.before
        return found[::-1]


def linearize(operations: Sequence[Op], initial: S, step: Step[S, Op], limit: int = 100_000) -> Result[Op]:
    """Search an order of all answered operations. Raises SearchLimitError after `limit` states."""
    search = _Search(sorted(operations, key=lambda operation: operation.start), step)
    first = longest = search.open(_Node(initial, 0))
    # The longest order first, then the one with the fewest lost operations; the number makes entries comparable.
    numbers = itertools.count()
    queue: list[tuple[int, int, int, bool, _Node[S, Op]]] = [(0, 0, next(numbers), False, first)]
    while queue:
        _, lost, number, is_second_visit, node = heapq.heappop(queue)
        if node.placed == search.answers:
            return Result(node.order())
        if number > limit:
            raise SearchLimitError(f"{len(operations)} operations: no result after {limit} states")
        if node.placed > longest.placed:
            longest = node
        if is_second_visit:
            found = search.after_lost(node)
        else:
            found, is_only = search.after_answered(node)
            if not is_only and node.lost:
                heapq.heappush(queue, (-node.placed, lost + 1, next(numbers), True, node))
        for each in found:
            if not search.is_known(each):
                heapq.heappush(queue, (-each.placed, lost + is_second_visit, next(numbers), False, each))
    return Result(longest.order(), search.impossible_after(longest))


class _Search(Generic[S, Op]):
    def __init__(self, operations: Sequence[Op], step: Step[S, Op]) -> None:
        self.operations = operations
        self._step = step
        self.answers = sum(operation.end is not None for operation in operations)
        # An order has ascending versions, so the number of placed versions is a position in this list.
        self._versions = sorted(
            each.version for each in operations if each.version is not None and each.end is not None
        )
        self._known: dict[tuple[int, tuple[int, ...], S], list[set[int]]] = {}

    def after_answered(self, node: _Node[S, Op]) -> tuple[list[_Node[S, Op]], bool]:
        """Return the nodes after each operation whose answer is possible, and whether there is only one: an operation
        that changes nothing, because in each order that has it later it can be moved here."""
        found = []
        version = self._next_version(node)
        for number in node.answered:
            operation = self.operations[number]
            if operation.version is not None and operation.version != version:
                continue
            state = self._step(node.state, operation)
            if state is not None:
                found.append(self._place(node, number, state))
                if state == node.state:
                    return found[-1:], True
        return found, False

    def after_lost(self, node: _Node[S, Op]) -> list[_Node[S, Op]]:
        """Return the nodes after each operation whose answer was lost, and which changes the state."""
        found = {}
        for number in node.lost:
            operation = self.operations[number]
            if operation.effect in found:
                continue
            state = self._step(node.state, operation)
            if state is not None and state != node.state:
                found[operation.effect] = self._place(node, number, state)
        return list(found.values())

    def is_known(self, node: _Node[S, Op]) -> bool:
        """Return whether the search has been here: with the same answers left, the same state, and the same lost
        operations left, or more of them."""
        known = self._known.setdefault((node.started, node.answered, node.state), [])
        if any(lost.issuperset(node.lost) for lost in known):
            return True
        known.append(set(node.lost))
        return False

    def impossible_after(self, node: _Node[S, Op]) -> list[Op]:
        version = self._next_version(node)
        later = self.operations[node.started :]
        return [self.operations[number] for number in node.answered] + [
            each for each in later if version is not None and each.version == version
        ]

    def _next_version(self, node: _Node[S, Op]) -> int | None:
        return self._versions[node.versions] if node.versions < len(self._versions) else None

    def _place(self, node: _Node[S, Op], number: int, state: S) -> _Node[S, Op]:
        operation = self.operations[number]
        is_answered = operation.end is not None
        return self.open(
            _Node(
                state,
                node.started,
                tuple(each for each in node.answered if each != number),
                tuple(each for each in node.lost if each != number),
                node.placed + is_answered,
                node.versions + (is_answered and operation.version is not None),
                operation,
                node,
            )
        )

    def open(self, node: _Node[S, Op]) -> _Node[S, Op]:
        """Add the operations that start before one of the answered ones must have ended."""
        answered, lost, started = list(node.answered), list(node.lost), node.started
        horizon = min(self._ends(answered), default=None)
        while started < len(self.operations):
            operation = self.operations[started]
            if horizon is not None and operation.start > horizon:
                break
            if operation.end is None:
                lost.append(started)
            else:
                answered.append(started)
                horizon = operation.end if horizon is None else min(horizon, operation.end)
            started += 1
        return replace(node, started=started, answered=tuple(answered), lost=tuple(lost))

    def _ends(self, numbers: Sequence[int]) -> Iterator[int]:
        for number in numbers:
            end = self.operations[number].end
            assert end is not None
            yield end

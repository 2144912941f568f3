"""Under faults, all answers fit together: each operation takes effect once, or never if its answer was lost.

Operations, lost answers, faults and the verdict are printed at the end of the run. HISTORY_OPERATIONS is the number of
answered operations, and HISTORY_SEED repeats the clients' choices.
"""

import itertools
import os
import random
import time

import pytest

from support.history.stack import FAULTS, Stack
from support.history.workload import Workload

OPERATIONS = int(os.environ.get("HISTORY_OPERATIONS", "10000"))
SEED = int(os.environ.get("HISTORY_SEED", "1"))
ROUNDS = max(2, OPERATIONS // 10_000)
"""How often each fault occurs."""


def test_answers_are_linearizable_under_faults(stack: Stack, request: pytest.FixtureRequest) -> None:
    workload, start = Workload(stack.urls, SEED), time.monotonic()
    order = random.Random(SEED)  # noqa: S311
    faults = [name for _ in range(ROUNDS) for name in order.sample(sorted(FAULTS), len(FAULTS))]
    distance = OPERATIONS // (len(faults) + 1)
    with workload.running():
        for name, answered in zip(faults, itertools.count(distance, distance), strict=False):
            workload.wait_until(answered)
            FAULTS[name](stack)
        workload.wait_until(OPERATIONS)
    seconds, history = time.monotonic() - start, workload.history
    start = time.monotonic()
    contradictions = history.contradictions()
    line = (
        f"{history.answered} operations of {len(workload.history.created)} tasks, {history.maybes} lost answers, "
        f"{len(faults)} faults in {seconds:.0f} s, seed {SEED}: "
        f"{len(contradictions)} contradictions, decided in {time.monotonic() - start:.1f} s"
    )
    request.node.user_properties.append(("history", line))
    assert not contradictions, "\n".join(contradictions[:10])
    assert history.answered >= OPERATIONS

"""The checker finds bugs of the service. Time and number of operations until then are printed at the end of the run."""

import sys
import time
from pathlib import Path

import pytest

from support.history.seeded_bugs import BUGS
from support.history.stack import FAULTS, Databases, serving_stack
from support.history.workload import Workload

ROUNDS, OPERATIONS = 10, 1000
"""Rounds until the checker gives up, and operations of each."""


@pytest.mark.parametrize("bug", BUGS)
def test_seeded_bug_is_found(bug: str, databases: Databases, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    command = [sys.executable, "-m", "support.history.seeded_bugs", bug]
    with serving_stack(databases, tmp_path, command) as stack:
        start = time.monotonic()
        for number in range(ROUNDS):
            workload = Workload(stack.urls, number)
            with workload.running():
                workload.wait_until(OPERATIONS // 2)
                FAULTS["connections ended after the commit"](stack)
                workload.wait_until(OPERATIONS)
            if found := workload.history.contradictions():
                break
    line = (
        f"{bug}: found after {number * OPERATIONS + workload.answered} operations in {time.monotonic() - start:.1f} s"
    )
    request.node.user_properties.append(("history", line))
    assert found

"""Clients that retry each lost answer. The damage is printed at the end of the run."""

import pytest

from support.history.retrying import RetryingClients
from support.history.stack import FAULTS, Stack
from support.serving import wait_for

CREATIONS = 200
"""Between two faults."""


def test_retries_without_keys_do_damage(stack: Stack, request: pytest.FixtureRequest) -> None:
    clients = RetryingClients(stack.urls)
    with clients.running():
        for number, fault in enumerate(FAULTS.values(), start=1):
            enough = number * CREATIONS
            wait_for(lambda: clients.damage.creations >= enough, f"{enough} creations")  # noqa: B023
            fault(stack)
    request.node.user_properties.append(("history", f"retries without keys: {clients.damage}"))
    assert clients.damage.doubled_creations
    assert clients.damage.wrong_toggles
    assert clients.damage.false_404s

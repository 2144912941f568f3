"""Clients that retry each lost answer. The damage is printed at the end of the run."""

import pytest

from support.history.retrying import Damage, RetryingClients
from support.history.stack import FAULTS, Stack
from support.serving import wait_for

CREATIONS = 100
"""Between two faults."""


def damage(stack: Stack, request: pytest.FixtureRequest, *, protected: bool) -> Damage:
    clients = RetryingClients(stack.urls, protected)
    with clients.running():
        for number, fault in enumerate(FAULTS.values(), start=1):
            enough = number * CREATIONS
            wait_for(lambda: clients.damage.creations >= enough, f"{enough} creations")  # noqa: B023
            fault(stack)
    name = "with keys and If-Match" if protected else "without keys"
    request.node.user_properties.append(("history", f"retries {name}: {clients.damage}"))
    return clients.damage


def test_retries_without_keys_do_damage(stack: Stack, request: pytest.FixtureRequest) -> None:
    done = damage(stack, request, protected=False)
    assert done.doubled_creations
    assert done.wrong_toggles
    assert done.false_404s


def test_retries_with_keys_do_no_damage(stack: Stack, request: pytest.FixtureRequest) -> None:
    done = damage(stack, request, protected=True)
    assert not done.doubled_creations
    assert not done.wrong_toggles
    assert not done.false_404s

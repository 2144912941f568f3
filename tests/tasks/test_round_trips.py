"""An operation takes one round trip to the database, two through a pooler, because Neon is reached over a network."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from support.operations import OF_TASKS, send
from support.relay import Relay
from support.service import running, settings_for
from todo_api.app import create_app

WITH_DATABASE = [operation for operation in OF_TASKS if operation.security]


@contextmanager
def relayed(database_url: str) -> Iterator[Relay]:
    """Runs a relay in its own thread and event loop."""
    relay, ready = Relay(database_url), threading.Event()

    async def serve() -> None:
        async with relay.open():
            ready.set()
            await asyncio.to_thread(done.wait)

    done = threading.Event()
    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(30)
        yield relay
    finally:
        done.set()
        thread.join(30)


@pytest.mark.parametrize(("pooler", "trips"), [("", 1), ("&pgbouncer=true", 2)], ids=["direct", "pooled"])
def test_each_operation_takes_one_round_trip_or_two_through_a_pooler(
    database_url: str, user: str, pooler: str, trips: int
) -> None:
    counted = {}
    with relayed(database_url) as relay, running(create_app(settings_for(relay.url + pooler))) as service:
        client = service.client(user)
        for operation in WITH_DATABASE:
            # The first time, the service also connects and prepares the statement.
            for _ in range(2):
                task = client.post(f"/api/{user}/tasks", json={"title": "x"}).json()
                before = relay.round_trips
                assert send(client, operation, user, task["id"]).status_code == operation.successes[0]
            counted[operation.id] = relay.round_trips - before
        # Readiness takes no round trip while the state is known.
        before = relay.round_trips
        assert client.get("/health/ready").status_code == 200
        assert relay.round_trips == before
    assert counted == {operation.id: trips for operation in WITH_DATABASE}

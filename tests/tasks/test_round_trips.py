"""A statement takes one round trip to the database, two through a pooler, because Neon is reached over a network."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from structlog.testing import capture_logs

from support.operations import SECURED, create_things, send
from support.relay import Relay
from support.service import running, settings_for
from todo_api.app import create_app


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
def test_each_statement_takes_one_round_trip_or_two_through_a_pooler(
    database_url: str, user: str, pooler: str, trips: int
) -> None:
    counted, statements = {}, {}
    with relayed(database_url) as relay, running(create_app(settings_for(relay.url + pooler))) as service:
        client = service.client(user)
        for operation in SECURED:
            # The first time, the service also connects and prepares the statement.
            for _ in range(2):
                things = create_things(client, user)
                before = relay.round_trips
                with capture_logs() as lines:
                    assert send(client, operation, user, things).status_code in operation.successes
                    # The line is written before this next request is read.
                    client.get("/health")
            counted[operation.id] = relay.round_trips - before
            (statements[operation.id],) = [line["statements"] for line in lines if line["path"] == operation.path]
        # Readiness takes no round trip while the state is known.
        before = relay.round_trips
        assert client.get("/health/ready").status_code == 200
        assert relay.round_trips == before
    assert counted == {operation: trips * count for operation, count in statements.items()}
    assert set(statements.values()) == {1}

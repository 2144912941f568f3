"""A statement takes one round trip to the database, two through a pooler, because Neon is reached over a network."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from structlog.testing import capture_logs

from support.operations import SECURED, TRANSACTIONS, create_things, send, tasks
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


direct_and_pooled = pytest.mark.parametrize(
    ("pooler", "trips"), [("", 1), ("&pgbouncer=true", 2)], ids=["direct", "pooled"]
)


@direct_and_pooled
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
    # BEGIN and COMMIT of a transaction take one each.
    assert counted == {name: trips * count + (2 if count > 1 else 0) for name, count in statements.items()}
    assert {name: count for name, count in statements.items() if count != 1} == TRANSACTIONS


@direct_and_pooled
def test_conditional_and_repeated_requests_take_no_further_round_trip(
    database_url: str, user: str, pooler: str, trips: int
) -> None:
    counted = {}
    with relayed(database_url) as relay, running(create_app(settings_for(relay.url + pooler))) as service:
        client = service.client(user)
        url = client.post(tasks(user), json={"title": "x"}).headers["Location"]
        # The first time, the service also connects and prepares the statements.
        for number in range(2):
            key = {"Idempotency-Key": f"key-{number}"}
            requests: list[tuple[str, int, str, str, dict[str, str] | None, dict[str, str]]] = [
                ("create with a key", 201, "POST", tasks(user), {"title": "x"}, key),
                ("create again", 201, "POST", tasks(user), {"title": "x"}, key),
                ("toggle with a key", 200, "PATCH", f"{url}/complete", None, key),
                ("known list", 304, "GET", tasks(user), None, {"If-None-Match": "*"}),
                ("known task", 304, "GET", url, None, {"If-None-Match": "*"}),
                ("changed task", 412, "PUT", url, {"title": "x"}, {"If-Match": '"0"'}),
            ]
            for name, status, method, path, body, headers in requests:
                before = relay.round_trips
                assert client.request(method, path, json=body, headers=headers).status_code == status
                counted[name] = relay.round_trips - before
    assert counted == dict.fromkeys(counted, trips)

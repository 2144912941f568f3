"""Many creations with one Idempotency-Key are one, also if the first one was committed and its answer was lost."""

import asyncio
import signal
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import orjson
import pytest

from support.history.stack import Stack
from support.http_connection import Answer, at_once
from support.operations import tasks
from support.service import SECRET
from support.serving import wait_for
from todo_api.auth.tokens import sign

CREATIONS = 100


def _restart_postgres(stack: Stack) -> None:
    with stack.databases.postgres.stopped(signal.SIGQUIT):
        pass


ENDS: dict[str, Callable[[Stack], None]] = {
    "service killed": lambda stack: stack.services[0].kill(),
    "PostgreSQL stopped": _restart_postgres,
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
def test_100_creations_with_the_key_of_a_lost_one_create_one_task(stack: Stack, end: Callable[[Stack], None]) -> None:
    service, postgres = stack.services[0], stack.databases.postgres
    user, content = f"user-{uuid.uuid4().hex}", orjson.dumps({"title": "Buy milk"})
    reading = {"Host": "localhost", "Authorization": f"Bearer {sign(SECRET, user, lifetime=600)}"}
    headers = reading | {
        "Content-Type": "application/json",
        "Content-Length": str(len(content)),
        "Idempotency-Key": str(uuid.uuid4()),
    }

    def create(count: int) -> list[Answer]:
        sent = at_once(service.url, count, lambda connection: connection.send("POST", tasks(user), headers, content))
        return [answer for answer, _, _ in asyncio.run(sent)]

    def create_unconfirmed() -> list[Answer]:
        wait_for(lambda: postgres.query("SHOW synchronous_standby_names") == "missing", "unconfirmed commit")
        return create(1)

    with ThreadPoolExecutor(1) as thread:
        first = thread.submit(create_unconfirmed)
        with postgres.unconfirmed_commits(1):
            end(stack)
        # Without an answer, with 503, or with the one of the service's own retry.
        with suppress(ConnectionError):
            first.result()
    service.restart()
    answers = create(CREATIONS)
    assert {(answer.status, answer.content) for answer in answers} == {(201, answers[0].content)}
    assert {answer.headers["idempotency-replayed"] for answer in answers} == {"true"}
    listed = asyncio.run(at_once(service.url, 1, lambda connection: connection.send("GET", tasks(user), reading)))
    assert [item["id"] for item in orjson.loads(listed[0][0].content)["items"]] == [
        orjson.loads(answers[0].content)["id"]
    ]

"""`updated_at` increases with each write, up to the maximum of the contract."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import pairwise

import asyncpg
import httpx
import pytest

from support.databases import execute
from support.operations import tasks
from support.service import Service

WRITES: dict[str, Callable[[httpx.Client, str], httpx.Response]] = {
    "update": lambda client, one: client.put(one, json={"title": "Buy oat milk"}),
    "update without a change": lambda client, one: client.put(one, json={"title": "Buy milk"}),
    "toggle": lambda client, one: client.patch(f"{one}/complete"),
    "set": lambda client, one: client.patch(f"{one}/complete", json={"completed": True}),
    "set without a change": lambda client, one: client.patch(f"{one}/complete", json={"completed": False}),
}


class TestUpdatedAt:
    @pytest.mark.parametrize("write", WRITES)
    def test_updated_at_increases_with_each_write(
        self, client: httpx.Client, user: str, task: dict[str, object], write: str
    ) -> None:
        times = [str(task["updated_at"])]
        times += [WRITES[write](client, f"{tasks(user)}/{task['id']}").json()["updated_at"] for _ in range(3)]
        assert times == sorted(set(times))
        assert client.get(f"{tasks(user)}/{task['id']}").json()["created_at"] == task["created_at"]

    @pytest.mark.parametrize("write", WRITES)
    def test_updated_at_increases_if_a_later_write_commits_first(
        self, database_url: str, client: httpx.Client, user: str, task: dict[str, object], write: str
    ) -> None:
        """The write waits for a lock while another one, which started later, is committed."""

        async def run() -> tuple[datetime, datetime]:
            holder, observer = [await asyncpg.connect(database_url) for _ in range(2)]
            async with holder.transaction():
                await holder.execute("SELECT FROM task WHERE id = $1 FOR UPDATE", task["id"])
                writing = asyncio.create_task(asyncio.to_thread(WRITES[write], client, f"{tasks(user)}/{task['id']}"))
                async with asyncio.timeout(30):
                    while not await observer.fetchval(WAITS_FOR, holder.get_server_pid()):
                        await asyncio.sleep(0.005)
                earlier: datetime = await holder.fetchval(
                    "UPDATE task SET updated_at = clock_timestamp() WHERE id = $1 RETURNING updated_at", task["id"]
                )
            written = await writing
            for connection in holder, observer:
                await connection.close()
            return earlier, datetime.fromisoformat(written.json()["updated_at"])

        earlier, last = asyncio.run(run())
        assert last > earlier

    def test_updated_at_increases_with_concurrent_writes(
        self, service: Service, database_url: str, user: str, task: dict[str, object], request: pytest.FixtureRequest
    ) -> None:
        """A trigger records every `updated_at` in the order of the writes."""

        def write(number: int) -> None:
            kinds = list(WRITES.values())
            for turn in range(20):
                response = kinds[(number + turn) % len(kinds)](service.client(user), f"{tasks(user)}/{task['id']}")
                assert response.status_code == 200

        execute(database_url, RECORD_TIMES)
        try:
            with ThreadPoolExecutor(8) as threads:
                list(threads.map(write, range(8)))
            times = asyncio.run(fetch(database_url, "SELECT updated_at FROM written ORDER BY number"))
        finally:
            execute(database_url, "DROP FUNCTION record_time CASCADE; DROP TABLE written")
        backwards = sum(later <= earlier for earlier, later in pairwise(times))
        request.node.user_properties.append(("figures", f"updated_at: {len(times)} writes, {backwards} backwards"))
        assert (len(times), backwards) == (8 * 20, 0)

    @pytest.mark.parametrize(
        ("created_at", "updated_at", "expected"),
        [
            ("2999-01-01T00:00:00Z", "2999-01-01T00:00:00Z", "2999-01-01T00:00:00.000001Z"),
            ("2999-01-01T00:00:00Z", "2000-01-01T00:00:00Z", "2999-01-01T00:00:00Z"),
            ("2000-01-01T00:00:00Z", "9999-12-31T23:59:59.999998Z", "9999-12-31T23:59:59.999999Z"),
            ("2000-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
            ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
        ],
        ids=["clock set back", "before created_at", "before the maximum", "at the maximum", "created at the maximum"],
    )
    @pytest.mark.parametrize("write", WRITES)
    def test_updated_at_stays_within_the_contract(
        self,
        database_url: str,
        client: httpx.Client,
        user: str,
        task: dict[str, object],
        write: str,
        created_at: str,
        updated_at: str,
        expected: str,
    ) -> None:
        asyncio.run(fetch(database_url, SET_TIMES, created_at, updated_at, task["id"]))
        written = WRITES[write](client, f"{tasks(user)}/{task['id']}")
        assert written.status_code == 200
        assert datetime.fromisoformat(written.json()["updated_at"]) == datetime.fromisoformat(expected)


# Whether a connection waits for a lock that the given backend holds.
WAITS_FOR = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid)))"

RECORD_TIMES = """
    CREATE TABLE written (number bigint GENERATED ALWAYS AS IDENTITY, updated_at timestamptz);
    CREATE FUNCTION record_time() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO written (updated_at) VALUES (NEW.updated_at);
        RETURN NEW;
    END $$;
    CREATE TRIGGER record_time AFTER UPDATE ON task FOR EACH ROW EXECUTE FUNCTION record_time();
"""


SET_TIMES = """
    UPDATE task SET created_at = $1::text::timestamptz, updated_at = $2::text::timestamptz WHERE id = $3
"""


async def fetch(url: str, query: str, *arguments: object) -> list[datetime]:
    connection = await asyncpg.connect(url)
    try:
        return [row[0] for row in await connection.fetch(query, *arguments)]
    finally:
        await connection.close()

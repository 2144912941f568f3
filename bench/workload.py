"""The workload of every server: the mix of operations, the load generator, and a check that the server's responses are
correct."""

import json
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import httpx

from database import TASKS, USERS
from servers import BENCH, NODE, SECRET
from todo_api.auth.tokens import sign

MIX = {"get": 40, "list of 50": 20, "create": 10, "update": 15, "complete": 15}
"""Percent of each operation, for an application that reads more often than it writes."""
CONNECTIONS = 32
HOW_TO_INSTALL = "wrk is not installed (Debian, Ubuntu: apt install wrk)."
CALLERS = 20
"""Users whose requests are sent one after another."""
CREATE = {"title": "Buy milk", "description": "Two litres"}
UPDATE = {"title": "Buy oat milk", "description": None}
COMPLETE = {"completed": True}


Call = Callable[[], httpx.Response]


class WorkloadError(Exception):
    """A server returned a wrong response, or the load generator failed."""


@dataclass(frozen=True)
class Load:
    """Result of the load generator. Latencies are in milliseconds."""

    requests: int
    seconds: float
    p50: float
    p99: float


def token(user: int | str) -> str:
    return sign(SECRET, f"user-{user}", lifetime=6 * 3600)


def write_tokens(directory: Path) -> Path:
    """Writes a token of every user to a file, one per line, and returns its path."""
    path = directory / "tokens"
    path.write_text("".join(f"{token(user)}\n" for user in range(1, USERS + 1)))
    return path


def generator() -> str:
    """Returns `wrk`, or `autocannon` if wrk is not installed. autocannon takes more CPU from the database."""
    return "wrk" if shutil.which("wrk") else "autocannon"


def load(url: str, tokens: Path, seconds: int, seed: int, mix: Mapping[str, int] = MIX) -> Load:
    """Sends the mix for `seconds` with random requests. Raises WorkloadError if any response is not 2xx."""
    arguments = [str(tokens), str(TASKS), str(seed), *(str(mix.get(name, 0)) for name in MIX)]
    if generator() == "wrk":
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "10s"]
        command += ["-s", str(BENCH / "load.lua"), url, "--", *arguments]
    else:
        command = [str(NODE), str(BENCH / "load.js"), url, str(seconds), str(CONNECTIONS), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + 60)
    _, found, result = done.stdout.partition("RESULT ")
    if not found:
        raise WorkloadError(f"{command[0]} failed: {done.stderr or done.stdout}")
    values = json.loads(result)
    if errors := values.pop("errors"):
        raise WorkloadError(f"{errors} of {values['requests']} requests failed")
    return Load(**values)


def calls(client: httpx.Client) -> dict[str, Call]:
    """Returns functions that send one request of an operation, by name. CALLERS users take turns.

    Each raises httpx.HTTPStatusError for a response that is not 2xx."""
    users = [(user, {"Authorization": f"Bearer {token(user)}"}) for user in range(1, CALLERS + 1)]
    turn = count()

    def send(method: str, path: str, body: Mapping[str, Any] | None = None) -> httpx.Response:
        index = next(turn)
        user, headers = users[index % CALLERS]
        url = f"/api/user-{user}/tasks{path.format(task=index % TASKS * USERS + user)}"
        return client.request(method, url, headers=headers, json=body).raise_for_status()

    return {
        "get": partial(send, "GET", "/{task}"),
        "list of 50": partial(send, "GET", "?limit=50"),
        "create": partial(send, "POST", "", CREATE),
        "update": partial(send, "PUT", "/{task}", UPDATE),
        "complete": partial(send, "PATCH", "/{task}/complete", COMPLETE),
    }


def own_calls(client: httpx.Client) -> dict[str, Call]:
    """Returns functions as `calls` does, for what only todo-api has: idempotency keys and conditional requests. Each
    raises WorkloadError unless its key or condition has the intended effect."""
    users = [(f"/api/user-{user}/tasks", {"Authorization": f"Bearer {token(user)}"}) for user in range(1, CALLERS + 1)]
    turn = count()
    etags: dict[str, str] = {}

    def known(url: str, headers: Mapping[str, str]) -> str:
        """Returns the entity tag of the last response; only the first request with it needs one more."""
        if url not in etags:
            etags[url] = client.get(url, headers=headers).raise_for_status().headers["ETag"]
        return etags[url]

    def create() -> httpx.Response:
        index = next(turn)
        tasks, headers = users[index % CALLERS]
        response = client.post(tasks, headers={**headers, "Idempotency-Key": f'"action-{index}"'}, json=CREATE)
        _ok(response, 201)
        return response

    def update() -> httpx.Response:
        index = next(turn) % CALLERS
        tasks, headers = users[index]
        url = f"{tasks}/{index + 1}"
        response = client.put(url, headers={**headers, "If-Match": known(url, headers)}, json=UPDATE)
        _ok(response, 200)
        etags[url] = response.headers["ETag"]
        return response

    def read(path: str) -> httpx.Response:
        index = next(turn) % CALLERS
        tasks, headers = users[index]
        url = tasks + path.format(task=index + 1)
        response = client.get(url, headers={**headers, "If-None-Match": known(url, headers)})
        if response.status_code != 304:
            raise WorkloadError(f"{url} with If-None-Match: {response.status_code} {response.text[:200]}")
        return response

    return {
        "create with Idempotency-Key": create,
        "update with If-Match": update,
        "get, 304": partial(read, "/{task}"),
        "list of 50, 304": partial(read, "?limit=50"),
    }


def verify(url: str) -> None:
    """Checks the five operations and the rejection of bad requests, so that no server is fast because it skips work.
    Raises WorkloadError."""
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token(1)}"}, timeout=10) as client:
        _verify_responses(client)
        _verify_rejections(client)


def _verify_responses(client: httpx.Client) -> None:
    tasks = "/api/user-1/tasks"
    seeded = _ok(client.get(f"{tasks}/1"), 200)
    _same(seeded, id=1, user_id="user-1", title="Task 0", completed=True)
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    if not 60 < (datetime.fromisoformat(seeded["created_at"]) - begin).total_seconds() < 62:
        raise WorkloadError(f"created_at is not the seeded time: {seeded}")

    first = _ok(client.get(tasks, params={"limit": 50}), 200)
    second = _ok(client.get(tasks, params={"limit": 50, "cursor": first["next_cursor"]}), 200)
    newest = [n * USERS + 1 for n in reversed(range(TASKS))]
    if [task["id"] for page in (first, second) for task in page["items"]] != newest[:100]:
        raise WorkloadError("the first two pages are not the 100 newest tasks")

    created = _ok(client.post(tasks, json=CREATE), 201)
    _same(created, user_id="user-1", completed=False, **CREATE)
    one = f"{tasks}/{created['id']}"
    _same(_ok(client.patch(f"{one}/complete", json=COMPLETE), 200), id=created["id"], **CREATE | COMPLETE)
    # Members that are absent from an update keep their values.
    changed = _ok(client.put(one, json=UPDATE), 200)
    _same(changed, **UPDATE | COMPLETE)
    if datetime.fromisoformat(changed["updated_at"]) <= datetime.fromisoformat(created["updated_at"]):
        raise WorkloadError(f"updated_at did not increase: {changed}")
    _same(_ok(client.get(one), 200), **changed)


def _verify_rejections(client: httpx.Client) -> None:
    mine, others = "/api/user-1/tasks", "/api/user-2/tasks"
    forged = {"Authorization": f"Bearer {token(1)[:-4]}AAAA"}
    expired = {"Authorization": f"Bearer {sign(SECRET, 'user-1', lifetime=-1)}"}
    rejected: list[tuple[set[int], str, str, dict[str, Any]]] = [
        ({401}, "GET", f"{mine}/1", {"headers": {"Authorization": ""}}),
        ({401}, "GET", f"{mine}/1", {"headers": forged}),
        ({401}, "GET", f"{mine}/1", {"headers": expired}),
        ({403}, "GET", f"{others}/2", {}),
        ({403}, "GET", others, {}),
        ({403}, "POST", others, {"json": CREATE}),
        # The URL is the user's own, but the task belongs to another user.
        ({404}, "GET", f"{mine}/2", {}),
        ({404}, "PUT", f"{mine}/2", {"json": UPDATE}),
        ({404}, "PATCH", f"{mine}/2/complete", {"json": COMPLETE}),
        ({400, 404, 422}, "GET", f"{mine}/0", {}),
        ({400, 422}, "GET", mine, {"params": {"limit": "101"}}),
        ({400, 422}, "POST", mine, {"json": {}}),
        ({400, 422}, "POST", mine, {"json": {"title": ""}}),
        ({400, 422}, "POST", mine, {"json": {"title": "x" * 201}}),
        ({400, 422}, "POST", mine, {"json": {"title": "x", "unknown": 1}}),
        ({400, 422}, "POST", mine, {"content": b"{", "headers": {"Content-Type": "application/json"}}),
        ({400, 422}, "PUT", f"{mine}/1", {"json": {"description": {}}}),
        ({400, 422}, "PATCH", f"{mine}/1/complete", {"json": {"completed": "perhaps"}}),
    ]
    for statuses, method, path, options in rejected:
        response = client.request(method, path, **options)
        if response.status_code not in statuses:
            raise WorkloadError(f"{method} {path} {options}: {response.status_code} {response.text[:200]}")


def _ok(response: httpx.Response, status: int) -> dict[str, Any]:
    if response.status_code != status:
        raise WorkloadError(f"{response.request.method} {response.url}: {response.status_code} {response.text[:200]}")
    body: dict[str, Any] = response.json()
    return body


def _same(task: Mapping[str, Any], **expected: Any) -> None:
    if {name: task.get(name) for name in expected} != expected:
        raise WorkloadError(f"{task} instead of {expected}")

"""A service, a user and a task for the tests of the protocol."""

import json
from dataclasses import dataclass

import httpx

END = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
"""A last request, after which the server closes the connection."""


@dataclass
class Target:
    """A service, its user, and a task of the user that is not completed."""

    url: str
    user: str
    token: str
    task: int
    process: int

    def head(self, line: str, *headers: str) -> bytes:
        lines = [f"{line} HTTP/1.1", "Host: x", f"Authorization: Bearer {self.token}", *headers, "", ""]
        return "\r\n".join(lines).encode()

    def is_completed(self) -> bool:
        completed: bool = self._call("GET", f"/{self.task}").json()["completed"]
        return completed

    def titles(self) -> set[str]:
        return {task["title"] for task in self._call("GET", "?limit=100").json()["items"]}

    def create(self, title: str) -> int:
        created: int = self._call("POST", "", {"title": title}).json()["id"]
        return created

    def _call(self, method: str, path: str, body: object = None) -> httpx.Response:
        url = f"{self.url}/api/{self.user}/tasks{path}"
        return httpx.request(method, url, json=body, headers={"Authorization": f"Bearer {self.token}"})


def problem(received: bytes) -> str:
    """Return the type of the problem in the last response."""
    kind: str = json.loads(received.rpartition(b"\r\n\r\n")[2])["type"]
    return kind

"""A client that keeps a copy of a user's tasks by their changes."""

from dataclasses import dataclass, field
from typing import Any

import httpx

from support.operations import tasks


@dataclass
class Copy:
    """Starts again if its token has expired. `client` may be replaced by one of another service."""

    client: httpx.Client
    user: str
    since: str | None = None
    tasks: dict[int, Any] = field(default_factory=dict)
    pages: int = 0
    restarts: int = 0

    def apply(self, limit: int) -> dict[str, Any]:
        """Apply one page, and return it."""
        parameters = {"limit": limit} | ({"since": self.since} if self.since else {})
        answer = self.client.get(f"{tasks(self.user)}/changes", params=parameters)
        if answer.status_code == 410:
            assert self.since is not None, "a start is never expired"
            self.since, self.tasks, self.restarts = None, {}, self.restarts + 1
            return self.apply(limit)
        assert answer.status_code == 200
        page: dict[str, Any] = answer.json()
        assert len(page["changed"]) + len(page["deleted"]) <= limit
        self.tasks |= {task["id"]: task for task in page["changed"]}
        for task_id in page["deleted"]:
            self.tasks.pop(task_id, None)
        self.since = page["next_since"]
        self.pages += 1
        return page

    def follow(self, limit: int) -> list[dict[str, Any]]:
        """Apply pages until there is no more, and return them."""
        pages = [self.apply(limit)]
        while pages[-1]["has_more"]:
            pages.append(self.apply(limit))
        return pages

    def differences(self) -> list[str]:
        """Returns a line for each task that differs from the service's list."""
        url = f"{tasks(self.user)}?limit=100"
        stored: dict[int, Any] = {}
        while url:
            page = self.client.get(url)
            stored |= {task["id"]: task for task in page.json()["items"]}
            url = page.links["next"]["url"] if "next" in page.links else ""
        return [
            *(f"{task_id} is missed" for task_id, task in stored.items() if self.tasks.get(task_id) != task),
            *(f"{task_id} is resurrected" for task_id in self.tasks.keys() - stored.keys()),
        ]

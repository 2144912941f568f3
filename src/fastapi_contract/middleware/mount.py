"""Serves an application below a path: the contract's base path, preceded by the prefix that a reverse proxy removes."""

from collections.abc import Iterable

from starlette.types import ASGIApp, Receive, Scope, Send

from fastapi_contract.paths import PathTemplate
from fastapi_contract.problems import NotFound, Respond


class Mount:
    """ASGI middleware: makes the path of each request begin with `root_path`, as ASGI defines it.

    A path may arrive as clients sent it, or without the proxy's prefix. Every other path is 404.
    """

    def __init__(self, app: ASGIApp, path: str, stripped: str, templates: Iterable[str], respond: Respond) -> None:
        """`path` is what precedes `templates` for clients, `stripped` is what the proxy leaves of it."""
        self.app = app
        self._path = path
        self._respond = respond
        # A path that may have its prefix, or begin with the same text without it, can only be read in one way: without.
        is_ambiguous = any(_may_begin_with(stripped + each, path) for each in templates)
        self._accepted = tuple(f"{each}/" for each in ((stripped,) if is_ambiguous else (path, stripped)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path: str = scope["path"]
            for each in self._accepted:
                if path.startswith(each):
                    scope["path"], scope["root_path"] = self._path + path[len(each) - 1 :], self._path
                    break
            else:
                await self._respond(NotFound(self._path))(scope, receive, send)
                return
        await self.app(scope, receive, send)


def _may_begin_with(template: str, path: str) -> bool:
    segments = path.split("/")
    head = PathTemplate("/".join(template.split("/")[: len(segments)]))
    return head.length == len(segments) and head.match(segments) is not None

"""Streams: answers whose items are sent one by one, as NDJSON or as server-sent events.

The schema of such a media type in the contract is that of one item.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, ClassVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from fastapi_contract.responses.answers import raw_headers
from fastapi_contract.responses.serializers import serializer
from fastapi_contract.serving.ending import ending
from fastapi_contract.validation.media_types import EVENT_STREAM, NDJSON, content_type

_FRAMES = {NDJSON: (b"", b"\n"), EVENT_STREAM: (b"data: ", b"\n\n")}
"""What is before and after the JSON of an item, by media type."""
IS_HEAD = "fastapi_contract.is_head"
"""Key in the ASGI scope of a request that was HEAD."""


class Stream(Response):
    """The base of the generated answers that are streams.

        class WatchTasks200(Stream, status=200, media_type="text/event-stream", model=models.Task): ...

        @router.operation("watchTasks")
        async def watch_tasks() -> operations.WatchTasks200:
            return operations.WatchTasks200(changes())  # An async generator of tasks.

    A stream ends after its last item, and when the service shuts down; it is cut off when the client leaves. In each
    case the generator is closed first: it receives CancelledError where it waits, so its `finally` runs.
    """

    status: ClassVar[int]
    media: ClassVar[str]
    model: ClassVar[Any]
    encode: ClassVar[Callable[[Any], bytes]]
    """Makes the JSON of an item."""

    def __init_subclass__(cls, *, status: int, media_type: str, model: Any) -> None:
        super().__init_subclass__()
        cls.status, cls.media, cls.model = status, media_type, model
        cls.encode = staticmethod(serializer(model))

    def __init__(self, content: AsyncIterator[Any], headers: Mapping[str, str | None] | None = None) -> None:
        """`headers` that are None are not sent."""
        self.status_code = self.status
        self.background = None
        self.raw_headers = raw_headers({"content-type": content_type(self.media), **(headers or {})})
        self._items = content

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if IS_HEAD not in scope:
            items = asyncio.ensure_future(self._send_items(send))
            gone = asyncio.ensure_future(_until_disconnect(receive))
            tasks = {items, gone, asyncio.ensure_future(ending().wait())}
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                has_left = gone.done()
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
            if not items.cancelled():
                # Raises the exception of the generator. The connection is then closed without the end of the body.
                items.result()
            if has_left:
                return
        await send({"type": "http.response.body", "body": b""})

    async def _send_items(self, send: Send) -> None:
        before, after = _FRAMES[self.media]
        try:
            async for item in self._items:
                body = before + type(self).encode(item) + after
                await send({"type": "http.response.body", "body": body, "more_body": True})
                # The transport writes once per iteration of the event loop, which a fast generator would never end.
                await asyncio.sleep(0)
        finally:
            if (close := getattr(self._items, "aclose", None)) is not None:
                await close()


async def _until_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass

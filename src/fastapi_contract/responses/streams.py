"""Streams: answers that are sent while they are made, as NDJSON, as server-sent events or as text.

The schema of NDJSON and of events in the contract is that of one item; that of text is all of it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, ClassVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from fastapi_contract.responses.answers import raw_headers
from fastapi_contract.responses.serializers import serializer
from fastapi_contract.serving.ending import ending
from fastapi_contract.validation.media_types import EVENT_STREAM, NDJSON, content_type, is_text

FRAMES = {NDJSON: (b"", b"\n"), EVENT_STREAM: (b"data: ", b"\n\n")}
"""What is before and after the JSON of an item, by media type."""
CHUNK = 16 * 1024
"""Bytes after which the items of a generator that never waits are sent. One by one, an item took 29 µs instead of 1."""
IS_HEAD = "fastapi_contract.is_head"
"""Key in the ASGI scope of a request that was HEAD."""


class Stream(Response):
    """The base of the generated answers that are streams.

        class WatchTasks200(Stream, status=200, media_type="text/event-stream", model=models.Task): ...

        @router.operation("watchTasks")
        async def watch_tasks() -> operations.WatchTasks200:
            return operations.WatchTasks200(changes())  # An async generator of tasks.

    A text is one string, or pieces that an async generator makes, which choose where a text is divided.

    A stream ends after its last item, and when the service shuts down; it is cut off when the client leaves. In each
    case the generator is closed first: it receives CancelledError where it waits, so its `finally` runs.
    """

    status: ClassVar[int]
    media: ClassVar[str]
    model: ClassVar[Any]
    encode: ClassVar[Callable[[Any], bytes]]
    """Makes the bytes of an item."""

    _vary: ClassVar[str | None]

    def __init_subclass__(cls, *, status: int, media_type: str, model: Any, vary: str | None = None) -> None:
        """`vary` is the header by which the class is chosen among several."""
        super().__init_subclass__()
        cls._vary = vary
        cls.status, cls.media, cls.model = status, media_type, model
        cls.encode = staticmethod(_encoder(media_type, model))

    def __init__(self, content: AsyncIterator[Any] | str, headers: Mapping[str, str | None] | None = None) -> None:
        """`content` is a string if all of a text is known. `headers` that are None are not sent."""
        self.status_code = self.status
        self.background = None
        self.raw_headers = raw_headers(
            {"content-type": content_type(self.media), "vary": self._vary, **(headers or {})}
        )
        self._content = content
        if isinstance(content, str):
            self.body = content.encode()
            self.raw_headers.append((b"content-length", b"%d" % len(self.body)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        content = self._content
        if isinstance(content, str):
            await super().__call__(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if IS_HEAD in scope:
            await _close(content)
        else:
            items = asyncio.ensure_future(self._send_items(content, send))
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

    async def _send_items(self, items: AsyncIterator[Any], send: Send) -> None:
        """Sends the items in chunks: at once if the generator waits, so that no item is late, otherwise by their size.

        The transport writes once per iteration of the event loop, which a fast generator would never end.
        """
        chunk = bytearray()

        async def send_chunk() -> None:
            while chunk:
                body = bytes(chunk)
                chunk.clear()
                await send({"type": "http.response.body", "body": body, "more_body": True})

        # A task begins when the generator waits, or when its own end is awaited.
        sending = asyncio.ensure_future(send_chunk())
        try:
            async for item in items:
                chunk += type(self).encode(item)
                if sending.done():
                    await sending
                    sending = asyncio.ensure_future(send_chunk())
                if len(chunk) >= CHUNK:
                    await sending
        except asyncio.CancelledError:
            sending.cancel()
            raise
        finally:
            try:
                await _close(items)
            finally:
                await sending


async def _close(items: AsyncIterator[Any]) -> None:
    if (close := getattr(items, "aclose", None)) is not None:
        await close()


def _encoder(media_type: str, model: Any) -> Callable[[Any], bytes]:
    if is_text(media_type):
        return str.encode
    (before, after), to_json = FRAMES[media_type], serializer(model)
    return lambda item: before + to_json(item) + after


async def _until_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass

"""The chunks in which a stream is sent: many items at once, none of them late, and no more in memory than a chunk."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.types import Message

from fastapi_contract.responses.streams import CHUNK, Stream


class Numbers(Stream, status=200, media_type="application/x-ndjson", model=int):
    """Items of JSON."""


class Pieces(Stream, status=200, media_type="text/csv", model=str):
    """Pieces of a text."""


class Source:
    """An async iterator of `count` items, which counts how many it has made."""

    def __init__(self, item: Any, count: int) -> None:
        self.item, self.count = item, count
        self.made = 0
        self.closed = False

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        if self.made == self.count:
            raise StopAsyncIteration
        self.made += 1
        return self.item

    async def aclose(self) -> None:
        self.closed = True


class Client:
    """Receives the messages of a response."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.reads = asyncio.Event()
        self.reads.set()
        self.leaves = asyncio.Event()

    async def receive(self) -> Message:
        await self.leaves.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        await self.reads.wait()
        if message.get("more_body"):
            self.bodies.append(message["body"])

    async def get(self, response: Stream) -> bytes:
        await response({"type": "http"}, self.receive, self.send)
        return b"".join(self.bodies)


@pytest.mark.parametrize(
    ("kind", "item", "line"),
    [
        pytest.param(Numbers, 123456, b"123456\n", id="items"),
        pytest.param(Pieces, "12345\r\n", b"12345\r\n", id="text"),
    ],
)
def test_items_of_a_source_that_never_waits_are_sent_in_chunks(kind: Any, item: Any, line: bytes) -> None:
    async def run() -> None:
        client, source = Client(), Source(item, 10_000)
        assert await client.get(kind(source)) == line * 10_000
        assert len(client.bodies) == -(-len(line) * 10_000 // CHUNK)
        assert source.closed

    asyncio.run(run())


def test_large_piece_of_a_text_is_sent_by_itself() -> None:
    async def run() -> None:
        client = Client()
        await client.get(Pieces(Source("x" * CHUNK, 3)))
        assert list(map(len, client.bodies)) == [CHUNK] * 3

    asyncio.run(run())


def test_source_waits_for_a_client_that_does_not_read() -> None:
    async def run() -> None:
        client, source = Client(), Source(123456, 10_000)
        response = Numbers(source)
        getting = asyncio.ensure_future(client.get(response))
        while not source.made:
            await asyncio.sleep(0)
        client.reads.clear()
        for _ in range(100):
            await asyncio.sleep(0)
        # What is being sent, and what would be sent next.
        assert source.made * len(b"123456\n") <= 2 * (CHUNK + len(b"123456\n"))
        client.reads.set()
        assert await getting == b"123456\n" * 10_000

    asyncio.run(run())


def test_source_is_closed_when_a_client_leaves_that_does_not_read() -> None:
    async def run() -> None:
        client, source = Client(), Source(123456, 10_000)
        getting = asyncio.ensure_future(client.get(Numbers(source)))
        while not source.made:
            await asyncio.sleep(0)
        client.reads.clear()
        client.leaves.set()
        await getting
        assert source.closed
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run())


def test_item_of_a_source_that_waits_is_not_late() -> None:
    """The source waits until its items have been received: it would wait for ever."""

    async def run() -> None:
        client = Client()

        async def source() -> AsyncIterator[int]:
            for number in range(3):
                yield number
                yield number
                while b"".join(client.bodies).count(b"%d\n" % number) < 2:
                    await asyncio.sleep(0)

        async with asyncio.timeout(30):
            assert await client.get(Numbers(source())) == b"0\n0\n1\n1\n2\n2\n"
        assert client.bodies == [b"0\n0\n", b"1\n1\n", b"2\n2\n"]

    asyncio.run(run())


def test_error_of_sending_ends_the_source() -> None:
    async def run() -> None:
        source = Source(123456, 10_000)

        async def send(message: Message) -> None:
            if message.get("more_body"):
                raise OSError("The connection is lost.")

        with pytest.raises(OSError, match="lost"):
            await Numbers(source)({"type": "http"}, Client().receive, send)
        assert source.closed
        assert source.made * len(b"123456\n") <= CHUNK + len(b"123456\n")

    asyncio.run(run())

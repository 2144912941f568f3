"""Handlers for tests of the engine."""

from collections.abc import AsyncIterator

from pydantic import BaseModel


class Model(BaseModel):
    name: str = "x"


async def plain() -> Model:
    return Model()


async def generator() -> AsyncIterator[int]:
    yield 1

"""Databases for all tests of histories, and services on them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.history.stack import Databases, Stack, new_databases, serving_stack


@pytest.fixture(scope="session")
def databases() -> Iterator[Databases]:
    with new_databases() as databases:
        yield databases


@pytest.fixture
def stack(databases: Databases, tmp_path: Path) -> Iterator[Stack]:
    with serving_stack(databases, tmp_path) as stack:
        yield stack

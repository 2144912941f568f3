"""Data directories. Every process that uses one must end with its test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.embedded import has_no_processes, query, temporary_directory, wait_for
from todo_api.embedded import embedded_postgres


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A new data directory."""
    with temporary_directory() as path:
        yield path


@pytest.fixture(scope="module")
def used() -> Iterator[Path]:
    with temporary_directory() as path:
        with embedded_postgres(path) as server:
            query(server.url, "CREATE TABLE kept AS SELECT 7 AS number")
        yield path


@pytest.fixture
def existing(used: Path) -> Iterator[Path]:
    """A data directory that was used before. All tests of a module share it, and leave it unchanged."""
    yield used
    wait_for(lambda: has_no_processes(used), "every process has ended")

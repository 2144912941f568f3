"""A database with a new table for each test."""

from collections.abc import Iterator

import pytest

from support.databases import execute


@pytest.fixture
def url(database_url: str) -> Iterator[str]:
    """The URL of a database with an empty table `note` and a new sequence `sent`."""
    execute(database_url, "CREATE SEQUENCE sent; CREATE TABLE note (text varchar NOT NULL CHECK (text <> 'bad'))")
    yield database_url
    execute(database_url, "DROP SEQUENCE sent; DROP TABLE note")

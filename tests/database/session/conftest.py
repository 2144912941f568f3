"""A database with a table of each test."""

from collections.abc import Iterator

import pytest

from support.databases import execute


@pytest.fixture
def url(database_url: str) -> Iterator[str]:
    """With a table of this test."""
    execute(database_url, "CREATE SEQUENCE sent; CREATE TABLE note (text varchar NOT NULL CHECK (text <> 'bad'))")
    yield database_url
    execute(database_url, "DROP SEQUENCE sent; DROP TABLE note")

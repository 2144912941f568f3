"""The browser, and pages of other origins than the service."""

from collections.abc import Iterator

import pytest

import support.chromium
from support.chromium import Chromium, empty_pages


@pytest.fixture(scope="session")
def chromium() -> Chromium:
    return support.chromium.chromium()


@pytest.fixture(scope="module")
def page_port() -> Iterator[int]:
    with empty_pages() as port:
        yield port

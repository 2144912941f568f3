"""The page of examples/web as `make demo` starts it, and a browser."""

from collections.abc import Iterator

import pytest

import support.chromium
import support.demo
from support.chromium import Chromium
from support.demo import Demo


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with support.demo.demo(tmp_path_factory.mktemp("demo")) as running:
        yield running


@pytest.fixture(scope="session")
def chromium() -> Chromium:
    return support.chromium.chromium()

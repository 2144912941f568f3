"""What people do with the page, in a real browser, with the real Better Auth and the real service."""

import os
from pathlib import Path

import pytest

from support.chromium import Chromium
from support.demo import Demo
from support.node import run

HERE = Path(__file__).parent
FILES = sorted(file.name.removesuffix(".test.mjs") for file in HERE.glob("*.test.mjs"))
TIMEOUT = 300
"""Seconds of one file, for a busy machine."""


@pytest.mark.parametrize("name", FILES)
def test_page_passes_its_scenarios(name: str, demo: Demo, chromium: Chromium) -> None:
    env = {**os.environ, **chromium.variables, "PAGE_URL": demo.page_url, "API_URL": demo.api_url}
    result = run(HERE / f"{name}.test.mjs", env=env, timeout=TIMEOUT)
    assert result.returncode == 0, result.stdout + result.stderr

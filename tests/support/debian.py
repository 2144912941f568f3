"""Programs of Debian's packages: those of the machine, or those that install.sh has unpacked into .tools."""

import os
import shutil
from pathlib import Path

import pytest

from support import ROOT

TOOLS = ROOT / ".tools"


def require(package: str, *programs: str) -> str:
    """Return the path of the first program that exists; one in `usr/…` is looked for in the unpacked package.

    Skip a test if there is none. With CI=true it fails instead, so that this is noticed.
    """
    for program in programs:
        found = shutil.which(TOOLS / package / program if program.startswith("usr/") else program)
        if found is not None:
            return str(found)
    reason = f"{package} is not installed: run make install, or install Debian's package {package}"
    raise (pytest.fail if os.environ.get("CI") == "true" else pytest.skip).Exception(reason)


def libraries(program: str) -> dict[str, str]:
    """Return the variables that a program needs if it was unpacked: the folders of libraries that the machine lacks."""
    if not Path(program).is_relative_to(TOOLS):
        return {}
    package = TOOLS / Path(program).relative_to(TOOLS).parts[0]
    return {"LD_LIBRARY_PATH": os.pathsep.join(sorted({str(path.parent) for path in package.glob("**/*.so.*")}))}

"""`make mock`, which serves the examples of the contract."""

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx

from support import ROOT
from support.node import require_packages
from support.service import NO_TLS
from support.serving import LIMIT, wait_for


class Mock(NamedTuple):
    client: httpx.Client
    process: subprocess.Popen[bytes]


@contextmanager
def running_mock(directory: Path) -> Iterator[Mock]:
    """Run `make mock` in a process group of its own, as a terminal does, and end it as Ctrl-C does."""
    require_packages()
    with (directory / "output").open("wb") as output:
        process = subprocess.Popen(
            # The tests run in an installation that is complete.
            ["make", "--old-file=install", "mock"],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"]},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_for(lambda: _listening(directory) or process.poll() is not None, "mock")
        url = _listening(directory)
        assert url is not None, (directory / "output").read_text()
        with httpx.Client(
            base_url=url[1], headers={"Authorization": "Bearer x"}, verify=NO_TLS, timeout=LIMIT
        ) as client:
            yield Mock(client, process)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(LIMIT)


def _listening(directory: Path) -> re.Match[str] | None:
    return re.search("listening on (http://127[.]0[.]0[.]1:[0-9]+)", (directory / "output").read_text())

"""`make demo` as a process: the page of examples/web, Better Auth, the service and its embedded database."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from support import ROOT
from support.node import require_packages
from support.serving import LIMIT, wait_for

WEB = ROOT / "examples/web"
COMMAND: Sequence[str | Path] = [sys.executable, ROOT / "examples/demo.py"]


@dataclass
class Demo:
    process: subprocess.Popen[bytes]
    directory: Path

    @property
    def output(self) -> str:
        return (self.directory / "output").read_text()

    @property
    def page_url(self) -> str:
        return self._url("Page")

    @property
    def api_url(self) -> str:
        return self._url("Service")

    @property
    def is_ready(self) -> bool:
        assert self.process.poll() is None, self.output
        return "Ctrl-C" in self.output

    def _url(self, name: str) -> str:
        found = re.search(rf"^ +{name} +(http://\S+)$", self.output, re.MULTILINE)
        assert found is not None, self.output
        return found[1]

    def processes(self) -> list[psutil.Process]:
        """The processes of the demo, those of PostgreSQL included, which are not its children."""
        found = set(psutil.Process(self.process.pid).children(recursive=True))
        for each in psutil.process_iter(["cmdline"]):
            if any(str(self.directory) in argument for argument in each.info["cmdline"] or ()):
                with suppress(psutil.NoSuchProcess):
                    found |= {each, *each.children(recursive=True)}
        return [each for each in found if each.pid != self.process.pid]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(LIMIT)


@contextmanager
def demo(directory: Path, *arguments: str, **variables: str) -> Iterator[Demo]:
    """Run the demo on free ports until it answers. What it keeps is in the directory."""
    require_packages(WEB)
    command = [*COMMAND, "--port", "0", "--api-port", "0", "--data-dir", directory / "data", *arguments]
    with (directory / "output").open("wb") as output:
        process = subprocess.Popen(
            command, cwd=directory, env={**os.environ, **variables}, stdout=output, stderr=subprocess.STDOUT
        )
    running = Demo(process, directory)
    try:
        wait_for(lambda: running.is_ready, "page")
        yield running
    finally:
        if process.poll() is None:
            running.stop()

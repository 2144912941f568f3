"""Writes results as Markdown tables into performance.md. Each run replaces the text between the two comments of its
section, and keeps everything else."""

import platform
import shlex
import subprocess
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import psutil

from servers import NODE, PINNED, ROOT, ServerError, end_on_sigterm, leave_first_core
from workload import WorkloadError


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a Markdown table. The first column is aligned as text, the others as numbers."""
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def number(value: float) -> str:
    """Formats a number with three significant digits, or more from 1,000 on."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def conditions(postgres: str) -> str:
    """Returns the date, machine, versions and command of a measurement."""
    node = subprocess.run([NODE, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    pinned = "the server alone on the first, everything else on the others" if PINNED else "nothing pinned"
    command = shlex.join(["python", *(part.removeprefix(f"{ROOT}/") for part in sys.argv)])
    return (
        f"{datetime.now(UTC):%d %B %Y}, {_processor()}, {psutil.cpu_count()} cores ({pinned}), "
        f"{psutil.virtual_memory().total / 2**30:.0f} GiB, {platform.system()} {platform.release()}; "
        f"Python {platform.python_version()}, PostgreSQL {postgres}, Node {node.removeprefix('v')}. `{command}`\n"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def publish(directory: Path | None, section: str, text: str) -> None:
    """Prints `text`, and replaces the section in performance.md in `directory`, if given."""
    print(f"\n{text}")
    if directory is None:
        return
    begin, end = f"<!-- begin: {section} -->\n", f"<!-- end: {section} -->\n"
    path = directory / "performance.md"
    document = path.read_text() if path.exists() else "# Performance\n"
    before, found, rest = document.partition(begin)
    if found:
        after = rest.partition(end)[2]
    else:
        before, after = f"{before}\n", ""
    path.write_text(f"{before}{begin}\n{text}\n{end}{after}")


def progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main(parser: ArgumentParser, command: Callable[[Namespace], None]) -> None:
    """Parses the arguments and runs `command`, on all cores but the first, which is for the measured server."""
    parser.add_argument(
        "--write", type=Path, metavar="DIRECTORY", help="folder of performance.md, whose section is replaced"
    )
    arguments = parser.parse_args()
    end_on_sigterm()
    leave_first_core()
    try:
        command(arguments)
    except (ServerError, WorkloadError) as error:
        sys.exit(f"{Path(sys.argv[0]).name}: {error}")
    except KeyboardInterrupt:
        sys.exit(130)

"""Counts instructions per request with callgrind, for machines that are too noisy to measure times. Requests are sent
one after another; results repeat within one percent."""

import re
import shutil
import subprocess
from argparse import ArgumentParser, Namespace
from pathlib import Path

import httpx

from database import Cluster, seeded_cluster
from report import conditions, main, number, progress, publish, table
from servers import BY_NAME, PRODUCT, SERVERS, Server, ServerError, running
from workload import CALLERS, MIX, calls, own_calls, verify

WARM_UP = 2 * CALLERS
"""Requests that are not counted; afterwards the server has cached each token."""
START_TIMEOUT = 180
"""Timeout in seconds. Valgrind slows a program down up to fifty times."""


class Counter:
    """Counts the instructions of a process that runs under callgrind, from the creation of this object on."""

    def __init__(self, pid: int, output: Path) -> None:
        self._pid, self._output = pid, output
        self._parts = 0
        self._command("instrumentation", "on")

    def _command(self, *words: str) -> None:
        subprocess.run(["vgdb", f"--pid={self._pid}", *words], check=True, capture_output=True, timeout=60)

    def restart(self) -> None:
        self._command("zero")

    def read(self) -> int:
        """Returns the number of instructions since the last restart."""
        self._command("dump")
        self._parts += 1
        part = self._output.with_suffix(f".{self._parts}")
        found = re.search(r"^summary: ([0-9]+)$", part.read_text(), re.MULTILINE)
        if found is None:
            raise ServerError(f"{part} has no summary of callgrind")
        return int(found[1])


def count(server: Server, cluster: Cluster, requests: int) -> dict[str, float]:
    """Returns the thousand instructions per request of each operation."""
    output = cluster.directory / f"{server.name}-callgrind"
    prefix = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={output}"]
    with (
        cluster.copy(server.revision) as url,
        running(
            server,
            url,
            cluster.directory / f"{server.name}.log",
            prefix=prefix,
            # Otherwise the order of strings in sets differs between runs, and with it the number of instructions.
            environment={"PYTHONHASHSEED": "0"},
            start_timeout=START_TIMEOUT,
        ) as service,
        httpx.Client(base_url=service.url, timeout=60) as client,
    ):
        verify(service.url)
        counter = Counter(service.pid, output)
        counts = {}
        for operation, call in (calls(client) | (own_calls(client) if server is PRODUCT else {})).items():
            for _ in range(WARM_UP):
                call()
            counter.restart()
            for _ in range(requests):
                call()
            counts[operation] = counter.read() / requests / 1000
    return counts


def run(arguments: Namespace) -> None:
    missing = [name for name in ("valgrind", "vgdb") if shutil.which(name) is None]
    if missing:
        raise ServerError(f"{missing[0]} is not installed. Install valgrind (Debian, Ubuntu: apt install valgrind).")
    counted = {}
    with seeded_cluster() as cluster:
        for name in arguments.only:
            counts = count(BY_NAME[name], cluster, arguments.requests)
            mix = sum(counts[operation] * share for operation, share in MIX.items()) / 100
            counted[name] = {**counts, "mix": mix}
            progress(f"{name}: {mix:,.0f} thousand instructions a request")
        least = min(counts["mix"] for counts in counted.values())
        rows = [
            [BY_NAME[name].title, *(number(counts[each]) for each in (*MIX, "mix")), number(counts["mix"] / least)]
            for name, counts in counted.items()
        ]
        measured = f"{arguments.requests} requests of each operation one after another"
        text = (
            f"Thousand instructions per request of the server's process, {measured}; the mix is weighted.\n\n"
            f"{table(['server', *MIX, 'mix', '× least'], rows)}\n{conditions(cluster.version)}"
        )
        own = [[each, number(value)] for each, value in counted.get(PRODUCT.name, {}).items()]
        own_text = (
            f"Thousand instructions per request of todo-api, {measured}. Keys and conditions are not in the mix, "
            "because the other servers have none.\n\n"
            f"{table(['operation', 'instructions'], own)}\n{conditions(cluster.version)}"
        )
    publish(arguments.write, "instructions", text)
    if own:
        publish(arguments.write, "own instructions", own_text)


def parser() -> ArgumentParser:
    parser = ArgumentParser(description=__doc__)
    # Without Node: its JIT compiler produces different code under valgrind.
    names = [server.name for server in SERVERS if server.name not in ("express", "fastify")]
    parser.add_argument(
        "--only",
        nargs="+",
        choices=names,
        default=["todo-api", "bare_asgi"],
        metavar="SERVER",
        help=f"{', '.join(names)}; default: todo-api bare_asgi",
    )
    parser.add_argument("--requests", type=int, default=100, help="requests of each operation; default: %(default)s")
    return parser


if __name__ == "__main__":
    main(parser(), run)

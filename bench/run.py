"""Measures the mix on every server in turn: requests per second, latency, CPU and memory, as medians of interleaved
rounds."""

import json
import subprocess
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from database import TASKS, USERS, Cluster, seeded_cluster
from report import conditions, main, number, progress, publish, table
from servers import BENCH, BY_NAME, PEER_PYTHON, SERVERS, Server, cpu_seconds, resident_megabytes, running
from workload import CONNECTIONS, HOW_TO_INSTALL, MIX, generator, load, verify, write_tokens

WARM_UP = 1
"""Seconds, for opening connections, preparing statements and caching every user's token."""


@dataclass(frozen=True)
class Sample:
    """Result of one server in one round: latencies in milliseconds, CPU in seconds per 1,000 requests, memory in MB,
    start in seconds."""

    rate: float
    p50: float
    p99: float
    cpu: float
    database_cpu: float
    memory: float
    start: float


def measure(server: Server, cluster: Cluster, tokens: Path, seconds: int, seed: int) -> Sample:
    """Starts a new server on a new copy of the database, verifies it, warms it up and measures it for `seconds`."""
    with (
        cluster.copy(server.revision) as url,
        running(server, url, cluster.directory / f"{server.name}.log") as service,
    ):
        verify(service.url)
        load(service.url, tokens, WARM_UP, seed)
        before = cpu_seconds(service.pid), cpu_seconds(cluster.pid)
        result = load(service.url, tokens, seconds, seed + 1)
        after = cpu_seconds(service.pid), cpu_seconds(cluster.pid)
        cpu, database_cpu = ((b - a) * 1000 / result.requests for a, b in zip(before, after, strict=True))
        memory = resident_megabytes(service.pid)
        return Sample(
            result.requests / result.seconds, result.p50, result.p99, cpu, database_cpu, memory, service.start
        )


def medians(samples: Sequence[Sample]) -> Sample:
    return Sample(*(median(getattr(sample, name) for sample in samples) for name in Sample.__annotations__))


def rows(results: dict[Server, Sample]) -> list[list[str]]:
    first = next(iter(results.values()))
    return [
        [
            server.title,
            number(sample.rate),
            number(sample.rate / first.rate),
            f"{number(sample.p50)} / {number(sample.p99)}",
            number(sample.cpu),
            number(sample.database_cpu),
            f"{sample.memory:.0f}",
            number(sample.start),
        ]
        for server, sample in results.items()
    ]


PLOT = "performance.svg"
HEAD = [
    "server",
    "req/s",
    "× first",
    "p50 / p99 ms",
    "CPU s/1000",
    "PostgreSQL CPU s/1000",
    "RSS MB",
    "start s",
]


def run(arguments: Namespace) -> None:
    if generator() != "wrk":
        progress(f"{HOW_TO_INSTALL} autocannon is used instead, which takes more CPU from the database.")
    servers = [BY_NAME[name] for name in arguments.only]
    samples: dict[Server, list[Sample]] = {server: [] for server in servers}
    with seeded_cluster() as cluster:
        tokens = write_tokens(cluster.directory)
        for number_of_round in range(arguments.rounds):
            for server in servers:
                sample = measure(server, cluster, tokens, arguments.seconds, number_of_round * 2)
                samples[server].append(sample)
                progress(f"round {number_of_round + 1}: {server.name} {sample.rate:,.0f}/s")
        results = {server: medians(of_server) for server, of_server in samples.items()}
        text = (
            f"{USERS:,} users with {TASKS} tasks each, {CONNECTIONS} connections of {generator()}; "
            f"{', '.join(f'{name} {share} %' for name, share in MIX.items())}. Medians of {arguments.rounds} rounds of "
            f"{arguments.seconds} seconds, each on a fresh server and a fresh copy of the database.\n\n"
            f"{table(HEAD, rows(results))}\n{conditions(cluster.version)}"
        )
    if arguments.write:
        plot(results, arguments.write / PLOT)
        text += f"\n![Requests per second and CPU of each server]({PLOT})\n"
    publish(arguments.write, "mix", text)


def plot(results: dict[Server, Sample], path: Path) -> None:
    values: dict[str, Any] = {
        "names": [server.title for server in results],
        "rates": [sample.rate for sample in results.values()],
        "cpu": [sample.cpu for sample in results.values()],
    }
    subprocess.run([PEER_PYTHON, BENCH / "plot.py", path], input=json.dumps(values), text=True, check=True)


def parser() -> ArgumentParser:
    parser = ArgumentParser(description=__doc__)
    names = [server.name for server in SERVERS]
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="SERVER", help=", ".join(names))
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each server; default: %(default)s")
    parser.add_argument(
        "--seconds", type=int, default=5, help="seconds of each server in a round; default: %(default)s"
    )
    return parser


if __name__ == "__main__":
    main(parser(), run)

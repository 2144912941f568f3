"""Profiles the CPU per layer and operation: samples the stacks of the service under load."""

import subprocess
from argparse import ArgumentParser, Namespace
from collections import Counter
from pathlib import Path

from database import Cluster, seeded_cluster
from report import conditions, main, number, progress, publish, table
from servers import BENCH, PRODUCT, ServerError, cpu_seconds, running
from workload import CONNECTIONS, MIX, generator, load, verify, write_tokens

WARM_UP = 1
"""Seconds."""
RATE = 200
"""Samples per second."""

LAYERS = {
    "event loop, sockets, PostgreSQL's protocol (C)": ("asyncio/",),
    "HTTP (uvicorn)": ("uvicorn/", "fastapi_contract/serving/protocol.py", "fastapi_contract/serving/time_limits.py"),
    "request id, headers, log line": (
        "fastapi_contract/middleware/", "todo_api/logs.py", "structlog/", "logging/",
    ),
    "token": ("todo_api/auth/",),
    "route, input, dependencies, JSON": ("fastapi_contract/", "fastapi/", "starlette/", "pydantic"),
    "handlers": ("todo_api/tasks/handlers.py", "todo_api/tasks/cursor.py"),
    "SQL and rows": ("todo_api/tasks/queries.py",),
    "session and pool": ("todo_api/database/",),
    "asyncpg (Python)": ("asyncpg/",),
}  # fmt: skip
"""Prefixes of the file names of each layer."""
OTHER = "else"


def layer(stack: str) -> str:
    """Returns the layer of the innermost frame that belongs to one: the standard library counts as its caller."""
    for frame in reversed(stack.split(";")):
        file = frame.rpartition("(")[2]
        for name, beginnings in LAYERS.items():
            if file.startswith(beginnings):
                return name
    return OTHER


def sample(cluster: Cluster, tokens: Path, operation: str, seconds: int) -> dict[str, float]:
    """Returns the microseconds of CPU per request of each layer."""
    output = cluster.directory / "samples"
    command = [BENCH / ".venv/bin/py-spy", "record", "--format", "raw", "--function", "--rate", str(RATE)]
    with cluster.copy() as url, running(PRODUCT, url, cluster.directory / f"{PRODUCT.name}.log") as service:
        verify(service.url)
        load(service.url, tokens, WARM_UP, 0, {operation: 100})
        # Measured without py-spy, which stops the service for each sample.
        before = cpu_seconds(service.pid)
        unwatched = load(service.url, tokens, seconds, 1, {operation: 100})
        microseconds = (cpu_seconds(service.pid) - before) / unwatched.requests * 1e6
        target = ["--pid", str(service.pid), "--duration", str(seconds), "--output", output]
        # py-spy ends after --duration or with the service.
        with subprocess.Popen(
            [*command, *target], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as watcher:
            load(service.url, tokens, seconds + WARM_UP, 2, {operation: 100})
            output_text, _ = watcher.communicate()
    if watcher.returncode:
        raise ServerError(f"py-spy failed (if ptrace is restricted, it must run as root): {output_text}")
    counted: Counter[str] = Counter()
    for line in output.read_text().splitlines():
        stack, _, samples = line.rpartition(" ")
        counted[layer(stack)] += int(samples)
    return {name: microseconds * samples / counted.total() for name, samples in counted.items()}


def run(arguments: Namespace) -> None:
    with seeded_cluster() as cluster:
        tokens = write_tokens(cluster.directory)
        found = {}
        for operation in MIX:
            found[operation] = sample(cluster, tokens, operation, arguments.seconds)
            progress(f"{operation}: {sum(found[operation].values()):.0f} µs a request")
        rows = [[name, *(number(of_layers.get(name, 0)) for of_layers in found.values())] for name in (*LAYERS, OTHER)]
        rows.append(["all", *(number(sum(of_layers.values())) for of_layers in found.values())])
        text = (
            f"Microseconds of the service's CPU per request of one operation, {CONNECTIONS} connections of "
            f"{generator()}, {RATE * arguments.seconds:,} samples of each.\n\n"
            f"{table(['layer', *MIX], rows)}\n{conditions(cluster.version)}"
        )
    publish(arguments.write, "layers", text)


def parser() -> ArgumentParser:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=10, help="seconds of each operation; default: %(default)s")
    return parser


if __name__ == "__main__":
    main(parser(), run)

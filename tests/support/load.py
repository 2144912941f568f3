"""What an attack costs: the memory of the service, and the latency of other clients."""

import time
from collections.abc import Callable

import httpx
import psutil


def memory(pid: int) -> int:
    """Return the resident bytes of a process and of all its children."""
    process = psutil.Process(pid)
    return sum(each.memory_info().rss for each in [process, *process.children(recursive=True)])


def latency(url: str, is_over: Callable[[], bool]) -> float:
    """Return the 99th percentile of the latency of another client in milliseconds, of 200 requests or more."""
    latencies: list[float] = []
    with httpx.Client(base_url=url) as client:
        while len(latencies) < 200 or not is_over():
            start = time.perf_counter()
            assert client.get("/health").status_code == 200
            latencies.append((time.perf_counter() - start) * 1000)
    return sorted(latencies)[int(len(latencies) * 0.99)]

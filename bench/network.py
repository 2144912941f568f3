"""Measures the mix with a network between server and database: a relay on loopback adds latency and does not limit
bandwidth."""

import asyncio
import threading
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from selectors import SelectSelector
from statistics import median
from typing import cast
from urllib.parse import parse_qs, urlsplit, urlunsplit

from database import Cluster, seeded_cluster
from report import conditions, main, number, progress, publish, table
from servers import BY_NAME, PRODUCT, Server, running
from workload import CONNECTIONS, Load, generator, load, verify, write_tokens

WARM_UP = 3
"""Seconds, enough for fifteen connections to prepare every statement at 20 ms per round trip."""
CASES = [
    (PRODUCT, "direct", ""),
    # Declares a pooler in transaction mode: the service then keeps no prepared statements.
    (PRODUCT, "pooled", "?pgbouncer=true"),
    (BY_NAME["async_sqlmodel"], "direct", ""),
]


class Side(asyncio.Protocol):
    """One end of a relayed connection. Sends received data through the other end after `delay` seconds."""

    transport: asyncio.Transport
    other: "Side"

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._loop.call_later(self._delay, self.other.transport.write, data)

    def connection_lost(self, _: Exception | None) -> None:
        self._loop.call_later(self._delay, self.other.transport.close)


class ServerSide(Side):
    """The end that the server connects to. It opens the connection to the database."""

    def __init__(self, delay: float, database: str) -> None:
        super().__init__(delay)
        self._database = database

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        # Deferred, because asyncio of Python 3.11.2 starts to read after this method.
        self._loop.call_soon(self.transport.pause_reading)
        self._connecting = self._loop.create_task(self._connect())

    async def _connect(self) -> None:
        _, self.other = await self._loop.create_unix_connection(lambda: Side(self._delay), self._database)
        self.other.other = self
        self.transport.resume_reading()


@contextmanager
def delayed(url: str, milliseconds: float) -> Iterator[str]:
    """Yields the URL of the same database through the relay, with `milliseconds` of latency per round trip."""
    parts = urlsplit(url)
    parameters = {name: values[0] for name, values in parse_qs(parts.query).items()}
    socket = f"{parameters['host']}/.s.PGSQL.{parameters['port']}"
    # select() has a timeout in microseconds; that of epoll, and so of uvloop, is in whole milliseconds.
    loop = asyncio.SelectorEventLoop(SelectSelector())

    async def listen() -> asyncio.Server:
        return await loop.create_server(lambda: ServerSide(milliseconds / 2000, socket), "127.0.0.1", 0)

    server = loop.run_until_complete(listen())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        port = server.sockets[0].getsockname()[1]
        credentials = parts.netloc.rpartition("@")[0]
        yield urlunsplit(parts._replace(netloc=f"{credentials}@127.0.0.1:{port}", query=""))
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        loop.close()


def measure(
    server: Server, parameters: str, cluster: Cluster, tokens: Path, arguments: Namespace, delay: float
) -> Load:
    with (
        cluster.copy(server.revision) as near,
        delayed(near, delay) as url,
        running(server, url + parameters, cluster.directory / f"{server.name}.log") as service,
    ):
        verify(service.url)
        load(service.url, tokens, WARM_UP, 0)
        return load(service.url, tokens, arguments.seconds, 1)


def run(arguments: Namespace) -> None:
    rows = []
    with seeded_cluster() as cluster:
        tokens = write_tokens(cluster.directory)
        for delay in arguments.delays:
            samples: list[list[Load]] = [[] for _ in CASES]
            for _ in range(arguments.rounds):
                for index, (server, mode, parameters) in enumerate(CASES):
                    samples[index].append(measure(server, parameters, cluster, tokens, arguments, delay))
                    progress(f"{delay} ms: {server.name}, {mode}")
            for (server, mode, _), loads in zip(CASES, samples, strict=True):
                rate = median(one.requests / one.seconds for one in loads)
                p50 = median(one.p50 for one in loads)
                rows.append([f"{server.title}, {mode}", f"{delay:g}", number(rate), number(p50)])
        text = (
            f"The mix, {CONNECTIONS} connections of {generator()}, medians of {arguments.rounds} rounds of "
            f"{arguments.seconds} seconds.\n\n"
            f"{table(['server', 'round trip to the database, ms', 'req/s', 'p50 ms'], rows)}\n"
            f"{conditions(cluster.version)}"
        )
    publish(arguments.write, "network", text)


def parser() -> ArgumentParser:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument(
        "--delays", nargs="+", type=float, default=[1, 5, 20], metavar="MS", help="round trips; default: 1 5 20"
    )
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each server; default: %(default)s")
    parser.add_argument("--seconds", type=int, default=5, help="seconds of each round; default: %(default)s")
    return parser


if __name__ == "__main__":
    main(parser(), run)

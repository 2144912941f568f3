"""The parent of several workers, and each worker's process.

Imports nothing of the application: uvicorn's supervisor kills a worker that does not answer while it loads what its
process object needs.
"""

from collections.abc import Callable, Sequence
from socket import socket

from uvicorn import Config, Server
from uvicorn.supervisors import Multiprocess, multiprocess


class Worker(multiprocess.Process):
    """uvicorn's worker process, with the server that drains its listener."""

    @property
    def server(self) -> Server:
        from fastapi_contract import server  # noqa: PLC0415

        if self._server is None:
            self._server = server.Server(self.config)
        return self._server


class Supervisor(Multiprocess):
    """uvicorn's supervisor. It calls `hold` with its listeners before it ends all workers: only the parent knows that
    all of them end."""

    def __init__(self, config: Config, sockets: list[socket], hold: Callable[[Sequence[socket]], None]) -> None:
        super().__init__(config, sockets)
        self._hold = hold
        # uvicorn has no parameter for it.
        multiprocess.Process = Worker  # type: ignore[misc]

    def terminate_all(self) -> None:
        self._hold(self.sockets)
        super().terminate_all()

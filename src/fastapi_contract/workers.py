"""The parent of several workers, and each worker's process.

Imports nothing of the application: uvicorn's supervisor kills a worker that does not answer while it loads what its
process object needs.
"""

from socket import socket

from uvicorn import Config, Server
from uvicorn.supervisors import Multiprocess, multiprocess

from fastapi_contract import shutdown


class Worker(multiprocess.Process):
    """uvicorn's worker process, with the server that drains its listener."""

    @property
    def server(self) -> Server:
        if self._server is None:
            self._server = shutdown.Server(self.config)
        return self._server


class Supervisor(Multiprocess):
    """uvicorn's supervisor. It holds new connections before it ends all workers: only the parent knows that all of
    them end."""

    def __init__(self, config: Config, sockets: list[socket]) -> None:
        super().__init__(config, sockets)
        # uvicorn has no parameter for it.
        multiprocess.Process = Worker  # type: ignore[misc]

    def terminate_all(self) -> None:
        shutdown.hold_new_connections(self.sockets)
        super().terminate_all()

"""The parent process of several workers, and the process object of each worker.

Imports nothing of the application, because a worker loads this module before it can answer its parent: uvicorn's
supervisor kills a worker that does not answer in time.
"""

from socket import socket

from uvicorn import Config, Server
from uvicorn.supervisors import Multiprocess, multiprocess

from fastapi_contract.serving import shutdown


class Worker(multiprocess.Process):
    """uvicorn's worker process, with the server that drains the listener's queue."""

    @property
    def server(self) -> Server:
        if self._server is None:
            self._server = shutdown.Server(self.config)
        return self._server


class Supervisor(Multiprocess):
    """uvicorn's supervisor, which also makes the kernel ignore new handshakes before it ends all workers, because only
    the parent knows that all workers end."""

    def __init__(self, config: Config, sockets: list[socket]) -> None:
        super().__init__(config, sockets)
        # uvicorn has no parameter for the class of a worker.
        multiprocess.Process = Worker  # type: ignore[misc]

    def terminate_all(self) -> None:
        shutdown.ignore_new_handshakes(self.sockets)
        super().terminate_all()

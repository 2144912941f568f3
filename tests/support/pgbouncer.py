"""A real PgBouncer in front of the embedded PostgreSQL: transaction mode, TLS, and five server connections."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from support import certificates, debian
from support.ports import free_port

DEADLINE = 30.0
"""Timeout of the start in seconds."""

SERVER_CONNECTIONS = 5

# Kills PgBouncer when standard input ends, so that it does not outlive a killed test run.
UNTIL_END_OF_INPUT = '"$@" & read -r _; kill -KILL $!; wait'

CONFIGURATION = """
[databases]
* = host={socket_directory} port={port}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen_port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {directory}/users.txt
client_tls_sslmode = require
client_tls_key_file = {certificates.key}
client_tls_cert_file = {certificates.chain}
pool_mode = transaction
default_pool_size = {server_connections}
max_client_conn = 500
server_login_retry = 1
"""


@dataclass
class PgBouncer:
    program: str
    url: str = field(repr=False)
    directory: Path = field(repr=False)
    port: int
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Start, and return when it accepts connections."""
        configuration = str(self.directory / "pgbouncer.ini")
        assert self._process is None
        # PgBouncer does not run as root, so root names another user.
        user = ["-u", pwd.getpwuid(self.directory.stat().st_uid).pw_name] if os.getuid() == 0 else []
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["sh", "-c", UNTIL_END_OF_INPUT, "sh", self.program, *user, configuration],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={**os.environ, **debian.libraries(self.program)},
            )
        deadline = time.monotonic() + DEADLINE
        while not self._listens():
            assert time.monotonic() < deadline, (self.directory / "log").read_text()
            time.sleep(0.01)

    def stop(self) -> None:
        """Kill PgBouncer, which closes the connections of its clients without a message."""
        if self._process is not None:
            self._process.communicate()
            self._process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def _listens(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False


@contextmanager
def pgbouncer(database_url: str) -> Iterator[PgBouncer]:
    """Start PgBouncer for all databases of the embedded server, and yield it with the URL of `database_url`."""
    # Debian installs it in /usr/sbin, which is not on every user's PATH.
    program = debian.require("pgbouncer", "pgbouncer", "/usr/sbin/pgbouncer", "usr/sbin/pgbouncer")
    # Not in pytest's directory, which only its owner can read.
    directory = Path(tempfile.mkdtemp(prefix="todo-api-pgbouncer-"))
    server = _configure(program, directory, database_url)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory)


def _configure(program: str, directory: Path, database_url: str) -> PgBouncer:
    target = urlsplit(database_url)
    query = {name: values[0] for name, values in parse_qs(target.query).items()}
    issued, port = certificates.issue(directory), free_port()
    (directory / "users.txt").write_text(f'"{target.username}" "{unquote(target.password or "")}"\n')
    (directory / "pgbouncer.ini").write_text(
        CONFIGURATION.format(
            directory=directory,
            socket_directory=query["host"],
            port=query["port"],
            listen_port=port,
            certificates=issued,
            server_connections=SERVER_CONNECTIONS,
        )
    )
    # Only the user that runs PostgreSQL can enter the directory of its socket.
    owner = Path(query["host"]).stat().st_uid
    if os.getuid() == 0:
        for path in directory, *directory.iterdir():
            os.chown(path, owner, -1)
    user = f"{target.username}:{target.password}"
    parameters = f"sslmode=verify-full&sslrootcert={issued.authority}&pgbouncer=true"
    return PgBouncer(program, f"postgresql://{user}@localhost:{port}{target.path}?{parameters}", directory, port)

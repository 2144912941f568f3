"""Fuzzes a running service with schemathesis, configured by schemathesis.toml.

As a program, it fuzzes for ten minutes and writes its reports to reports/. Arguments are options of `schemathesis run`.
Environment variables:

    BASE_URL      the service; if unset, a new service is started with an embedded database
    TOKEN         with BASE_URL: token of the user whose tasks are created, changed and deleted
    PEER_TOKEN    with BASE_URL: token of another user, who must not see these tasks
"""

import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from jose import jwt

from todo_api.auth.tokens import sign
from todo_api.contract import load_contract

ROOT = Path(__file__).resolve().parents[2]
REPORTS = ROOT / "reports"
START_LIMIT = 60
STOP_LIMIT = 30
TOKEN_LIFETIME = 3600

DEEP = (
    "--max-examples=1000",
    # Hypothesis stops an operation before its 1000 examples if it notices that they depend on earlier responses. So the
    # run is repeated with other data until the time (in seconds) is over.
    "--seed=1",
    "--max-time=600",
)

Target = tuple[str, str, str]
"""A URL, the token of a user and the token of another user."""


def fuzz(
    target: Target, *options: str, contract: str = "generated/openapi.yaml", capture: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run schemathesis with a contract. The exit code is not 0 if there is a failure or a warning."""
    url, token, peer_token = target
    tokens = {"owner": token, "peer": peer_token}
    users = [
        {"name": name, "fixedHeaders": [{"name": "Authorization", "value": f"Bearer {token}"}]}
        for name, token in tokens.items()
    ]
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "users.json")
        file.write_text(json.dumps({"auth": users}))
        return subprocess.run(
            [
                sys.executable,
                "-m",
                "schemathesis.cli",
                "run",
                contract,
                f"--url={url}{load_contract().base_path}",
                *options,
            ],
            cwd=ROOT,
            env={
                **os.environ,
                # For the hooks.
                "PYTHONPATH": str(ROOT / "tests"),
                "FUZZ_USERS": str(file),
                "FUZZ_OWNER": jwt.get_unverified_claims(token)["sub"],
            },
            stdout=subprocess.PIPE if capture else None,
            stderr=subprocess.STDOUT if capture else None,
            text=True,
            check=False,
        )


@contextmanager
def _own_service() -> Iterator[Target]:
    secret = secrets.token_urlsafe(32)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = REPORTS / "service.log"
    with tempfile.TemporaryDirectory(prefix="todo-api-fuzz-") as directory, log.open("w") as lines:
        process = subprocess.Popen(
            [sys.executable, "-m", "todo_api", "serve", f"--port={port}"],
            # Not the current directory, because its .env may name another database.
            cwd=directory,
            env={**os.environ, "DATABASE_URL": "", "DATA_DIR": directory, "BETTER_AUTH_SECRET": secret},
            stdout=lines,
            stderr=lines,
        )
        url = f"http://127.0.0.1:{port}"
        try:
            deadline = time.monotonic() + START_LIMIT
            while not _is_ready(url):
                if process.poll() is not None or time.monotonic() > deadline:
                    sys.exit(f"The service did not start. See {log}.")
                time.sleep(0.1)
            yield url, sign(secret, "owner", TOKEN_LIFETIME), sign(secret, "peer", TOKEN_LIFETIME)
        finally:
            process.terminate()
            process.wait(STOP_LIMIT)


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(url + load_contract().operations["getReadiness"].url()).is_success
    except httpx.TransportError:
        return False


@contextmanager
def _target() -> Iterator[Target]:
    url = os.environ.get("BASE_URL")
    if not url:
        with _own_service() as target:
            yield target
        return
    token, peer_token = os.environ.get("TOKEN"), os.environ.get("PEER_TOKEN")
    if not token or not peer_token:
        sys.exit("BASE_URL requires TOKEN and PEER_TOKEN, the tokens of two users.")
    yield url, token, peer_token


def main() -> None:
    REPORTS.mkdir(exist_ok=True)
    with _target() as target:
        run = fuzz(
            target,
            *DEEP,
            "--report=junit,har",
            f"--report-junit-path={REPORTS / 'fuzz.xml'}",
            f"--report-har-path={REPORTS / 'fuzz.har'}",
            *sys.argv[1:],
        )
    sys.exit(run.returncode)


if __name__ == "__main__":
    main()

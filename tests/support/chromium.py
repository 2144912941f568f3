"""Pages in a real browser: Debian's Chromium, which scripts of Node drive with Playwright."""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from support import debian, node


@dataclass(frozen=True)
class Chromium:
    program: str

    @property
    def variables(self) -> dict[str, str]:
        """What tests/browser/chromium.mjs reads from the environment."""
        return {"CHROMIUM": self.program, "CHROMIUM_LIBRARIES": json.dumps(debian.libraries(self.program))}

    def run(self, script: str | Path, argument: Any) -> Any:
        """Run a script of Node with JSON as its input, and return the JSON that it prints.

        The script opens pages with tests/browser/chromium.mjs.
        """
        result = node.run(script, env={**os.environ, **self.variables}, stdin=json.dumps(argument))
        assert result.returncode == 0, result.stdout + result.stderr
        return json.loads(result.stdout)


def chromium() -> Chromium:
    """Return the browser, or skip a test that has none; with CI=true it fails."""
    node.require_packages()
    return Chromium(debian.require("chromium", "chromium", "google-chrome", "usr/lib/chromium/chromium"))


class _EmptyPage(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>Test</title>")

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def empty_pages() -> Iterator[int]:
    """Serve an empty page at every path, and yield the port: `http://localhost` and `http://127.0.0.1` are two origins
    with it."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _EmptyPage) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()

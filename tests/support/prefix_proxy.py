"""A reverse proxy that serves another server below a prefix, which it removes from each path."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import httpx

_HOP = {"connection", "keep-alive", "transfer-encoding", "date", "server"}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    target: ClassVar[str]
    prefix: ClassVar[str]

    def _relay(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if not self.path.startswith(f"{self.prefix}/"):
            self.send_error(404)
            return
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
        url = self.target + self.path.removeprefix(self.prefix)
        response = httpx.request(self.command, url, headers=headers | {"Accept-Encoding": "identity"}, content=body)
        self.send_response(response.status_code)
        for name, value in response.headers.multi_items():
            if name.lower() not in _HOP:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(response.content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _relay  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Logs nothing."""


@contextmanager
def prefix_proxy(target: str, prefix: str) -> Iterator[str]:
    """Yields the URL below which `target` is served, such as http://127.0.0.1:4711/todo."""
    handler = type("Handler", (_Handler,), {"target": target, "prefix": prefix})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{proxy.server_port}{prefix}"
        finally:
            proxy.shutdown()
            thread.join()

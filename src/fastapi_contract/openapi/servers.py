"""The base path: the path of the contract's `servers`, which precedes each of its paths (OpenAPI 3.1.1, section 4.8.8).

In a URL that the service makes, the prefix that a reverse proxy removes precedes it (docs/decisions/0021).
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

_VARIABLE = re.compile(r"\{([^{}]*)\}")
_PATH = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~-]+)*")


def is_path(text: str) -> bool:
    """Whether a text is a path that may precede others: empty, or such as `/v2`, without a final slash."""
    return _PATH.fullmatch(text) is not None


def variables_of(url: str) -> list[str]:
    """The names of the variables in the URL of a server."""
    return _VARIABLE.findall(url)


def path_of(server: Mapping[str, Any], values: Mapping[str, str] | None = None) -> str:
    """The path of a server's URL, without a final slash. Each variable has its default, or its value in `values`.

    Raises ValueError if it is no URL, or has a query or a fragment.

        path_of({"url": "https://{host}/v2/", "variables": {"host": {"default": "example.com"}}})  # "/v2"
    """
    parts = urlsplit(_url(server, values or {}))
    if parts.query or parts.fragment:
        raise ValueError
    path = parts.path.rstrip("/")
    # `.` is the place of the document, which is served below the base path.
    return "" if path == "." else path


def base_path(servers: Sequence[Mapping[str, Any]]) -> str:
    """The base path of valid servers, which all have the same."""
    return path_of(servers[0]) if servers else ""


def mounted(base: str, root_path: str) -> str:
    """The path under which clients find everything. A base path that begins with the proxy's prefix contains it.

    mounted("/v2", "/todo")  # "/todo/v2"
    mounted("/todo/v2", "/todo")  # "/todo/v2"
    """
    return base if f"{base}/".startswith(f"{root_path}/") else root_path + base


def below(servers: Sequence[Mapping[str, Any]], prefix: str) -> list[dict[str, Any]]:
    """The servers as clients behind the proxy must read them: a URL that is only a path begins with `prefix`."""
    return [
        {**each, "url": prefix + each["url"].rstrip("/")} if re.match(r"/(?!/)", _url(each, {})) else {**each}
        for each in servers or [{"url": "/"}]
    ]


def _url(server: Mapping[str, Any], values: Mapping[str, str]) -> str:
    values = {name: each["default"] for name, each in server.get("variables", {}).items()} | {**values}
    return _VARIABLE.sub(lambda match: values[match[1]], server["url"])

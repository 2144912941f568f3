"""What pages consist of: bodies that caches may keep, with their validators and compressed forms."""

import gzip
import hashlib
import re
from collections.abc import Callable, Mapping
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

from fastapi import Request, Response

from fastapi_contract.entity_tags import matches

ASSETS = "/docs/assets"
_OWN = Path(__file__).parent / "static"

# Redoc's script loads a logo from a CDN, and the browser logs an error because its policy forbids it. An empty image
# makes Redoc omit the logo, as it does if the CDN is unreachable.
_CDN_LOGO, _EMPTY_LOGO = b"https://cdn.redoc.ly/redoc/logo-mini.svg", b"data:,"


_REVALIDATED = MappingProxyType({"Cache-Control": "no-cache"})
_IMMUTABLE = MappingProxyType({"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"})


class Content:
    """A body that is made when it is first requested, and then kept, here and by caches."""

    def __init__(
        self,
        make: Callable[[], bytes],
        media_type: str,
        headers: Mapping[str, str] = _REVALIDATED,
        *,
        is_coded: bool = False,
    ) -> None:
        """With `is_coded`, the body is compressed for clients that accept gzip."""
        self._make = make
        self._media_type = media_type
        self._headers = headers
        self._is_coded = is_coded

    @cached_property
    def body(self) -> bytes:
        return self._make()

    @cached_property
    def digest(self) -> str:
        return hashlib.sha256(self.body).hexdigest()

    @cached_property
    def _compressed(self) -> bytes:
        # Not at start-up, because it takes 150 ms for the largest script.
        return gzip.compress(self.body, compresslevel=6, mtime=0)

    def respond(self, request: Request) -> Response:
        """Returns the body, or 304 if the client has it."""
        tag = f'"{self.digest[:32]}"'
        # The validator of two codings is weak.
        headers = {"ETag": f"W/{tag}" if self._is_coded else tag, **self._headers}
        if matches(request.headers.get("if-none-match", ""), tag):
            return Response(status_code=304, headers=headers)
        if self._is_coded and _accepts_gzip(",".join(request.headers.getlist("accept-encoding"))):
            headers["Content-Encoding"] = "gzip"
            return Response(self._compressed, headers=headers, media_type=self._media_type)
        return Response(self.body, headers=headers, media_type=self._media_type)


class Asset(Content):
    """A file whose URL contains a hash of its content, so that caches may keep it without a limit."""

    def __init__(self, name: str, media_type: str, folder: Callable[[], Path] = lambda: _OWN) -> None:
        make = lambda: (folder() / name).read_bytes().replace(_CDN_LOGO, _EMPTY_LOGO)  # noqa: E731
        super().__init__(make, media_type, _IMMUTABLE, is_coded=True)
        self._name = name

    @cached_property
    def url(self) -> str:
        """Below the path of the service."""
        return f"{ASSETS}/{self.digest[:16]}-{self._name}"


def offline_folder() -> Path:
    """Returns the folder of a package with Swagger UI and Redoc, which FastAPI's own pages load from a CDN."""
    spec = find_spec("fastapi_offline")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "static"


STYLE = Asset("style.css", "text/css")
ICON = Asset("icon.svg", "image/svg+xml")
DOCS_SCRIPT = Asset("docs.js", "text/javascript")
SWAGGER_UI_SCRIPT = Asset("swagger-ui-bundle.js", "text/javascript", offline_folder)
SWAGGER_UI_STYLE = Asset("swagger-ui.css", "text/css", offline_folder)
REDOC_SCRIPT = Asset("redoc.standalone.js", "text/javascript", offline_folder)
ALL = (STYLE, ICON, DOCS_SCRIPT, SWAGGER_UI_SCRIPT, SWAGGER_UI_STYLE, REDOC_SCRIPT)


def _accepts_gzip(accept_encoding: str) -> bool:
    """Returns whether gzip is accepted and its weight is at least that of an uncompressed response (RFC 9110, section
    12.5.3)."""
    weights: dict[str, float] = {}
    for item in accept_encoding.lower().split(","):
        # A coding with an invalid weight is ignored.
        if match := _CODING.fullmatch(item):
            weights[match["coding"]] = float(match["weight"] or 1)
    gzipped = weights.get("gzip", weights.get("x-gzip", weights.get("*", 0)))
    return gzipped > 0 and gzipped >= weights.get("identity", 0)


_CODING = re.compile(
    r"[ \t]*(?P<coding>[a-z0-9-]+|\*)[ \t]*(;[ \t]*q=(?P<weight>0(\.[0-9]{0,3})?|1(\.0{0,3})?)[ \t]*)?"
)

"""The pages: the contract byte for byte, Swagger UI, Redoc, and a page for each problem type.

The assets of /docs and /redoc come from a package, because FastAPI's own pages load them from a CDN and do not work
offline.
"""

import gzip
import hashlib
import inspect
import json
import re
from collections.abc import Mapping
from functools import cached_property
from html import escape
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from fastapi.responses import HTMLResponse

from fastapi_contract.contract import Contract
from fastapi_contract.openapi import servers
from fastapi_contract.problems import NotFound, problem_types

ASSETS = "/docs/assets"

# Browsers load nothing from other origins.
_SAME_ORIGIN_POLICY = {
    "Content-Security-Policy": "default-src 'self'; script-src 'self' 'unsafe-inline'; worker-src blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:"
}


# Redoc's script loads a logo from a CDN, and the browser logs an error because the policy above forbids it. An empty
# image makes Redoc omit the logo, as it does if the CDN is unreachable.
_CDN_LOGO, _EMPTY_LOGO = b"https://cdn.redoc.ly/redoc/logo-mini.svg", b"data:,"


class _Asset:
    """A file of the package. Its URL contains a hash of its content, so that caches may keep it without a limit.

    Hashed and compressed on first use and not at start-up, because that takes 0.9 ms and 150 ms for the largest file.
    """

    def __init__(self, name: str, media_type: str) -> None:
        self._name = name
        self.media_type = media_type

    @cached_property
    def content(self) -> bytes:
        return (_assets_directory() / self._name).read_bytes().replace(_CDN_LOGO, _EMPTY_LOGO)

    @cached_property
    def url(self) -> str:
        return f"{ASSETS}/{hashlib.sha256(self.content).hexdigest()[:16]}-{self._name}"

    @cached_property
    def compressed(self) -> bytes:
        return gzip.compress(self.content, compresslevel=6, mtime=0)


_SWAGGER_UI_SCRIPT = _Asset("swagger-ui-bundle.js", "text/javascript")
_SWAGGER_UI_STYLE = _Asset("swagger-ui.css", "text/css")
_REDOC_SCRIPT = _Asset("redoc.standalone.js", "text/javascript")


def install(
    app: FastAPI, contract: Contract, files: Mapping[str, tuple[Path, str]] = MappingProxyType({})
) -> list[str]:
    """Adds the pages to the app: /docs, /redoc, /openapi.yaml, /openapi.json, /favicon.ico, /problems/{name} for each
    problem class imported so far, and the service's own `files` by path, with their media types. None of them is an
    operation of the contract. Returns their paths, which the app's `root_path` precedes for clients."""
    router = APIRouter(include_in_schema=False)
    root = app.root_path
    title = contract.document["info"]["title"]
    problems = problem_types()
    # application/yaml is RFC 9512's; no media type is registered for OpenAPI 3.1.
    documents = {
        "/openapi.yaml": (_yaml(contract, root), "application/yaml"),
        "/openapi.json": (json.dumps(_document(contract, root)).encode(), "application/json"),
        # Browsers request this path for every page.
        "/favicon.ico": ((_assets_directory() / "favicon.png").read_bytes(), "image/png"),
        **{path: (file.read_bytes(), media_type) for path, (file, media_type) in files.items()},
    }

    for path, (body, media_type) in documents.items():
        _add_document(router, path, body, media_type)

    @router.get("/docs")
    def swagger_ui() -> HTMLResponse:
        page = get_swagger_ui_html(
            openapi_url=f"{root}/openapi.json",
            title=title,
            swagger_js_url=root + _SWAGGER_UI_SCRIPT.url,
            swagger_css_url=root + _SWAGGER_UI_STYLE.url,
            swagger_favicon_url=f"{root}/favicon.ico",
        )
        page.headers.update(_SAME_ORIGIN_POLICY)
        return page

    @router.get("/redoc")
    def redoc() -> HTMLResponse:
        page = get_redoc_html(
            openapi_url=f"{root}/openapi.json",
            title=title,
            redoc_js_url=root + _REDOC_SCRIPT.url,
            redoc_favicon_url=f"{root}/favicon.ico",
            with_google_fonts=False,
        )
        page.headers.update(_SAME_ORIGIN_POLICY)
        return page

    @router.get("/problems/{name}")
    async def problem_page(name: str) -> HTMLResponse:
        if (problem := problems.get(f"/problems/{name}")) is None:
            raise NotFound(root)
        heading = f"{problem.status} {escape(problem.title)}"
        description = escape(inspect.cleandoc(problem.__doc__ or ""))
        return HTMLResponse(
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{heading}</title>'
            f"<h1>{heading}</h1><p>{description}</p><p><code>{contract.base_path}{problem.type}</code></p></html>"
        )

    router.add_api_route(ASSETS + "/{name}", _serve_asset)
    app.include_router(router)
    return [str(getattr(route, "path", "")) for route in router.routes]


def _document(contract: Contract, root: str) -> dict[str, Any]:
    """The contract as clients must read it: its servers are behind the proxy too."""
    if root == contract.base_path:
        return contract.document
    prefix = root.removesuffix(contract.base_path)
    return {**contract.document, "servers": servers.below(contract.document.get("servers", ()), prefix)}


def _yaml(contract: Contract, root: str) -> bytes:
    """The file byte for byte, unless a proxy's prefix changes its servers: then it is JSON, which is YAML too."""
    if root == contract.base_path:
        return contract.source
    return json.dumps(_document(contract, root), ensure_ascii=False, indent=2).encode()


def _add_document(router: APIRouter, path: str, body: bytes, media_type: str) -> None:
    """Adds a document that browsers cache and revalidate: the response is the whole document or 304."""
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'

    @router.get(path)
    async def document(request: Request) -> Response:
        cached = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
        headers = {"ETag": etag, "Cache-Control": "no-cache"}
        if cached & {etag, "*"}:
            return Response(status_code=304, headers=headers)
        return Response(body, headers=headers, media_type=media_type)


def _serve_asset(name: str, request: Request) -> Response:
    """Not async, so that FastAPI runs it in a thread, and the compression does not block the event loop."""
    assets = {each.url: each for each in (_SWAGGER_UI_SCRIPT, _SWAGGER_UI_STYLE, _REDOC_SCRIPT)}
    if (asset := assets.get(f"{ASSETS}/{name}")) is None:
        raise NotFound(request.app.root_path)
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
    if _accepts_gzip(",".join(request.headers.getlist("accept-encoding"))):
        headers["Content-Encoding"] = "gzip"
        return Response(asset.compressed, headers=headers, media_type=asset.media_type)
    return Response(asset.content, headers=headers, media_type=asset.media_type)


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


def _assets_directory() -> Path:
    spec = find_spec("fastapi_offline")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "static"

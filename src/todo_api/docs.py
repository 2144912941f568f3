"""What people read: the contract byte for byte, Swagger UI, Redoc, and what each problem type means.

The assets of /docs and /redoc come from a package, for FastAPI's own pages load them from a CDN: dead offline.
"""

import hashlib
import inspect
import json
from html import escape
from importlib.util import find_spec
from pathlib import Path

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

from todo_api.contract import Contract
from todo_api.problems import TYPES, NotFound

ASSETS = "/docs/assets"

# Redoc's script asks a CDN for a logo; with this the browser asks nobody but us.
_OWN_ONLY = {
    "Content-Security-Policy": "default-src 'self'; script-src 'self' 'unsafe-inline'; worker-src blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:"
}


def install(app: FastAPI, contract: Contract) -> None:
    """Adds the pages. None of them is an operation of the contract."""
    router = APIRouter(include_in_schema=False)
    title = contract.document["info"]["title"]
    # Media types: RFC 9512 for YAML; OpenAPI 3.1 has none of its own that is registered.
    documents = {
        "/openapi.yaml": (contract.source, "application/yaml"),
        "/openapi.json": (json.dumps(contract.document).encode(), "application/json"),
    }

    def serve(path: str, body: bytes, media_type: str) -> None:
        etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'

        @router.get(path)
        async def document(request: Request) -> Response:
            known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
            headers = {"ETag": etag, "Cache-Control": "no-cache"}
            if known & {etag, "*"}:
                return Response(status_code=304, headers=headers)
            return Response(body, headers=headers, media_type=media_type)

    for path, (body, media_type) in documents.items():
        serve(path, body, media_type)

    @router.get("/docs")
    async def swagger_ui() -> HTMLResponse:
        page = get_swagger_ui_html(
            openapi_url="/openapi.json",
            title=title,
            swagger_js_url=f"{ASSETS}/swagger-ui-bundle.js",
            swagger_css_url=f"{ASSETS}/swagger-ui.css",
            swagger_favicon_url=f"{ASSETS}/favicon.png",
        )
        page.headers.update(_OWN_ONLY)
        return page

    @router.get("/redoc")
    async def redoc() -> HTMLResponse:
        page = get_redoc_html(
            openapi_url="/openapi.json",
            title=title,
            redoc_js_url=f"{ASSETS}/redoc.standalone.js",
            redoc_favicon_url=f"{ASSETS}/favicon.png",
            with_google_fonts=False,
        )
        page.headers.update(_OWN_ONLY)
        return page

    @router.get("/problems/{name}")
    async def explain_problem(name: str) -> HTMLResponse:
        if (problem := TYPES.get(f"/problems/{name}")) is None:
            raise NotFound
        heading = f"{problem.status} {escape(problem.title)}"
        meaning = escape(inspect.cleandoc(problem.__doc__ or ""))
        return HTMLResponse(
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{heading}</title>'
            f"<h1>{heading}</h1><p>{meaning}</p><p><code>{problem.type}</code></p></html>"
        )

    app.include_router(router)
    app.mount(ASSETS, StaticFiles(directory=_assets()))


def _assets() -> Path:
    spec = find_spec("fastapi_offline")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "static"

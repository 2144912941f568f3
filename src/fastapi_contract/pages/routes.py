"""Adds the pages to an application."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response

from fastapi_contract.contract import Contract
from fastapi_contract.openapi import servers
from fastapi_contract.pages import contents, docs, problems
from fastapi_contract.pages.contents import Content
from fastapi_contract.pages.layout import Layout
from fastapi_contract.problems import NotFound


def install(
    app: FastAPI, contract: Contract, files: Mapping[str, tuple[Path, str]] = MappingProxyType({})
) -> list[str]:
    """Adds the pages to the app: /docs, /redoc, /problems, /problems/{name}, /openapi.yaml, /openapi.json,
    /favicon.ico, and the service's own `files` by path, with their media types.

    None of them is an operation of the contract. `app.state.layout` renders further pages. Returns the paths of the
    pages, which the app's `root_path` precedes for clients.
    """
    router = APIRouter(include_in_schema=False)
    root = app.root_path
    app.state.layout = layout = Layout(contract, root)
    # application/yaml is RFC 9512's; no media type is registered for OpenAPI 3.1.
    _add_document(router, "/openapi.yaml", _yaml(contract, root), "application/yaml")
    _add_document(router, "/openapi.json", json.dumps(_document(contract, root)).encode(), "application/json")
    # Browsers request this path for what is no page, such as JSON.
    _add_document(router, "/favicon.ico", contents.ICON.body, "image/svg+xml")
    for path, (file, media_type) in files.items():
        _add_document(router, path, file.read_bytes(), media_type)
    docs.install(router, layout)
    problems.install(router, contract, layout, root)
    router.add_api_route(contents.ASSETS + "/{name}", _serve_asset)
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
    content = Content(lambda: body, media_type)

    @router.get(path)
    async def document(request: Request) -> Response:
        return content.respond(request)


def _serve_asset(name: str, request: Request) -> Response:
    """Not async, so that FastAPI runs it in a thread, and the compression does not block the event loop."""
    asset = next((each for each in contents.ALL if each.url == f"{contents.ASSETS}/{name}"), None)
    if asset is None:
        raise NotFound(request.app.root_path)
    return asset.respond(request)

"""The documentation that is made of the contract in the browser: Swagger UI and Redoc."""

from fastapi import APIRouter, Request, Response

from fastapi_contract.pages.contents import Content
from fastapi_contract.pages.layout import NOTHING_ELSE, PAGE_HEADERS, Layout

_REST = f"img-src 'self' data:; connect-src 'self'; {NOTHING_ELSE}"
# Redoc's components fill a <style> that begins empty, and one of its libraries adds another. These are the hashes of
# both texts, so that no other inline style is applied. After an update, the console of the browser names new ones.
_REDOC_STYLES = (
    "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=' 'sha256-QMIg+bpjm3JdElJ388KYke01izlUW0UoNOeKjpMxdgc='"
)
POLICIES = {
    "/docs": f"default-src 'none'; script-src 'self'; style-src 'self'; {_REST}",
    "/redoc": f"default-src 'none'; script-src 'self'; style-src 'self' {_REDOC_STYLES}; worker-src blob:; {_REST}",
}


def install(router: APIRouter, layout: Layout) -> None:
    """Adds /docs and /redoc."""
    for path in POLICIES:
        _add(router, layout, path)


def _add(router: APIRouter, layout: Layout, path: str) -> None:
    cached = {"Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    headers = {**PAGE_HEADERS, "Content-Security-Policy": POLICIES[path], **cached}
    page = Content(lambda: layout.render(f"{path[1:]}.html", path).encode(), "text/html", headers, is_coded=True)

    # Not async, so that FastAPI runs it in a thread: the first request reads and hashes the assets.
    @router.get(path)
    def documentation(request: Request) -> Response:
        return page.respond(request)

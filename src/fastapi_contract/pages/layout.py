"""The layout of all pages, and the policies with which browsers show them."""

import functools
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markdown_it import MarkdownIt
from markupsafe import Markup

from fastapi_contract.contract import Contract
from fastapi_contract.pages import contents
from fastapi_contract.validation.media_types import HTML

NOTHING_ELSE = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
PAGE_HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'self'; img-src 'self'; {NOTHING_ELSE}",
    "Referrer-Policy": "same-origin",
}
"""Headers of a page of the layout that has no script."""


class Layout:
    """Renders pages of a service. Texts of the contract are CommonMark; everything else is escaped."""

    def __init__(self, contract: Contract, root: str) -> None:
        """`root` is the path under which clients find the service."""
        self._environment = Environment(
            loader=FileSystemLoader(Path(__file__).parent / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        # HTML in a text is shown as text, and links to scripts are none.
        markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
        self._environment.filters["markdown"] = lambda text: Markup(markdown.render(text))  # noqa: S704
        self._environment.filters["inline"] = lambda text: Markup(markdown.renderInline(text))  # noqa: S704
        self._environment.globals = {
            "root": root,
            "info": {"summary": "", **contract.document["info"]},
            "links": _links(contract),
            "assets": contents,
        }
        self._template = functools.cache(self._read)

    def _read(self, template: str | Path) -> Template:
        if isinstance(template, Path):
            return self._environment.from_string(template.read_text(encoding="utf-8"))
        return self._environment.get_template(template)

    def render(self, template: str | Path, path: str, **values: object) -> str:
        """Returns a page. `template` is one of the engine, by its name, or a file of the service, which begins with
        `{% extends "layout.html" %}`. `path` is that of the page, which the navigation does not link."""
        return str(self._template(template).render(path=path, **values))


def _links(contract: Contract) -> dict[str, str]:
    """The navigation: texts, by the paths below the root."""
    home = next((each for each in contract.operations.values() if (each.path, each.method) == ("/", "GET")), None)
    has_home = home is not None and any(HTML in each.get("content", ()) for each in home.responses.values())
    pages = {"/docs": "Documentation", "/redoc": "Reference", "/problems": "Problems", "/openapi.yaml": "Contract"}
    return {"/": "Home", **pages} if has_home else pages

"""The example compiles, and its page is small."""

import gzip
from pathlib import Path

import pytest

from support import node
from support.demo import WEB

LIMIT = 150 * 1024


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    run("node_modules/.bin/vite", "build", "--outDir", str(folder), "--emptyOutDir", "--logLevel", "warn")
    return folder


def run(*command: str) -> None:
    node.require_packages(WEB)
    program, *arguments = command
    result = node.run(WEB / program, *arguments, cwd=WEB)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_example_compiles_under_strict_rules() -> None:
    run("node_modules/.bin/tsc", "--strict", "--noEmit")


def test_bundle_is_below_150_kb_compressed(built: Path) -> None:
    files = [each for each in built.rglob("*") if each.suffix in {".js", ".css", ".html", ".svg"}]

    size = sum(len(gzip.compress(each.read_bytes(), mtime=0)) for each in files)

    assert {each.suffix for each in files} == {".js", ".css", ".html", ".svg"}
    assert size < LIMIT


def test_page_has_no_script_or_style_of_its_own(built: Path) -> None:
    """The server's Content-Security-Policy would block them."""
    html = (built / "index.html").read_text()

    assert "<style" not in html
    assert html.count("<script") == html.count('<script type="module" crossorigin src="/assets/') == 1

"""The client package: what npm installs, its size, its types, and that it is always the same bytes."""

import gzip
import json
import re
import tarfile
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

import todo_api.contract
from support import ROOT
from support.node import run
from support.operations import CONTRACT
from todo_api.contract import client_package

PACKAGE = ROOT / "generated/client"
ARCHIVE = ROOT / "generated/client.tgz"
SOURCES = sorted((ROOT / "client").glob("*.ts"))


def test_npm_installs_the_client_from_the_service_without_a_registry(frontend: Path) -> None:
    installed = frontend / "node_modules/todo-api-client"
    assert {each.name for each in installed.iterdir()} == {each.name for each in PACKAGE.iterdir()}
    assert json.loads((installed / "package.json").read_text())["version"] == CONTRACT.document["info"]["version"]
    assert [each.name for each in (frontend / "node_modules").iterdir() if not each.name.startswith((".", "@"))] == [
        "todo-api-client"
    ]


def test_archive_has_the_files_of_the_package_in_order_and_without_a_time() -> None:
    with tarfile.open(ARCHIVE) as archive:
        members = archive.getmembers()
        contents = {each.name: archive.extractfile(each).read() for each in members}  # type: ignore[union-attr]
    assert contents == {f"package/{each.name}": each.read_bytes() for each in PACKAGE.iterdir()}
    assert [*contents] == sorted(contents)
    assert {(each.mtime, each.uid, each.gid, each.mode, each.uname) for each in members} == {(0, 0, 0, 0o644, "")}
    assert ARCHIVE.read_bytes()[4:8] == bytes(4), "gzip's time"


def test_wheel_ships_the_archive_where_the_service_looks_for_it() -> None:
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    package = Path(todo_api.contract.__file__).parent
    assert wheel["force-include"][str(client_package().relative_to(ROOT))] == f"{package.name}/{client_package().name}"


def test_scripts_are_below_10_kilobytes_compressed(record_property: Callable[[str, object], None]) -> None:
    scripts = [each.read_bytes() for each in sorted(PACKAGE.glob("*.js"))]
    size = len(gzip.compress(b"".join(scripts), mtime=0))
    record_property("client", f"{size} bytes compressed, {ARCHIVE.stat().st_size} with types and licences")
    assert size < 10 * 1024


def test_own_code_of_the_client_is_at_most_300_lines() -> None:
    """Lines of code, without comments."""
    sources = [re.sub(r"/\*\*.*?\*/", "", each.read_text(), flags=re.DOTALL) for each in SOURCES]
    lines = [line.strip() for source in sources for line in source.splitlines()]
    assert len([line for line in lines if line and not line.startswith("//")]) <= 300


def test_operations_are_those_of_the_contract() -> None:
    table = (PACKAGE / "operations.js").read_text()
    assert re.findall(r"^    (\w+): \{", table, flags=re.MULTILINE) == [*CONTRACT.operations]


def test_bundled_package_keeps_its_licence() -> None:
    notice = (PACKAGE / "openapi-fetch.LICENSE").read_text()
    assert "MIT License" in notice
    assert "Copyright" in notice


@pytest.mark.parametrize("compiler", ["typescript", "typescript7"])
@pytest.mark.parametrize("resolution", ["nodenext", "bundler"])
def test_types_compile_and_reject_mistakes(compiler: str, resolution: str, frontend: Path) -> None:
    module = "nodenext" if resolution == "nodenext" else "esnext"
    options = ["--module", module, "--moduleResolution", resolution]
    result = run(f"node_modules/{compiler}/bin/tsc", "--project", frontend, *options)
    assert result.returncode == 0, result.stdout


def test_publint_finds_nothing() -> None:
    result = run("node_modules/publint/src/cli.js", "run", PACKAGE, "--strict", "--pack", "false")
    assert "All good!" in result.stdout, result.stdout + result.stderr


def test_types_are_found_by_every_resolver_of_modules() -> None:
    """Without CommonJS, which the client does not offer."""
    result = run("node_modules/@arethetypeswrong/cli/dist/index.js", ARCHIVE, "--profile", "esm-only", "--no-color")
    assert result.returncode == 0, result.stdout + result.stderr

"""codegen.sh derives generated/ from openapi.yaml: `--check` fails with a diff, and a second run changes nothing."""

import re
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from fastapi_contract.contract import Contract
from fastapi_contract.pages import routes
from support import ROOT, divided_contract
from support.node import require_packages
from support.service import running

MODELS = "generated/todo_contract/models.py"
ANSWERS = "generated/todo_contract/operations.py"
CONTRACT = "generated/openapi.yaml"
TYPES = "generated/typescript/schema.d.ts"
CLIENT = "generated/client/index.js"
ARCHIVE = "generated/client.tgz"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what codegen.sh reads and writes."""
    require_packages()
    for name in ("codegen.sh", "openapi.yaml", "pyproject.toml", "redocly.yaml", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "client", tmp_path / "client")
    shutil.copytree(ROOT / "generated", tmp_path / "generated")
    for name in (".venv", "node_modules"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def codegen(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(checkout / "codegen.sh"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def generated(checkout: Path) -> dict[str, str]:
    return {name: (checkout / name).read_text() for name in (CONTRACT, MODELS, ANSWERS, TYPES, CLIENT)}


def test_committed_output_equals_generated_output(checkout: Path) -> None:
    committed, archive = generated(checkout), (checkout / ARCHIVE).read_bytes()
    shutil.rmtree(checkout / "generated")
    for _ in range(2):
        written = codegen(checkout)
        assert written.returncode == 0, written.stderr
        assert generated(checkout) == committed
        assert (checkout / ARCHIVE).read_bytes() == archive


def test_divided_contract_generates_the_same_models_and_is_served_as_generated(checkout: Path) -> None:
    models = generated(checkout)[MODELS]
    divided_contract.write(checkout)
    written = codegen(checkout)
    assert written.returncode == 0, written.stderr
    assert generated(checkout)[MODELS] == models
    assert codegen(checkout, "--check").returncode == 0
    contract = Contract.read(checkout / "openapi.yaml")
    app = FastAPI(openapi_url=None)
    routes.install(app, contract)
    with running(app) as service:
        served = httpx.get(f"{service.url}/openapi.yaml").content
    assert served.decode() == generated(checkout)[CONTRACT]
    assert Contract.parse(served).document == contract.document


def test_change_in_another_file_is_stale_output(checkout: Path) -> None:
    divided_contract.write(checkout)
    assert codegen(checkout).returncode == 0
    schemas = checkout / divided_contract.SCHEMAS
    schemas.write_text(schemas.read_text().replace('"maxLength": 200', '"maxLength": 300'))
    checked = codegen(checkout, "--check")
    assert checked.returncode == 1
    assert "+            max_length=300," in checked.stdout


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def require_stale(checkout: Path) -> str:
    """Return the diff."""
    before = generated(checkout)
    checked = codegen(checkout, "--check")
    assert checked.returncode == 1
    assert "Run: ./codegen.sh" in checked.stderr
    assert generated(checkout) == before
    return checked.stdout


def test_edited_outputs_fail_with_a_diff_of_each(checkout: Path) -> None:
    for name in (MODELS, ANSWERS, CONTRACT, TYPES, CLIENT, ARCHIVE):
        with (checkout / name).open("a") as file:
            file.write("\n// edited\n" if name in {TYPES, CLIENT} else "\n# edited\n")
    diff = require_stale(checkout)
    assert (diff.count("-# edited"), diff.count("-// edited"), diff.count("client.tgz differ")) == (3, 2, 1)


def test_edited_sources_fail_with_a_diff_of_each(checkout: Path) -> None:
    replace(checkout / "openapi.yaml", "maxLength: 200\n", "maxLength: 300\n")
    replace(checkout / "openapi.yaml", "summary: Get a task", "summary: Get one task")
    replace(checkout / "client/token.ts", "left - 30", "left - 60")
    diff = require_stale(checkout)
    for line in ("max_length=300,", " * Get one task", "return 1000 * Math.max(left - 60, left / 2);"):
        assert re.search(rf"^[+] *{re.escape(line.strip())}$", diff, re.MULTILINE), line


def test_unknown_option_is_rejected(checkout: Path) -> None:
    assert codegen(checkout, "--chekc").returncode == 2


def test_fault_of_the_client_is_reported_with_its_line_and_writes_nothing(checkout: Path) -> None:
    source = checkout / "client/token.ts"
    source.write_text(source.read_text().replace("user: string", "user: strin"))
    before = generated(checkout)
    written = codegen(checkout)
    assert written.returncode == 1
    assert "client/token.ts(4,9): error TS2552: Cannot find name 'strin'." in written.stderr
    assert "at spawnSync" not in written.stderr
    assert generated(checkout) == before


def test_two_models_of_one_name_are_rejected(checkout: Path) -> None:
    """The generator would number one of them, and a handler would take it for the other."""
    contract = checkout / "openapi.yaml"
    inline = "    Event: {type: object, properties: {day: {type: object, properties: {name: {type: string}}}}}\n"
    added = f"  schemas:\n{inline}    EventDay: {{type: object, properties: {{size: {{type: integer}}}}}}\n"
    contract.write_text(contract.read_text().replace("  schemas:\n", added, 1))
    before = generated(checkout)
    written = codegen(checkout)
    assert written.returncode == 1
    assert "schemas/EventDay has the same name as the generated model of an inline schema." in written.stderr
    assert generated(checkout) == before


def test_fault_of_the_contract_is_reported_before_anything_is_generated(checkout: Path) -> None:
    contract = checkout / "openapi.yaml"
    contract.write_text(contract.read_text().replace("maxLength: 200\n", "maxLength: two\n"))
    written = codegen(checkout)
    assert written.returncode == 1
    assert "openapi.yaml cannot be served, 1 fault" in written.stderr
    assert "Traceback" not in written.stderr

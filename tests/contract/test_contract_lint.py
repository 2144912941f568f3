"""Two linters find nothing in the contract, and each of them finds a seeded fault."""

import shutil
import subprocess
from pathlib import Path

import pytest

from support import ROOT
from support.node import run

LINTERS = {
    "redocly": [
        "node_modules/.bin/redocly",
        "lint",
        f"--config={ROOT / 'redocly.yaml'}",
        "--format=stylish",
    ],
    "spectral": [
        "node_modules/.bin/spectral",
        "lint",
        f"--ruleset={ROOT / '.spectral.yaml'}",
        "--fail-severity=warn",
    ],
}
linters = pytest.mark.parametrize("linter", LINTERS)


def lint(linter: str, contract: Path) -> subprocess.CompletedProcess[str]:
    return run(*LINTERS[linter], contract)


@linters
def test_linter_finds_nothing_in_the_contract(linter: str) -> None:
    result = lint(linter, ROOT / "openapi.yaml")

    assert result.returncode == 0, result.stdout + result.stderr


@linters
@pytest.mark.parametrize(
    ("old", "new", "rules"),
    [
        pytest.param(
            "      operationId: getHealth\n",
            "",
            {"redocly": "operation-operationId", "spectral": "operation-operationId"},
            id="missing operationId",
        ),
        pytest.param(
            '"#/components/responses/Health"',
            '"#/components/responses/Nowhere"',
            {"redocly": "no-unresolved-refs", "spectral": "invalid-ref"},
            id="dangling $ref",
        ),
    ],
)
def test_linter_finds_a_seeded_fault(linter: str, old: str, new: str, rules: dict[str, str], tmp_path: Path) -> None:
    contract = Path(shutil.copy(ROOT / "openapi.yaml", tmp_path))
    source = contract.read_text()
    assert source.count(old) == 1
    contract.write_text(source.replace(old, new))

    result = lint(linter, contract)

    assert result.returncode != 0
    assert rules[linter] in result.stdout + result.stderr, result.stdout + result.stderr

"""Two linters find nothing in the contract, and each of them finds a seeded fault, against each rule of our own."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

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
            '"#/components/responses/HealthResponse"',
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


FORBIDDEN = '          schema:\n            $ref: "#/components/schemas/ForbiddenProblem"'
EDITS = {
    "string-is-bounded": ("      maxLength: 200\n", ""),
    "number-is-bounded": ("        maximum: 100\n", ""),
    "array-is-bounded": (
        '          maxItems: 100\n          items:\n            $ref: "#/components/schemas/Task"',
        '          items:\n            $ref: "#/components/schemas/Task"',
    ),
    "request-is-closed": ("      additionalProperties: false\n      minProperties: 1\n", "      minProperties: 1\n"),
    "const-has-a-type": ("          type: string\n          const: ok\n", "          const: ok\n"),
    "absent-is-not-null": ("          default: false\n", "          default: null\n"),
    "schema-is-described": ("      description: Notes on a task.\n", ""),
    "property-is-described": (
        "          description: Always `ok`, because a process that is not alive does not answer.\n",
        "",
    ),
    "scalar-has-an-example": ("      examples: [Buy milk]\n", ""),
    "parameter-is-described": ("      example: 20\n", ""),
    "header-is-described": ("      example: 5\n", ""),
    "example-has-a-summary": ("      summary: Alive\n", ""),
    "parameter-name-ends-in-param": ("LimitParam", "Limit"),
    "header-name-ends-in-header": ("LocationHeader", "Location"),
    "response-name-ends-in-response": ("HealthResponse", "Healthy"),
    "example-name-ends-in-example": ("HealthExample", "Healthy"),
    "link-name-ends-in-link": ("NextPageLink", "NextPage"),
    "schema-name-is-its-own": ("    Count:\n", "    CountBody:\n"),
    "operation-id-is-verb-and-noun": ("getHealth", "health"),
    "member-is-in-snake-case": (
        "        next_cursor:\n          description",
        "        nextCursor:\n          description",
    ),
    "problem-has-one-type": ("          const: /problems/forbidden\n", "          examples: [/problems/forbidden]\n"),
    "error-is-a-problem": (
        f"        application/problem+json:\n{FORBIDDEN}",
        f"        application/json:\n{FORBIDDEN}",
    ),
    "media-type-has-examples": (
        '          examples:\n            ready:\n              $ref: "#/components/examples/ReadinessExample"\n',
        "",
    ),
    "no-response-for-any-status": ('        "201":\n', "        default:\n"),
}


def test_every_rule_of_the_project_has_a_seeded_fault() -> None:
    rules = yaml.safe_load((ROOT / ".spectral.yaml").read_text())["rules"]
    assert {name for name, rule in rules.items() if rule is not False and rule != "off"} == EDITS.keys()


def test_linter_finds_a_seeded_fault_against_each_rule(tmp_path: Path) -> None:
    """All faults are in one contract, because the linter takes two seconds for each."""
    source = (ROOT / "openapi.yaml").read_text()
    for rule, (old, new) in EDITS.items():
        assert old in source, rule
        source = source.replace(old, new)
    (contract := tmp_path / "openapi.yaml").write_text(source)

    result = run(*LINTERS["spectral"], "--format=json", contract)

    assert EDITS.keys() - {each["code"] for each in json.loads(result.stdout)} == set()

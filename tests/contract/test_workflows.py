"""docs/workflows.arazzo.yaml documents what a client does with the API: Respect runs each workflow on the service."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from support import ROOT
from support.node import run
from support.operations import CONTRACT, tasks
from support.service import Service

REDOCLY = "node_modules/.bin/redocly"
SOURCE = "openapi.yaml"
FILE = "docs/workflows.arazzo.yaml"
WORKFLOWS = yaml.safe_load((ROOT / FILE).read_text())["workflows"]


def respect(service: Service, user: str, root: Path = ROOT) -> subprocess.CompletedProcess[str]:
    inputs = (f"--input=user_id={user}", f"--input=token={service.token(user)}")
    # In the project's folder, because its redocly.yaml turns telemetry off.
    return run(REDOCLY, "respect", root / FILE, f"--server=todo={service.url}{CONTRACT.base_path}", *inputs)


def test_linter_finds_nothing_in_the_workflows() -> None:
    result = run(REDOCLY, "lint", FILE)
    assert result.returncode == 0, result.stdout + result.stderr


def test_each_workflow_passes_on_the_service_and_leaves_no_task(service: Service, user: str) -> None:
    result = respect(service, user)
    assert result.returncode == 0, result.stdout + result.stderr
    steps = sum(len(workflow["steps"]) for workflow in WORKFLOWS)
    assert f"Steps: {steps} passed, {steps} total" in result.stdout
    assert service.client(user).get(tasks(user)).json()["items"] == []


@pytest.mark.parametrize(
    ("file", "old", "new", "check"),
    [
        pytest.param(
            FILE,
            '$response.body#/type == "/problems/forbidden"',
            '$response.body#/type == "/problems/task-not-found"',
            "success criteria check",
            id="wrong workflow",
        ),
        pytest.param(SOURCE, "      maxLength: 200\n", "      maxLength: 5\n", "schema check", id="wrong contract"),
    ],
)
def test_difference_from_the_service_fails_the_workflow(
    service: Service, user: str, tmp_path: Path, file: str, old: str, new: str, check: str
) -> None:
    (tmp_path / "docs").mkdir()
    for each in (FILE, SOURCE):
        shutil.copy(ROOT / each, tmp_path / each)
    source = (tmp_path / file).read_text()
    assert source.count(old) == 1
    (tmp_path / file).write_text(source.replace(old, new))

    result = respect(service, user, tmp_path)

    assert result.returncode != 0
    assert f"✗ {check}" in result.stdout, result.stdout

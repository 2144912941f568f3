"""The workflows for GitHub run targets of the Makefile, with pinned actions and no more permissions than they need."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from support import ROOT

FILES = sorted((ROOT / ".github/workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
COMMENT = ROOT / ".github/workflows/contract-comment.yml"
each_workflow = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def read(path: Path) -> dict[str, Any]:
    """Return a workflow. Its key `on` is a truth value in YAML 1.1."""
    document: dict[Any, Any] = yaml.safe_load(path.read_text())
    return {"on": document.pop(True), **document}


def jobs(path: Path) -> list[dict[str, Any]]:
    return [*read(path)["jobs"].values()]


def scripts(path: Path) -> list[str]:
    return [step["run"] for job in jobs(path) for step in job["steps"] if "run" in step]


def made(path: Path) -> list[str]:
    """The targets of each `make` in the scripts of a workflow."""
    commands = re.findall(r"^make ([a-z -]+)", "\n".join(scripts(path)), re.MULTILINE)
    return [word for command in commands for word in command.split() if not word.startswith("-")]


def test_workflows_run_tests_contract_diff_and_fuzzer() -> None:
    assert {path.stem: made(path) for path in FILES} == {
        "contract-comment": [],
        "contract-diff": ["install", "contract-diff"],
        "nightly": ["fuzz", "generators", "frontends"],
        "test": ["test"],
    }
    assert {target for path in FILES for target in made(path)} <= TARGETS
    assert {path.stem: [*read(path)["on"]] for path in FILES} == {
        "contract-comment": ["workflow_run"],
        "contract-diff": ["pull_request"],
        "nightly": ["schedule", "workflow_dispatch"],
        "test": ["push", "pull_request"],
    }


@each_workflow
def test_each_action_is_pinned_by_its_commit_beside_its_version(path: Path) -> None:
    used = re.findall(r"uses:.*", path.read_text())
    assert len(used) == sum("uses" in step for job in jobs(path) for step in job["steps"])
    for each in used:
        assert re.fullmatch(r"uses: actions/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each), each


def test_each_action_has_one_commit() -> None:
    used = {each for path in FILES for each in re.findall(r"uses: (\S+)@(\S+)", path.read_text())}
    assert len(used) == len(dict(used))


@each_workflow
def test_workflow_may_only_read_and_jobs_end(path: Path) -> None:
    assert read(path)["permissions"] == ({} if path == COMMENT else {"contents": "read"})
    assert read(path)["concurrency"]["group"]
    for job in jobs(path):
        assert job["timeout-minutes"] <= 60
        assert ("permissions" in job) == (path == COMMENT)


@each_workflow
def test_scripts_have_no_expressions_and_no_secrets(path: Path) -> None:
    """An expression in a script is code: a branch can have the name `$(…)`."""
    assert not [script for script in scripts(path) if "${{" in script]
    assert "secrets." not in path.read_text()
    assert not [script for script in scripts(path) if re.search("TOKEN|set -x|printenv", script)]


@each_workflow
def test_checkout_keeps_no_token(path: Path) -> None:
    steps = [
        step for job in jobs(path) for step in job["steps"] if step.get("uses", "").startswith("actions/checkout@")
    ]
    assert [step["with"] for step in steps] == [{"persist-credentials": False}] * len(steps)


def test_workflow_that_writes_comments_runs_no_code_of_the_pull_request() -> None:
    workflow = read(COMMENT)
    assert workflow["on"] == {"workflow_run": {"workflows": ["contract-diff"], "types": ["completed"]}}
    assert workflow["on"]["workflow_run"]["workflows"] == [read(COMMENT.with_stem("contract-diff"))["name"]]
    [job] = jobs(COMMENT)
    assert job["permissions"] == {"actions": "read", "pull-requests": "write"}
    assert [[*step] for step in job["steps"]] == [["name", "run"]]


def test_no_workflow_runs_with_the_permissions_of_the_target_branch() -> None:
    assert [path.stem for path in FILES if "pull_request_target" in path.read_text()] == []

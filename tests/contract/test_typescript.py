"""The generated types compile, reject mistakes of a frontend, and describe the responses of the service."""

import shutil
import subprocess
from pathlib import Path
from typing import Protocol

import pytest

from support import ROOT
from support.node import run
from support.operations import CONTRACT
from support.released import FOLDER, require_same_major

CLIENT = "tests/typescript/client.ts"
PROBLEMS = [
    schema["properties"]["type"]["const"]
    for name, schema in CONTRACT.document["components"]["schemas"].items()
    if name.endswith("Problem") and "properties" in schema
]
SWITCH = """
import type { AnyProblem } from "./problems.ts";

function unknown(problem: never): never {
  throw new Error(String(problem));
}

export function remedy(problem: AnyProblem): string {
  switch (problem.type) {
    CASES
      return problem.detail;
    default:
      return unknown(problem);
  }
}
"""
NOT_EXHAUSTIVE = "not assignable to parameter of type 'never'"

# Frontends use 5.9, which also generates the types; 7 is the compiler written in Go.
compilers = pytest.mark.parametrize("compiler", ["typescript", "typescript7"])


class Service(Protocol):
    url: str

    def token(self, user_id: str) -> str: ...


@pytest.fixture
def frontend(tmp_path: Path) -> Path:
    """A copy of the client and the generated types."""
    for folder in ["tests/typescript", "generated/typescript"]:
        shutil.copytree(ROOT / folder, tmp_path / folder)
    shutil.copy(ROOT / "package.json", tmp_path)
    (tmp_path / "node_modules").symlink_to(ROOT / "node_modules")
    return tmp_path


def compile_client(
    compiler: str, *options: str, root: Path = ROOT, project: str = "tests/typescript"
) -> subprocess.CompletedProcess[str]:
    return run(f"node_modules/{compiler}/bin/tsc", "--project", root / project, *options)


@compilers
def test_client_compiles_under_strict_rules(compiler: str) -> None:
    result = compile_client(compiler)

    assert result.returncode == 0, result.stdout


@compilers
def test_better_auth_recipes_compile_under_strict_rules(compiler: str) -> None:
    result = compile_client(compiler, project="tests/better_auth")

    assert result.returncode == 0, result.stdout


@compilers
@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        pytest.param(
            'case "/problems/forbidden"', 'case "/problems/forbiden"', "is not comparable", id="misspelt problem"
        ),
        pytest.param(
            'body: { title: "Buy milk" }',
            'body: { titel: "Buy milk" }',
            "'titel' does not exist",
            id="misspelt member of a request",
        ),
        pytest.param(
            "created.completed",
            "created.done",
            "'done' does not exist",
            id="unknown member of a response",
        ),
        pytest.param(
            "described.title",
            "described.description.length",
            "possibly 'null'",
            id="unhandled null",
        ),
    ],
)
def test_mistake_does_not_compile(compiler: str, old: str, new: str, error: str, frontend: Path) -> None:
    client = frontend / CLIENT
    source = client.read_text()
    assert source.count(old) == 1
    client.write_text(source.replace(old, new))

    # The mistakes are in client.ts: without a check of the libraries, 5.9 takes 1.4 s instead of 3 s.
    result = compile_client(compiler, "--skipLibCheck", root=frontend)

    assert result.returncode != 0
    assert result.stdout.count("error TS") == 1, result.stdout
    assert error in result.stdout, result.stdout


@compilers
@pytest.mark.parametrize("missing", [0, 1], ids=["every problem", "a problem less"])
def test_switch_over_the_problems_must_have_each_of_the_contract(compiler: str, missing: int, frontend: Path) -> None:
    handled = [f'case "{kind}":' for kind in PROBLEMS][missing:]
    (frontend / CLIENT).write_text(SWITCH.replace("CASES", " ".join(handled)))

    result = compile_client(compiler, "--skipLibCheck", root=frontend)

    assert result.stdout.count("error TS") == missing, result.stdout
    assert (NOT_EXHAUSTIVE in result.stdout) is bool(missing)


class TestLastRelease:
    """The client that was released with the last contract."""

    def test_client_compiles_with_the_types_of_the_working_contract(self, frontend: Path) -> None:
        shutil.copy(FOLDER / f"{require_same_major()}.ts", frontend / CLIENT)

        result = compile_client("typescript", "--skipLibCheck", root=frontend)

        assert result.returncode == 0, result.stdout

    def test_client_does_not_compile_with_types_that_lack_a_member(self, frontend: Path) -> None:
        types = frontend / "generated/typescript/schema.d.ts"
        types.write_text(types.read_text().replace("completed: boolean;", ""))

        result = compile_client("typescript", "--skipLibCheck", root=frontend)

        assert "Property 'completed' does not exist" in result.stdout


def test_client_calls_the_running_service(service: Service) -> None:
    user_id = "typescript-client"

    result = run(
        CLIENT,
        env={"BASE_URL": service.url, "USER_ID": user_id, "TOKEN": service.token(user_id)},
    )

    assert result.returncode == 0, result.stdout + result.stderr
    assert "failed" not in result.stdout
    calls = ["getServiceInfo", "createTask", "getTask", "listTasks", "listTasksWithFilters", "updateTask"]
    assert result.stdout.split() == [
        word
        for step in (*calls, "patchTask", "toggleTaskCompletion", "deleteTask", "problems")
        for word in ("ok", step)
    ]

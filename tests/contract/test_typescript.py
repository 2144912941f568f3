"""The generated types compile, reject mistakes of a frontend, and describe the responses of the service."""

import shutil
import subprocess
from pathlib import Path
from typing import Protocol

import pytest

from support import ROOT
from support.node import run

CLIENT = "tests/typescript/client.ts"
TYPES = "generated/typescript/schema.d.ts"
NOT_EXHAUSTIVE = "not assignable to parameter of type 'never'"

# Frontends use 5.9, which also generates the types; 7 is the compiler written in Go.
compilers = pytest.mark.parametrize("compiler", ["typescript", "typescript7"])


class Service(Protocol):
    url: str

    def token(self, user_id: str) -> str: ...


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
    ("file", "old", "new", "error"),
    [
        pytest.param(
            CLIENT,
            'case "/problems/forbidden":\n      return "show the own tasks instead";',
            "",
            NOT_EXHAUSTIVE,
            id="unhandled problem",
        ),
        pytest.param(
            TYPES,
            '"/problems/forbidden" |',
            '"/problems/forbidden" | "/problems/locked" |',
            NOT_EXHAUSTIVE,
            id="new problem in the contract",
        ),
        pytest.param(
            CLIENT,
            'body: { title: "Buy milk" }',
            'body: { titel: "Buy milk" }',
            "'titel' does not exist",
            id="misspelt member of a request",
        ),
        pytest.param(
            CLIENT,
            "created.completed",
            "created.done",
            "'done' does not exist",
            id="unknown member of a response",
        ),
        pytest.param(
            CLIENT,
            "described.title",
            "described.description.length",
            "possibly 'null'",
            id="unhandled null",
        ),
    ],
)
def test_mistake_does_not_compile(compiler: str, file: str, old: str, new: str, error: str, tmp_path: Path) -> None:
    for folder in ["tests/typescript", "generated/typescript"]:
        shutil.copytree(ROOT / folder, tmp_path / folder)
    shutil.copy(ROOT / "package.json", tmp_path)
    (tmp_path / "node_modules").symlink_to(ROOT / "node_modules")
    source = (tmp_path / file).read_text()
    assert source.count(old) == 1
    (tmp_path / file).write_text(source.replace(old, new))

    # The mistakes are in client.ts: without a check of the libraries, 5.9 takes 1.4 s instead of 3 s.
    result = compile_client(compiler, "--skipLibCheck", root=tmp_path)

    assert result.returncode != 0
    assert result.stdout.count("error TS") == 1, result.stdout
    assert error in result.stdout, result.stdout


def test_client_calls_the_running_service(service: Service) -> None:
    user_id = "typescript-client"

    result = run(
        CLIENT,
        env={"BASE_URL": service.url, "USER_ID": user_id, "TOKEN": service.token(user_id)},
    )

    assert result.returncode == 0, result.stdout + result.stderr
    assert "failed" not in result.stdout
    assert result.stdout.count("ok ") == 8

"""The generated types compile, catch what a frontend gets wrong, and fit what the service sends."""

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

# 5.9 is what frontends use and what the types are generated with; 7 is the compiler written in Go.
compilers = pytest.mark.parametrize("compiler", ["typescript", "typescript7"])


class Service(Protocol):
    url: str

    def token(self, user_id: str) -> str: ...


def compile_client(
    compiler: str, *options: str, root: Path = ROOT, project: str = "tests/typescript"
) -> subprocess.CompletedProcess[str]:
    return run(f"node_modules/{compiler}/bin/tsc", "--project", root / project, *options)


@compilers
def test_compiles_under_strict_rules(compiler: str) -> None:
    result = compile_client(compiler)

    assert result.returncode == 0, result.stdout


@compilers
def test_recipes_of_the_readme_compile_under_strict_rules(compiler: str) -> None:
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
            id="a problem is not handled",
        ),
        pytest.param(
            TYPES,
            '"/problems/forbidden" |',
            '"/problems/forbidden" | "/problems/locked" |',
            NOT_EXHAUSTIVE,
            id="the contract gains a problem",
        ),
        pytest.param(
            CLIENT,
            'body: { title: "Buy milk" }',
            'body: { titel: "Buy milk" }',
            "'titel' does not exist",
            id="a field that is sent is misspelt",
        ),
        pytest.param(
            CLIENT,
            "created.completed",
            "created.done",
            "'done' does not exist",
            id="a field that is read does not exist",
        ),
        pytest.param(
            CLIENT,
            "described.title",
            "described.description.length",
            "possibly 'null'",
            id="a null is not handled",
        ),
    ],
)
def test_refuses_a_mistake(compiler: str, file: str, old: str, new: str, error: str, tmp_path: Path) -> None:
    for folder in ["tests/typescript", "generated/typescript"]:
        shutil.copytree(ROOT / folder, tmp_path / folder)
    shutil.copy(ROOT / "package.json", tmp_path)
    (tmp_path / "node_modules").symlink_to(ROOT / "node_modules")
    source = (tmp_path / file).read_text()
    assert source.count(old) == 1
    (tmp_path / file).write_text(source.replace(old, new))

    # The mistakes show in client.ts; without the libraries' own check 5.9 takes 1.4 s instead of 3.
    result = compile_client(compiler, "--skipLibCheck", root=tmp_path)

    assert result.returncode != 0
    assert result.stdout.count("error TS") == 1, result.stdout
    assert error in result.stdout, result.stdout


def test_client_drives_the_service(service: Service) -> None:
    user_id = "typescript-client"

    result = run(
        CLIENT,
        env={"BASE_URL": service.url, "USER_ID": user_id, "TOKEN": service.token(user_id)},
    )

    assert result.returncode == 0, result.stdout + result.stderr
    assert "failed" not in result.stdout
    assert result.stdout.count("ok ") == 8

"""Generators make clients of the contract that compile, have its models, and work with the service and the mock.

`make test` runs the first two generators, and `make generators` all.
"""

import ast
import functools
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from support import ROOT
from support.mock import running_mock
from support.node import require_packages, run
from support.service import Service

FOLDER = ROOT / "tests/generators"
NODE_TOOLS = "tests/generators/node_modules/.bin"
PYTHON_TOOLS = FOLDER / ".venv/bin"


@dataclass(frozen=True)
class Generator:
    """What generates a client into the folder `generated`, from a contract beside it."""

    # The file that calls the generated client.
    client: str
    command: tuple[str | Path, ...]
    # The files, or the folder, of the models.
    models: tuple[str, ...]
    # Frontends use TypeScript 5.9, which some generators need too; 7 is the compiler written in Go.
    compilers: tuple[str, ...] = ("typescript", "typescript7")
    # Those of the generator itself.
    faults: tuple[str, ...] = ()


GENERATORS = {
    "openapi-typescript": Generator(
        "openapi_fetch.ts",
        # Those of codegen.sh.
        (
            "node_modules/.bin/openapi-typescript",
            "openapi.yaml",
            "--output=generated/schema.ts",
            "--default-non-nullable=false",
            "--root-types",
            "--root-types-no-schema-prefix",
            "--root-types-keep-casing",
        ),
        ("schema.ts",),
    ),
    "hey-api": Generator(
        "hey_api.ts",
        (f"{NODE_TOOLS}/openapi-ts", "--file", "hey_api.config.mjs"),
        ("types.gen.ts", "zod.gen.ts"),
    ),
    "orval": Generator(
        "orval.ts",
        (f"{NODE_TOOLS}/orval", "--config", "orval.config.mjs"),
        ("models/index.ts", "zod.ts"),
        # It makes a schema of zod for JSON only. The TypeScript type of this response, which is a text, is right.
        faults=("ExportTasksResponse is unknown",),
    ),
    "typed-openapi": Generator(
        "typed_openapi.ts", (f"{NODE_TOOLS}/typed-openapi", "openapi.yaml", "--output=generated/api.ts"), ("api.ts",)
    ),
    "openapi-generator": Generator(
        "typescript_fetch.ts",
        (PYTHON_TOOLS / "openapi-generator-cli", "generate", "--config=typescript_fetch.yaml"),
        ("models/index.ts",),
    ),
    "openapi-python-client": Generator(
        "python_client.py",
        (
            PYTHON_TOOLS / "openapi-python-client",
            "generate",
            "--path=openapi.yaml",
            "--meta=none",
            "--output-path=generated",
            "--config=python_client.yaml",
        ),
        ("models",),
        ("mypy",),
    ),
}
ALL = os.environ.get("GENERATORS") == "all"
NAMES = list(GENERATORS) if ALL else list(GENERATORS)[:2]


@dataclass(frozen=True)
class Project:
    """A folder with a client that was generated from a contract, and with the scenario for it."""

    generator: Generator
    folder: Path

    def run(self, *command: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a script of Node, by its path from the root, or a program of Python, by its absolute path."""
        if not isinstance(command[0], Path):
            return run(*command, cwd=self.folder, env={**os.environ, **env})
        environment = {**os.environ, **env}
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False, timeout=120
        )

    def compile(self, compiler: str) -> subprocess.CompletedProcess[str]:
        if compiler != "mypy":
            return self.run(f"node_modules/{compiler}/bin/tsc", "--project", self.folder)
        options = ["--strict", "--config-file=", f"--python-executable={PYTHON_TOOLS / 'python'}"]
        return self.run(ROOT / ".venv/bin/mypy", *options, self.generator.client)

    def models(self) -> tuple[set[str], list[str]]:
        """Return the names of the models, and the faults of models: types that say nothing, and made-up names."""
        files = [self.folder / "generated" / file for file in self.generator.models]
        if files[0].is_dir():
            return python_models(files[0])
        result = self.run("tests/generators/models.ts", *files)
        assert result.returncode == 0, result.stderr
        found = json.loads(result.stdout)
        return set(found["models"]), found["faults"]

    def scenario(self, url: str, user: str, token: str, **env: str) -> subprocess.CompletedProcess[str]:
        env |= {"BASE_URL": url, "USER_ID": user, "TOKEN": token}
        if self.generator.client.endswith(".py"):
            return self.run(PYTHON_TOOLS / "python", self.generator.client, **env)
        # Generated code has syntax that Node compiles instead of removing it, such as parameter properties.
        options = "--experimental-transform-types --disable-warning=ExperimentalWarning --import=./resolve.mjs"
        return self.run(str(self.folder / self.generator.client), NODE_OPTIONS=options, **env)


def python_models(folder: Path) -> tuple[set[str], list[str]]:
    names, faults = set(), []
    for file in folder.glob("[!_]*.py"):
        for model in ast.walk(ast.parse(file.read_text())):
            if not isinstance(model, ast.ClassDef):
                continue
            names.add(model.name)
            if model.name[-1].isdigit():
                faults.append(f"{model.name} is a made-up name")
            members = {ast.unparse(m.target): m.annotation for m in model.body if isinstance(m, ast.AnnAssign)}
            # The members that a later version of the contract adds.
            members.pop("additional_properties", None)
            faults += [
                f"{model.name}.{name} is {ast.unparse(annotation)}"
                for name, annotation in members.items()
                if {"Any", "object"} & {n.id for n in ast.walk(annotation) if isinstance(n, ast.Name)}
            ]
    return names, faults


def generate(name: str, contract: dict[str, Any], root: Path) -> Project:
    if name == "openapi-generator" and not shutil.which("java"):
        pytest.skip("openapi-generator needs Java")
    require_packages(FOLDER)
    generator = GENERATORS[name]
    folder = root / "client"
    folder.mkdir()
    shared = [FOLDER / file for file in ("package.json", "resolve.mjs", "scenario.ts", "tsconfig.json")]
    # The client and the options of its generator.
    for file in [*shared, *FOLDER.glob(f"{Path(generator.client).stem}.*")]:
        shutil.copy(file, folder)
    (folder / "openapi.yaml").write_text(yaml.safe_dump(contract, sort_keys=False))
    # As in the checkout, so that the packages of the generators are found, and then those of all tests.
    (root / "node_modules").symlink_to(ROOT / "node_modules")
    (folder / "node_modules").symlink_to(FOLDER / "node_modules")
    project = Project(generator, folder)
    result = project.run(*generator.command)
    assert result.returncode == 0, result.stdout + result.stderr
    return project


def contract() -> dict[str, Any]:
    contract: dict[str, Any] = yaml.safe_load((ROOT / "generated/openapi.yaml").read_text())
    return contract


@pytest.fixture(scope="session")
def projects(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Project]:
    return functools.cache(lambda name: generate(name, contract(), tmp_path_factory.mktemp(name)))


@pytest.fixture
def project(request: pytest.FixtureRequest, projects: Callable[[str], Project]) -> Project:
    return projects(request.param)


generators = pytest.mark.parametrize("project", NAMES, indirect=True)


@pytest.mark.parametrize(
    ("project", "compiler"),
    [
        pytest.param(name, compiler, id=f"{name}-{compiler}")
        for name in NAMES
        for compiler in GENERATORS[name].compilers
    ],
    indirect=["project"],
)
def test_generated_client_compiles_under_strict_rules(project: Project, compiler: str) -> None:
    result = project.compile(compiler)

    assert result.returncode == 0, result.stdout


@generators
def test_generated_models_have_the_names_and_types_of_the_contract(project: Project) -> None:
    schemas = contract()["components"]["schemas"]
    names, faults = project.models()

    assert faults == list(project.generator.faults)
    # Some generators have no types for scalars, or for unions.
    assert {name for name, schema in schemas.items() if schema.get("type") == "object"} <= names


@generators
def test_generated_client_calls_the_running_service(project: Project, service: Service, user: str) -> None:
    result = project.scenario(service.url, user, service.token(user))

    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.endswith("completed\n")


@pytest.fixture(scope="module")
def mock() -> Iterator[Service]:
    with running_mock() as service:
        yield service


@generators
def test_generated_client_calls_the_mock(project: Project, mock: Service) -> None:
    """In all steps but those whose answer follows from an earlier call, because the mock keeps nothing."""
    result = project.scenario(mock.url, "a", mock.token("a"), MOCK="true")

    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.endswith("completed\n")


@pytest.mark.parametrize("name", NAMES)
def test_member_without_a_type_is_found_in_the_models(name: str, tmp_path: Path) -> None:
    faulty = contract()
    del faulty["components"]["schemas"]["Task"]["properties"]["completed"]["type"]

    _, faults = generate(name, faulty, tmp_path).models()

    # A model is reported once, where it is first used.
    assert any("completed is " in fault for fault in faults), faults


def test_name_of_two_components_is_found_in_the_models(tmp_path: Path) -> None:
    faulty = contract()
    faulty["components"]["parameters"]["TaskId"] = faulty["components"]["parameters"].pop("TaskIdParam")
    for path, parameters in [(path, item.get("parameters", [])) for path, item in faulty["paths"].items()]:
        if "{task_id}" in path:
            parameters[1] = {"$ref": "#/components/parameters/TaskId"}

    _, faults = generate("hey-api", faulty, tmp_path).models()

    assert "TaskId2 is a made-up name" in faults

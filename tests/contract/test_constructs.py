"""Each construct of OpenAPI works from the contract to the wire, or is rejected by name: tests/contract/constructs."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml
from fastapi import FastAPI

from fastapi_contract.application import contract_app
from fastapi_contract.contract import Contract, ContractError
from fastapi_contract.generation.generator_input import Generator, generator_input
from support import ROOT
from support.construct_calls import check_right, check_wrong, fuzz, send
from support.constructs import DOCS, PACKAGE, Construct, constructs, table
from support.contract_watch import ContractWatch
from support.node import run
from support.service import NO_TLS, all_running, comparable, running

ALL = constructs()
WORKING = [construct for construct in ALL if construct.is_supported]
REJECTED = [construct for construct in ALL if not construct.is_supported]
FUZZED = WORKING if os.environ.get("CONSTRUCTS") == "all" else WORKING[::8]
"""`make constructs` fuzzes all of them, and generates their code twice."""

TYPESCRIPT = {
    "compilerOptions": {
        "target": "es2024",
        "lib": ["es2024"],
        "types": [],
        "noEmit": True,
        "strict": True,
        "exactOptionalPropertyTypes": True,
        "skipLibCheck": False,
    },
    "include": ["*.d.ts"],
}


def name(construct: Construct) -> str:
    return construct.name


def apps(construct: Construct, folder: Path) -> Iterator[FastAPI]:
    """The app of a construct with the shortcut, and without."""
    handlers = construct.load(folder)
    for shortcut in (True, False):
        yield contract_app(handlers.contract, [handlers.router], shortcut=shortcut)


@pytest.mark.parametrize("construct", WORKING, ids=name)
def test_construct_works(construct: Construct, tmp_path: Path) -> None:
    construct.generate(tmp_path)
    contract = tmp_path / "openapi.yaml"
    contract.write_bytes(Contract.read(construct.write(tmp_path)).source)
    responses: list[list[object]] = []
    hooks = {"response": [ContractWatch(contract).observe]}
    with all_running(apps(construct, tmp_path)) as services:
        for service in services:
            with httpx.Client(base_url=service.url, event_hooks=hooks, verify=NO_TLS) as client:
                results = [(call, send(client, call)) for call in construct.right]
                problems = [(call, send(client, call)) for call in construct.wrong]
            for call, response in results:
                check_right(call, response)
            for call, response in problems:
                check_wrong(call, response)
            responses.append([comparable(response) for _, response in results + problems])
    assert responses[0] == responses[1], "the shortcut answers otherwise than FastAPI"


@pytest.mark.parametrize("construct", FUZZED, ids=name)
def test_code_that_is_generated_again_is_the_same(construct: Construct, tmp_path: Path) -> None:
    first, second = (construct.generate(tmp_path / each) for each in ("first", "second"))
    assert first == second


@pytest.mark.parametrize("construct", REJECTED, ids=name)
def test_construct_is_rejected_by_name(construct: Construct, tmp_path: Path) -> None:
    with pytest.raises(ContractError) as raised:
        Contract.read(construct.write(tmp_path))
    [difference] = raised.value.differences
    place, message = difference.split(": ", 1)
    file, number = place.split(":")
    line = tmp_path.joinpath(file).read_text().splitlines()[int(number) - 1]
    assert (line.strip(), message) == (construct.spec["rejected"]["line"], construct.spec["rejected"]["message"])


@pytest.mark.parametrize("construct", FUZZED, ids=name)
def test_fuzzing_a_construct_finds_no_fault(construct: Construct, tmp_path: Path) -> None:
    construct.generate(tmp_path)
    app = next(apps(construct, tmp_path))
    with running(app) as service:
        fuzz(app.openapi(), service.url, examples=25)


def test_handlers_of_all_constructs_have_the_right_types(tmp_path: Path) -> None:
    for construct in WORKING:
        construct.generate(tmp_path)
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--no-pretty", str(tmp_path / PACKAGE)],
        cwd=ROOT,
        env={**os.environ, "MYPYPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout


def test_contracts_of_all_constructs_pass_the_linter_and_their_typescript_compiles(tmp_path: Path) -> None:
    rules = yaml.safe_load((ROOT / "redocly.yaml").read_text())
    rules["apis"], types = {}, {**rules, "apis": {}}
    for construct in WORKING:
        folder = tmp_path / construct.name
        folder.mkdir()
        contract = Contract.read(construct.write(folder))
        (tmp_path / f"{construct.name}.yaml").write_bytes(contract.source)
        (tmp_path / f"{construct.name}.json").write_text(
            json.dumps(generator_input(contract.document, Generator.TYPES))
        )
        output = {"output": f"{construct.name}.d.ts"}
        rules["apis"][construct.name] = {"root": f"{construct.name}.yaml"}
        types["apis"][construct.name] = {"root": f"{construct.name}.json", "x-openapi-ts": output}
    (tmp_path / "redocly.yaml").write_text(yaml.safe_dump(rules))
    (tmp_path / "types.yaml").write_text(yaml.safe_dump(types))
    (tmp_path / "tsconfig.json").write_text(json.dumps(TYPESCRIPT))

    linted = run("node_modules/.bin/redocly", "lint", "--config=redocly.yaml", "--format=stylish", cwd=tmp_path)
    assert linted.returncode == 0, linted.stdout + linted.stderr
    options = ["--default-non-nullable=false", "--root-types", "--root-types-no-schema-prefix"]
    generated = run("node_modules/.bin/openapi-typescript", "--redocly=types.yaml", *options, cwd=tmp_path)
    assert generated.returncode == 0, generated.stdout + generated.stderr
    assert len([*tmp_path.glob("*.d.ts")]) == len(WORKING)
    compiled = run("node_modules/typescript/bin/tsc", "--project", tmp_path)
    assert compiled.returncode == 0, compiled.stdout


def test_table_of_the_constructs_is_up_to_date() -> None:
    assert DOCS.read_text() == table(ALL), "Run: make constructs"

"""Each construct of OpenAPI works from the contract to the wire, or is rejected by name: tests/contract/constructs."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from fastapi_contract.application import contract_app
from fastapi_contract.contract import Contract, ContractError
from support import ROOT
from support.constructs import FOLDER, PACKAGE, Construct, constructs
from support.contract_watch import ContractWatch
from support.node import run
from support.service import comparable, running

ALL = constructs()
WORKING = [construct for construct in ALL if construct.is_supported]
REJECTED = [construct for construct in ALL if not construct.is_supported]


def name(construct: Construct) -> str:
    return construct.name


def apps(construct: Construct, folder: Path) -> Iterator[FastAPI]:
    """The app of a construct with the shortcut, and without."""
    handlers = construct.load(folder)
    for shortcut in (True, False):
        yield contract_app(handlers.contract, [handlers.router], shortcut=shortcut)


def send(client: httpx.Client, call: dict[str, Any]) -> httpx.Response:
    method, url = call["call"].split(" ", 1)
    headers = {key: str(value) for key, value in call.get("headers", {}).items()}
    content = call.get("text")
    if "json" in call:
        content = json.dumps(call["json"])
        headers.setdefault("Content-Type", "application/json")
    return client.request(method, url, content=content, headers=headers)


def check_right(call: dict[str, Any], response: httpx.Response) -> None:
    assert response.status_code == call.get("status", 200), (call, response.text)
    expected = call.get("result", call.get("json") if "text" not in call else None)
    is_json = response.headers.get("content-type", "").startswith("application/json")
    assert (response.json() if is_json else response.text or None) == expected, call
    for header, value in call.get("with", {}).items():
        assert response.headers.get(header) == value, call


def check_wrong(call: dict[str, Any], response: httpx.Response) -> None:
    assert response.status_code == call.get("status", 422), (call, response.text)
    assert response.headers["content-type"] == "application/problem+json", call
    places = call.get("at", [])
    found = [error.get("pointer", error.get("parameter")) for error in response.json().get("errors", ())]
    assert found == ([places] if isinstance(places, str) else places), (call, response.json())


@pytest.mark.parametrize("construct", WORKING, ids=name)
def test_construct_works(construct: Construct, tmp_path: Path) -> None:
    generated = construct.generate(tmp_path / "first")
    assert construct.generate(tmp_path / "second") == generated, "codegen writes another output the second time"
    contract = tmp_path / "openapi.yaml"
    contract.write_text(construct.contract)
    responses: list[list[object]] = []
    for app in apps(construct, tmp_path / "first"):
        watch = ContractWatch(contract)
        with running(app) as service, httpx.Client(base_url=service.url) as client:
            client.event_hooks = {"response": [watch.observe]}
            results = [(call, send(client, call)) for call in construct.right]
            problems = [(call, send(client, call)) for call in construct.wrong]
        for call, response in results:
            check_right(call, response)
        for call, response in problems:
            check_wrong(call, response)
        responses.append([comparable(response) for _, response in results + problems])
    assert responses[0] == responses[1], "the shortcut answers otherwise than FastAPI"


@pytest.mark.parametrize("construct", REJECTED, ids=name)
def test_construct_is_rejected_by_name(construct: Construct, tmp_path: Path) -> None:
    source = construct.contract
    with pytest.raises(ContractError) as raised:
        Contract.parse(source.encode())
    [difference] = raised.value.differences
    place, message = difference.split(": ", 1)
    line = source.splitlines()[int(place.removeprefix("openapi.yaml:")) - 1]
    assert (line.strip(), message) == (construct.spec["rejected"]["line"], construct.spec["rejected"]["message"])


def test_handlers_of_all_constructs_have_the_right_types(tmp_path: Path) -> None:
    for construct in WORKING:
        construct.generate(tmp_path)
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--no-pretty", str(tmp_path / PACKAGE)],
        cwd=ROOT, env={"MYPYPATH": str(tmp_path)}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout

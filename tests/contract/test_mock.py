"""`make mock` serves the examples of the contract, so that a frontend can be built before the service."""

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from fastapi_contract.contract import Operation
from support import ROOT
from support.node import require_packages
from support.operations import CONTRACT, Form, forms, resolve, send, tasks
from support.service import NO_TLS
from support.serving import LIMIT, wait_for

FORMS = [form for operation in CONTRACT.operations.values() for form in forms(operation)]


class Mock(NamedTuple):
    client: httpx.Client
    process: subprocess.Popen[bytes]


@contextmanager
def running_mock(directory: Path) -> Iterator[Mock]:
    """Run `make mock` in a process group of its own, as a terminal does, and end it as Ctrl-C does."""
    require_packages()
    with (directory / "output").open("wb") as output:
        process = subprocess.Popen(
            # The tests run in an installation that is complete.
            ["make", "--old-file=install", "mock"],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"]},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_for(lambda: listening(directory) or process.poll() is not None, "mock")
        url = listening(directory)
        assert url is not None, (directory / "output").read_text()
        with httpx.Client(
            base_url=url[1], headers={"Authorization": "Bearer x"}, verify=NO_TLS, timeout=LIMIT
        ) as client:
            yield Mock(client, process)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(LIMIT)


def listening(directory: Path) -> re.Match[str] | None:
    return re.search("listening on (http://127[.]0[.]0[.]1:[0-9]+)", (directory / "output").read_text())


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with running_mock(tmp_path_factory.mktemp("mock")) as mock:
        yield mock.client


def example(operation: Operation, status: int, name: str) -> Any:
    content = operation.responses[str(status)]["content"]
    return resolve(next(iter(content.values()))["examples"][name])["value"]


@pytest.mark.parametrize("operation", CONTRACT.operations.values(), ids=lambda operation: operation.id)
def test_prefer_chooses_each_status_and_example(client: httpx.Client, operation: Operation) -> None:
    for status, response in operation.responses.items():
        answer = send(client, operation, "a", headers={"Prefer": f"code={status}"})
        assert answer.status_code == int(status)
        for media_type, media in response.get("content", {}).items():
            for name in media["examples"]:
                answer = send(client, operation, "a", headers={"Prefer": f"code={status}, example={name}"})
                assert answer.headers["Content-Type"] == media_type
                assert answer.json() == example(operation, int(status), name)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.id)
def test_valid_request_gets_the_first_example(client: httpx.Client, form: Form) -> None:
    answer = send(client, form, "a")
    success = form.operation.successes[0]
    assert answer.status_code == success
    for media in form.operation.responses[str(success)].get("content", {}).values():
        assert answer.json() == example(form.operation, success, next(iter(media["examples"])))


def test_prefer_example_needs_no_status(client: httpx.Client) -> None:
    answer = client.get(tasks("a"), headers={"Prefer": "example=empty"})
    assert (answer.status_code, answer.json()["items"]) == (200, [])


def test_invalid_body_is_422(client: httpx.Client) -> None:
    answer = client.post(tasks("a"), json={"title": ""})
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/validation-failed")


def test_request_without_a_token_is_401(client: httpx.Client) -> None:
    answer = httpx.get(client.base_url.join(tasks("a")), verify=NO_TLS)
    assert (answer.status_code, answer.json()["type"]) == (401, "/problems/authentication-required")


def test_ctrl_c_leaves_no_process(tmp_path: Path) -> None:
    with running_mock(tmp_path) as mock:
        os.killpg(mock.process.pid, 0)
    with pytest.raises(ProcessLookupError):
        os.killpg(mock.process.pid, 0)

"""The service keeps the last released contract, because clients were built with it; a higher major declares a break."""

import copy
import logging
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.fuzz import fuzz
from support.released import FOLDER, broken_promises, require_same_major
from support.service import SECRET, Service, running, settings_for
from todo_api.app import create_app
from todo_api.auth.tokens import sign
from todo_api.contract import load_contract
from todo_api.database import migrate


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Drop the request log, which would hide the fuzzer's report."""
    caplog.set_level(logging.ERROR)


def fuzzed(database_url: str, contract: Path, *options: str) -> tuple[bool, str]:
    migrate.upgrade(database_url)
    with running(create_app(settings_for(database_url))) as service:
        owner, peer = (sign(SECRET, f"fuzz-{name}", lifetime=600) for name in ("owner", "peer"))
        run = fuzz((service.url, owner, peer), *options, contract=str(contract), capture=True)
    return run.returncode == 0, run.stdout


def test_released_requests_are_accepted_and_their_answers_keep_the_release(service: Service, user: str) -> None:
    assert broken_promises(FOLDER / f"{require_same_major()}.yaml", service, user) == []


def test_fuzzing_with_the_released_contract_finds_no_break(empty_database_url: str) -> None:
    release = FOLDER / f"{require_same_major()}.yaml"
    if release.read_bytes() == load_contract().source:
        pytest.skip("the working contract is the released one, with which test_fuzz.py fuzzes")
    passed, output = fuzzed(empty_database_url, release, "--max-examples=20")
    assert passed, output


class TestBreak:
    """The release is the working contract, as if it had promised more: the service breaks that promise."""

    @pytest.fixture
    def release(self, tmp_path: Path, edit: dict[str, Any]) -> Path:
        document = copy.deepcopy(load_contract().document)
        for name, keywords in edit.items():
            document["components"]["schemas"][name].update(keywords)
        path = tmp_path / "openapi.yaml"
        path.write_text(yaml.safe_dump(document, sort_keys=False))
        return path

    @pytest.mark.parametrize("edit", [{"Task": {"required": ["id", "owner"]}}], ids=["member of an answer"])
    def test_answer_outside_the_release_is_found(self, service: Service, user: str, release: Path) -> None:
        assert any('"owner" is a required property' in each for each in broken_promises(release, service, user))

    @pytest.mark.parametrize("edit", [{"TaskCreate": {"required": []}}], ids=["member of a request"])
    def test_request_of_the_release_that_is_rejected_is_found(self, empty_database_url: str, release: Path) -> None:
        passed, output = fuzzed(empty_database_url, release, "--phases=coverage", "--include-operation-id=createTask")
        assert not passed
        assert "Schema-valid request rejected" in output

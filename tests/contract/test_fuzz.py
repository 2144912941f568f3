"""The service keeps its contract whatever it is sent, and the fuzzer that says so would notice if it did not."""

import logging

import pytest
from fastapi import Request

from support.fuzz import Target, fuzz
from support.service import SECRET, Service, running, settings_for
from todo_api.app import create_app
from todo_api.auth.bearer import BearerAuth
from todo_api.auth.tokens import sign
from todo_api.database import migrate


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    """A line for each of a thousand requests would bury the fuzzer's report."""
    caplog.set_level(logging.WARNING, "todo_api")


def target(service: Service, secret: str = SECRET) -> Target:
    return service.url, sign(secret, "fuzz-owner", lifetime=600), sign(secret, "fuzz-peer", lifetime=600)


def test_the_service_keeps_its_contract(empty_database_url: str) -> None:
    # A fresh database: with the ids that it hands out, the run repeats.
    migrate.upgrade(empty_database_url)
    with running(create_app(settings_for(empty_database_url))) as service:
        run = fuzz(target(service), capture=True)
    assert run.returncode == 0, run.stdout
    assert "Tested: 9" in run.stdout, run.stdout


def test_a_task_that_others_can_read_fails_it(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    authenticate = BearerAuth.__call__

    async def trust_the_url(bearer: BearerAuth, request: Request) -> str:
        user = await authenticate(bearer, request)
        # Lists stay closed: what another user may list, the fuzzer takes for shared.
        if "task_id" in request.path_params:
            user = request.scope["user"] = str(request.path_params["user_id"])
        return user

    monkeypatch.setattr(BearerAuth, "__call__", trust_the_url)
    run = fuzz(target(service), "--phases=stateful", "--max-examples=10", capture=True)
    assert run.returncode != 0, run.stdout
    assert "Object-level authorization bypass" in run.stdout, run.stdout


def test_a_run_whose_calls_are_all_refused_fails(service: Service) -> None:
    run = fuzz(target(service, secret="another " + SECRET), "--phases=examples", capture=True)
    assert run.returncode != 0
    assert "❌" not in run.stdout.split("WARNINGS")[0], "the warnings alone must fail it"

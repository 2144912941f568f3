"""Fuzzing finds no broken promise in the service, and does find seeded faults."""

import logging

import pytest
from fastapi import Request

from support.fuzz import Target, fuzz
from support.operations import CONTRACT
from support.service import SECRET, Service, running, settings_for
from todo_api.app import create_app
from todo_api.auth.bearer import BearerAuth
from todo_api.auth.tokens import sign
from todo_api.database import migrate


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Drop the request log, which has thousands of lines and would hide the fuzzer's report."""
    caplog.set_level(logging.WARNING, "todo_api")


def target(service: Service, secret: str = SECRET) -> Target:
    return service.url, sign(secret, "fuzz-owner", lifetime=600), sign(secret, "fuzz-peer", lifetime=600)


def test_fuzzing_the_service_finds_no_fault(empty_database_url: str) -> None:
    # A new database makes the run repeatable, because its ids start at 1.
    migrate.upgrade(empty_database_url)
    with running(create_app(settings_for(empty_database_url))) as service:
        run = fuzz(target(service), capture=True)
    assert run.returncode == 0, run.stdout
    assert f"Tested: {len(CONTRACT.operations)}" in run.stdout, run.stdout


def test_fuzzing_finds_a_task_that_other_users_can_read(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    authenticate = BearerAuth.__call__

    async def trust_the_url(bearer: BearerAuth, request: Request) -> str:
        user = await authenticate(bearer, request)
        # Lists stay protected, because the fuzzer considers a task that another user can list as shared.
        if "task_id" in request.path_params:
            user = request.scope["user"] = str(request.path_params["user_id"])
        return user

    monkeypatch.setattr(BearerAuth, "__call__", trust_the_url)
    # Without other operations, which would take most of the few examples.
    ids = [f"--include-operation-id={name}" for name in ("listTasks", "createTask", "getTask", "updateTask")]
    run = fuzz(target(service), "--phases=stateful", "--max-examples=10", *ids, capture=True)
    assert run.returncode != 0, run.stdout
    assert "Object-level authorization bypass" in run.stdout, run.stdout


def test_fuzzing_fails_if_every_call_is_rejected(service: Service) -> None:
    run = fuzz(target(service, secret="another " + SECRET), "--phases=examples", capture=True)
    assert run.returncode != 0
    assert "❌" not in run.stdout.split("WARNINGS")[0], "only warnings must make the run fail"

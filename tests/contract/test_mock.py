"""An operation without a handler answers from its first example, after all checks of the request: a frontend
can be built before the service."""

from collections.abc import Iterator

import httpx
import pytest

from support.contract_watch import ContractWatch
from support.mock import running_mock
from support.operations import CONTRACT, FORMS, Form, resolve, send, tasks
from support.service import NO_TLS, Service


@pytest.fixture(scope="module", params=[True, False], ids=["shortcut", "no-shortcut"])
def mock(request: pytest.FixtureRequest) -> Iterator[Service]:
    with running_mock(shortcut=request.param) as service:
        yield service


@pytest.fixture(scope="module")
def client(mock: Service) -> Iterator[httpx.Client]:
    """A client with a watch of its own, because an example proves nothing about a handler."""
    headers, hooks = {"Authorization": f"Bearer {mock.token('a')}"}, {"response": [ContractWatch().observe]}
    with httpx.Client(base_url=mock.url, headers=headers, event_hooks=hooks, verify=NO_TLS) as client:
        yield client


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.id)
def test_valid_request_gets_the_first_example(client: httpx.Client, form: Form) -> None:
    answer = send(client, form, "a")
    success = form.operation.successes[0]
    assert answer.status_code == success
    for media_type, media in list(form.operation.responses[str(success)].get("content", {}).items())[:1]:
        given = answer.json() if media_type.endswith("json") else answer.text
        assert given == resolve(next(iter(media["examples"].values())))["value"]


def test_accept_of_several_lines_chooses_the_media_type(client: httpx.Client) -> None:
    lines = [("Accept", "image/png"), ("Accept", "text/calendar")]
    answer = client.get(CONTRACT.operations["exportTasks"].url(user_id="a"), headers=lines)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/calendar; charset=utf-8")


def test_invalid_body_is_422(client: httpx.Client) -> None:
    answer = client.post(tasks("a"), json={"title": ""})
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/validation-failed")


def test_request_without_a_token_is_401(mock: Service) -> None:
    answer = httpx.get(mock.url + tasks("a"), verify=NO_TLS)
    assert (answer.status_code, answer.json()["type"]) == (401, "/problems/authentication-required")


def test_request_for_another_user_is_403(client: httpx.Client) -> None:
    answer = client.get(tasks("b"))
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/forbidden")

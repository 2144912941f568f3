"""Rejected tokens and cross-user attempts are logged: without secrets, and with a limited rate."""

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from fastapi_contract.contract import Operation
from fastapi_contract.middleware import limited_log
from fastapi_contract.middleware.limited_log import MAX_LINES
from support.clock import Clock
from support.operations import SECURED, owned, secured, send
from support.service import Service
from support.tokens import BAD_TOKENS, GOOD, make_token
from todo_api.auth import bearer
from todo_api.auth.events import SecurityLog
from todo_api.logs import add_context

Events = Callable[[], list[dict[str, Any]]]


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Replaces the clock of the rate limit, and resets the security log."""
    clock = Clock(1000.0)
    monkeypatch.setattr(limited_log, "monotonic", clock)
    monkeypatch.setattr(bearer, "_events", SecurityLog())
    return clock


@pytest.fixture
def lines() -> Iterator[list[EventDict]]:
    """The log lines that the service writes during a test."""
    with capture_logs(processors=[add_context]) as lines:
        yield lines


@pytest.fixture
def logged(lines: list[EventDict]) -> Events:
    """The security events since the last call."""

    def take() -> list[dict[str, Any]]:
        taken = [
            {name: value for name, value in line.items() if name not in {"level", "log_level", "timestamp"}}
            for line in lines
        ]
        lines.clear()
        return [event for event in taken if event["event"] != "request"]

    return take


def authorize(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", "X-Request-ID": "the-id"}


REASONS = {
    "not a JWT": "shape",
    "not base64": "base64",
    "claims not JSON": "json",
    "crit": "crit",
    "another typ": "typ",
    "no signature": "base64",
    "alg: None, signed": "algorithm",
    "another secret": "signature",
    "expired": "expired",
    "exp missing": "exp",
    "not valid yet": "nbf",
    "issued in the future": "iat",
    "lifetime too long": "lifetime",
    "sub missing": "sub",
    "too long": "size",
}


class TestRejectedToken:
    @pytest.mark.parametrize(("token", "reason"), REASONS.items())
    def test_rejected_token_is_logged_with_its_reason(
        self, service: Service, logged: Events, token: str, reason: str
    ) -> None:
        service.client().get("/api/SUBJECT/tasks", headers=authorize(BAD_TOKENS[token]))
        assert logged() == [
            {"event": "token refused", "operation": "listTasks", "reason": reason, "request_id": "the-id"}
        ]

    @secured
    def test_rejected_token_is_logged_for_each_operation(
        self, service: Service, logged: Events, operation: Operation
    ) -> None:
        send(service.client(), operation, "SUBJECT", headers=authorize("x"))
        assert logged() == [
            {"event": "token refused", "operation": operation.id, "reason": "shape", "request_id": "the-id"}
        ]

    @pytest.mark.parametrize("token", BAD_TOKENS.values(), ids=BAD_TOKENS)
    def test_reason_of_a_rejection_is_one_word(self, service: Service, logged: Events, token: str) -> None:
        service.client().get("/api/SUBJECT/tasks", headers=authorize(token))
        (event,) = logged()
        assert event.keys() == {"event", "operation", "reason", "request_id"}
        assert event["reason"].isalnum()


class TestCrossUserAttempt:
    @owned
    def test_cross_user_attempt_is_logged_with_a_hash_of_the_caller(
        self, service: Service, user: str, logged: Events, operation: Operation
    ) -> None:
        send(service.client(user), operation, f"{user}-other", headers={"X-Request-ID": "the-id"})
        subject = hashlib.sha256(user.encode()).hexdigest()[:16]
        assert logged() == [
            {
                "event": "cross-user attempt",
                "operation": operation.id,
                "subject": subject,
                "request_id": "the-id",
            }
        ]

    def test_hash_is_the_same_for_each_attempt_of_a_caller(self, service: Service, user: str, logged: Events) -> None:
        for caller in (user, user, f"{user}-2"):
            service.client(caller).get("/api/another/tasks")
        first, again, second = (event["subject"] for event in logged())
        assert first == again != second


class TestOtherRequests:
    def test_missing_or_valid_token_is_not_logged(self, service: Service, user: str, logged: Events) -> None:
        service.client().get(f"/api/{user}/tasks")
        service.client(user).get(f"/api/{user}/tasks")
        service.client(user).get(f"/api/{user}/tasks/1")
        assert logged() == []

    def test_log_has_no_tokens_claims_or_users(self, service: Service, lines: list[EventDict], clock: Clock) -> None:
        """Checks every line, including those of the requests."""
        foreign = make_token({**GOOD, "sub": "my-subject", "email": "my-email"})
        for token in (foreign, foreign[:-4] + "AAAA", make_token({"sub": "my-subject", "exp": 1})):
            for operation in SECURED:
                clock.now += 1
                send(service.client(), operation, "my-victim", headers=authorize(token))
        assert len([line for line in lines if line["event"] != "request"]) == 3 * len(SECURED)
        secrets = ["my-subject", "my-email", "my-victim", *foreign.split(".")]
        assert not [(secret, line) for line in lines for secret in secrets if secret in str(line)]


class TestFlood:
    def flood(self, service: Service, requests: int = 500) -> None:
        # A plain client, because checking responses against the contract takes longer than the service.
        with httpx.Client(base_url=service.url) as client:
            for number in range(requests):
                answer = client.get("/api/SUBJECT/tasks", headers=authorize(f"x{number}"))
                assert answer.status_code == 401

    def test_flood_is_limited_to_a_number_of_lines_per_second(
        self, service: Service, logged: Events, clock: Clock
    ) -> None:
        self.flood(service)
        clock.now += 0.9
        self.flood(service, requests=1)
        assert [event["event"] for event in logged()] == ["token refused"] * MAX_LINES

    def test_dropped_lines_of_a_flood_are_counted(self, service: Service, logged: Events, clock: Clock) -> None:
        self.flood(service)
        logged()
        clock.now += 1
        self.flood(service, requests=1)
        count, event = logged()
        assert (count["event"], count["count"]) == ("log lines left out", 500 - MAX_LINES)
        assert event["event"] == "token refused"
        # The count has no request id, because the dropped lines belong to earlier requests.
        assert (count["kind"], count["request_id"], event["request_id"]) == ("token refused", None, "the-id")

    def test_lines_are_logged_again_after_a_flood(self, service: Service, logged: Events, clock: Clock) -> None:
        self.flood(service, requests=MAX_LINES + 1)
        for _ in range(2):
            clock.now += 1
            logged()
            self.flood(service, requests=MAX_LINES)
        assert [event["event"] for event in logged()] == ["token refused"] * MAX_LINES

    def test_flood_does_not_drop_events_of_another_kind(self, service: Service, logged: Events, clock: Clock) -> None:
        self.flood(service, requests=MAX_LINES + 1)
        logged()
        assert service.client("other-user").get("/api/SUBJECT/tasks").status_code == 403
        assert [event["event"] for event in logged()] == ["cross-user attempt"]

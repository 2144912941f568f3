"""CORS as a browser applies it (https://fetch.spec.whatwg.org): a preflight, then the request."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from fastapi_contract.contract import Contract
from fastapi_contract.middleware import cors, limited_log
from fastapi_contract.middleware.cors import MAX_LOGGED_VALUE, CrossOrigin
from fastapi_contract.middleware.limited_log import MAX_LINES
from fastapi_contract.middleware.origins import LOCAL
from support.clock import Clock
from support.service import Service, running, settings_for
from todo_api.app import create_app

FRONTEND = "http://localhost:3000"
ORIGINS = ("https://app.example.com", "https://*.example.com:8443", "https://my-app-*.vercel.app", *LOCAL)


@pytest.fixture(scope="module")
def open_service(database_url: str) -> Iterator[Service]:
    """A service that allows ORIGINS and two more request headers."""
    settings = settings_for(database_url, allowed_origins=ORIGINS, allowed_headers="X-Datadog-Trace-Id, b3")
    with running(create_app(settings)) as service:
        yield service


@dataclass
class Page:
    """A page that calls fetch(). An AssertionError is raised if a browser would reject the call."""

    client: httpx.Client
    origin: str
    credentials: bool = False

    def fetch(self, method: str, url: str, headers: dict[str, str], **body: Any) -> httpx.Response:
        names = sorted(name.lower() for name in headers)
        requested = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": ",".join(names)}
        preflight = self.client.options(url, headers={"Origin": self.origin, **requested})
        self._check(preflight)
        assert preflight.is_success, "the preflight has no success status"
        assert method in _list(preflight, "Access-Control-Allow-Methods"), "the method is not allowed"
        allowed = {name.lower() for name in _list(preflight, "Access-Control-Allow-Headers")}
        assert set(names) <= allowed, f"headers are not allowed: {set(names) - allowed}"
        answer = self.client.request(method, url, headers={"Origin": self.origin, **headers}, **body)
        self._check(answer)
        return answer

    def _check(self, answer: httpx.Response) -> None:
        assert answer.headers.get_list("Access-Control-Allow-Origin") == [self.origin], "the origin is not allowed"
        assert "Origin" in _list(answer, "Vary")
        if self.credentials:
            assert answer.headers["Access-Control-Allow-Credentials"] == "true"


def _list(answer: httpx.Response, name: str) -> list[str]:
    return [each.strip() for each in answer.headers.get(name, "").split(",")]


def is_allowed(service: Service, origin: str, **requested: str) -> bool:
    """Return whether a preflight for a PUT succeeds. A rejected preflight must be a problem."""
    headers = {"Origin": origin, "Access-Control-Request-Method": "PUT", **requested}
    answer = service.client().options("/api/x/tasks/1", headers=headers)
    if answer.status_code == 200:
        assert answer.content == b""
        return bool(answer.headers.get("Access-Control-Allow-Origin") == origin)
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/invalid-request")
    return False


class TestPage:
    def test_page_can_call_every_task_operation(self, service: Service, user: str) -> None:
        page, url = Page(service.client(), FRONTEND), f"/api/{user}/tasks"
        headers = {"Authorization": f"Bearer {service.token(user)}"}
        task = page.fetch("POST", url, headers, json={"title": "x"}).json()
        assert page.fetch("GET", url, headers).json()["items"] == [task]
        assert page.fetch("PUT", f"{url}/{task['id']}", headers, json={"title": "y"}).json()["title"] == "y"
        assert page.fetch("PATCH", f"{url}/{task['id']}/complete", headers).json()["completed"] is True
        assert page.fetch("DELETE", f"{url}/{task['id']}", headers).status_code == 204

    @pytest.mark.parametrize("credentials", [False, True], ids=["without credentials", "with credentials"])
    def test_page_of_a_listed_origin_may_send_credentials(self, service: Service, user: str, credentials: bool) -> None:
        page = Page(service.client(), FRONTEND, credentials)
        page.client.cookies.set("better-auth.session_token", "x")
        headers = {"Authorization": f"Bearer {service.token(user)}"}
        assert page.fetch("GET", f"/api/{user}/tasks", headers).status_code == 200

    def test_page_reads_errors_and_exposed_headers(self, service: Service) -> None:
        failed = Page(service.client(), FRONTEND).fetch("GET", "/api/x/tasks", {"Authorization": "Bearer x"})
        assert failed.status_code == 401
        exposed = _list(failed, "Access-Control-Expose-Headers")
        assert {"Link", "Location", "X-Request-ID", "Retry-After", "WWW-Authenticate"} <= set(exposed)

    def test_page_of_another_origin_gets_no_cors_header(self, service: Service) -> None:
        answer = service.client().get("/health", headers={"Origin": "https://evil.example"})
        assert not [name for name in answer.headers if name.lower().startswith("access-control-")]
        assert answer.headers["Vary"] == "Origin"

    def test_preflight_may_be_cached_for_two_hours(self, service: Service) -> None:
        requested = {"Origin": FRONTEND, "Access-Control-Request-Method": "GET"}
        assert service.client().options("/health", headers=requested).headers["Access-Control-Max-Age"] == "7200"


class TestHeaders:
    @pytest.mark.parametrize(
        "names",
        [
            "authorization",
            "content-type",
            "x-request-id",
            "accept",
            "accept-language",
            "content-language",
            "traceparent",
            "tracestate",
            "baggage",
            "sentry-trace",
            "authorization,baggage,content-type,sentry-trace,traceparent,tracestate",
            "authorization, content-type",
            "Authorization,Content-Type",
            "",
        ],
        ids=lambda names: names or "none",
    )
    def test_headers_of_the_api_and_of_tracing_are_allowed(self, service: Service, names: str) -> None:
        assert is_allowed(service, FRONTEND, **{"Access-Control-Request-Headers": names})

    @pytest.mark.parametrize("names", ["x-datadog-trace-id", "b3", "X-DATADOG-TRACE-ID, B3, traceparent"], ids=str)
    def test_headers_of_the_setting_are_allowed(self, service: Service, open_service: Service, names: str) -> None:
        assert is_allowed(open_service, ORIGINS[0], **{"Access-Control-Request-Headers": names})
        assert not is_allowed(service, FRONTEND, **{"Access-Control-Request-Headers": names})

    @pytest.mark.parametrize("names", ["x-other", "authorization,x-other", "*", "x other", "cookie"], ids=str)
    def test_other_headers_are_rejected(self, service: Service, names: str) -> None:
        assert not is_allowed(service, FRONTEND, **{"Access-Control-Request-Headers": names})

    @pytest.mark.parametrize(
        "method", ["TRACE", "OPTIONS", "put", "", "PUT, GET"], ids=lambda method: method or "empty"
    )
    def test_methods_that_no_operation_has_are_rejected(self, service: Service, method: str) -> None:
        assert not is_allowed(service, FRONTEND, **{"Access-Control-Request-Method": method})


MATCHED = {
    "listed origin": ("https://app.example.com", True),
    "wildcard for a label": ("https://pr-1.example.com:8443", False),
    "wildcard for a part of a label": ("https://my-app-git-main-me.vercel.app", False),
    "localhost": ("http://localhost:5173", True),
    "localhost without a port": ("http://localhost", True),
    "127.0.0.1": ("http://127.0.0.1:4173", True),
}
UNMATCHED = {
    "null": "null",
    "two labels for a wildcard": "https://a.b.example.com:8443",
    "no label": "https://.example.com:8443",
    "nothing for a wildcard": "https://my-app-.vercel.app",
    "another port": "https://pr-1.example.com",
    "another scheme": "http://pr-1.example.com:8443",
    "longer host": "https://pr-1.example.com:8443.evil.example",
    "dot within a wildcard": "https://my-app.evil.vercel.app",
    "other character for a dot": "https://pr-1xexample.com:8443",
    "user name": "https://pr-1@x.example.com:8443",
    "upper case": "https://PR-1.example.com:8443",
    "not ASCII": "https://pr-1.example.com:8443\xa0",
    "localhost as a label": "http://localhost.evil.example:3000",
    "localhost over https": "https://localhost:3000",
    "port that is no number": "http://localhost:x",
    "port of six digits": "http://localhost:655360",
    "wildcard itself": "https://*.example.com:8443",
    "empty": "",
}


class TestOriginPattern:
    @pytest.mark.parametrize(("origin", "credentials"), MATCHED.values(), ids=MATCHED)
    def test_matching_origin_is_allowed(self, open_service: Service, origin: str, credentials: bool) -> None:
        """Credentials are allowed only if no other user can register the host."""
        for _ in range(2):
            page = Page(open_service.client(), origin, credentials)
            answer = page.fetch("GET", "/health", {"Authorization": "Bearer x"})
            assert ("Access-Control-Allow-Credentials" in answer.headers) is credentials

    @pytest.mark.parametrize("origin", UNMATCHED.values(), ids=UNMATCHED)
    def test_other_origin_is_rejected(self, open_service: Service, origin: str) -> None:
        client = open_service.client()
        headers = {b"Origin": origin.encode("latin-1"), b"Access-Control-Request-Method": b"PUT"}
        assert client.options("/health", headers=headers).status_code == 400
        answer = client.get("/health", headers={b"Origin": origin.encode("latin-1")})
        assert "Access-Control-Allow-Origin" not in answer.headers

    def test_cache_of_origins_is_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(cors, "MAX_CACHED_ORIGINS", 10)
        cross_origin = CrossOrigin(["https://*.example.com"], ["GET"], [], [])
        origins = [f"https://{number}.example.com".encode() for number in range(20)]
        for origin in origins:
            assert (b"access-control-allow-origin", origin) in cross_origin.headers(origin)
        cached = [origin for origin in origins if cross_origin.headers(origin) is cross_origin.headers(origin)]
        assert 1 < len(cached) <= 10


class TestRejectedPreflight:
    @pytest.fixture
    def clock(self, monkeypatch: pytest.MonkeyPatch) -> Clock:
        clock = Clock(1000.0)
        monkeypatch.setattr(limited_log, "monotonic", clock)
        return clock

    @pytest.fixture
    def log(self, clock: Clock) -> Iterator[Callable[[], list[EventDict]]]:
        """Return all log lines so far, except those of requests."""
        with capture_logs() as lines:
            yield lambda: [line for line in lines if line["event"] != "request"]

    @pytest.mark.parametrize(
        ("requested", "logged"),
        [
            ({"Origin": "http://localhost:5173"}, {"origin": "http://localhost:5173", "setting": "ALLOWED_ORIGINS"}),
            ({"Origin": "null"}, {"origin": "null", "setting": "ALLOWED_ORIGINS"}),
            (
                {"Access-Control-Request-Headers": "x-b,authorization,X-A"},
                {"headers": "x-a, x-b", "setting": "ALLOWED_HEADERS"},
            ),
            ({"Access-Control-Request-Method": "TRACE"}, {"method": "TRACE", "setting": None}),
            ({"Origin": "http://" + "x" * 5000}, {"origin": ("http://" + "x" * 5000)[:MAX_LOGGED_VALUE]}),
        ],
        ids=["origin", "null origin", "headers", "method", "long origin"],
    )
    def test_rejected_preflight_is_logged_with_the_setting_that_allows_it(
        self, service: Service, clock: Clock, log: Callable[[], list[EventDict]], requested: dict[str, str], logged: Any
    ) -> None:
        clock.now += 10
        sent = {"Origin": FRONTEND, "Access-Control-Request-Method": "PUT", **requested}
        assert service.client().options("/api/x/tasks/1", headers=sent).status_code == 400
        line = log()[-1]
        assert line["event"] == "preflight rejected"
        assert line.items() >= logged.items()

    def test_log_lines_of_rejected_preflights_are_limited_per_second(
        self, service: Service, clock: Clock, log: Callable[[], list[EventDict]]
    ) -> None:
        clock.now += 20
        for _ in range(MAX_LINES + 5):
            assert not is_allowed(service, "http://evil.example")
        assert [line["event"] for line in log()] == ["preflight rejected"] * MAX_LINES
        clock.now += 1
        assert not is_allowed(service, "http://evil.example")
        left_out, last = log()[MAX_LINES:]
        assert (left_out["event"], left_out["count"]) == ("log lines left out", 5)
        assert last["event"] == "preflight rejected"


def test_request_headers_of_the_contract_are_parameters_credentials_and_the_type_of_a_body() -> None:
    contract = Contract.parse(b"""
openapi: 3.1.0
info: {title: x, version: 1.0.0}
paths:
  /a:
    get:
      operationId: readA
      security: [{key: []}, {inQuery: []}]
      parameters:
        - {name: If-None-Match, in: header, schema: {type: string}}
        - {name: q, in: query, schema: {type: string}}
      responses: {"204": {description: Nothing.}}
    post:
      operationId: sendA
      security: [{bearer: []}]
      requestBody: {content: {text/plain: {schema: {type: string}}}}
      responses: {"204": {description: Nothing.}}
components:
  securitySchemes:
    key: {type: apiKey, in: header, name: X-Key}
    inQuery: {type: apiKey, in: query, name: key}
    bearer: {type: http, scheme: bearer}
""")
    assert contract.request_headers == ["Authorization", "Content-Type", "If-None-Match", "X-Key"]

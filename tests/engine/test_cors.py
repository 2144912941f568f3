"""Which pages may call the API, as a browser sees it: a preflight, then the request (https://fetch.spec.whatwg.org)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from fastapi_contract import cors, limited_log
from fastapi_contract.cors import MAX_LOGGED_VALUE, CrossOrigin
from fastapi_contract.limited_log import MAX_LINES
from fastapi_contract.origins import LOCAL
from support.clock import Clock
from support.service import Service, running, settings_for
from todo_api.app import create_app

FRONTEND = "http://localhost:3000"
ORIGINS = ("https://app.example.com", "https://*.example.com:8443", "https://my-app-*.vercel.app", *LOCAL)


@pytest.fixture(scope="module")
def open_service(database_url: str) -> Iterator[Service]:
    """Allows ORIGINS, and two more headers."""
    settings = settings_for(database_url, allowed_origins=ORIGINS, allowed_headers="X-Datadog-Trace-Id, b3")
    with running(create_app(settings)) as service:
        yield service


@dataclass
class Page:
    """Calls as fetch() does for a page, and fails as fetch() does if the answers do not allow it."""

    client: httpx.Client
    origin: str
    credentials: bool = False

    def fetch(self, method: str, url: str, headers: dict[str, str], **body: Any) -> httpx.Response:
        names = sorted(name.lower() for name in headers)
        asked = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": ",".join(names)}
        preflight = self.client.options(url, headers={"Origin": self.origin, **asked})
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


def is_allowed(service: Service, origin: str, **asked: str) -> bool:
    """Whether a preflight for a PUT is answered with success. A rejected one is a problem."""
    wanted = {"Origin": origin, "Access-Control-Request-Method": "PUT", **asked}
    answer = service.client().options("/api/x/tasks/1", headers=wanted)
    if answer.status_code == 200:
        assert answer.content == b""
        return bool(answer.headers.get("Access-Control-Allow-Origin") == origin)
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/invalid-request")
    return False


class TestPage:
    def test_works_through_all_task_operations(self, service: Service, user: str) -> None:
        page, url = Page(service.client(), FRONTEND), f"/api/{user}/tasks"
        headers = {"Authorization": f"Bearer {service.token(user)}"}
        task = page.fetch("POST", url, headers, json={"title": "x"}).json()
        assert page.fetch("GET", url, headers).json()["items"] == [task]
        assert page.fetch("PUT", f"{url}/{task['id']}", headers, json={"title": "y"}).json()["title"] == "y"
        assert page.fetch("PATCH", f"{url}/{task['id']}/complete", headers).json()["completed"] is True
        assert page.fetch("DELETE", f"{url}/{task['id']}", headers).status_code == 204

    @pytest.mark.parametrize("credentials", [False, True], ids=["omit", "include"])
    def test_of_a_listed_origin_may_send_credentials(self, service: Service, user: str, credentials: bool) -> None:
        page = Page(service.client(), FRONTEND, credentials)
        page.client.cookies.set("better-auth.session_token", "x")
        headers = {"Authorization": f"Bearer {service.token(user)}"}
        assert page.fetch("GET", f"/api/{user}/tasks", headers).status_code == 200

    def test_reads_the_headers_and_failures_that_it_needs(self, service: Service) -> None:
        failed = Page(service.client(), FRONTEND).fetch("GET", "/api/x/tasks", {"Authorization": "Bearer x"})
        assert failed.status_code == 401
        exposed = _list(failed, "Access-Control-Expose-Headers")
        assert {"Link", "Location", "X-Request-ID", "Retry-After", "WWW-Authenticate"} <= set(exposed)

    def test_of_another_origin_reads_nothing(self, service: Service) -> None:
        answer = service.client().get("/health", headers={"Origin": "https://evil.example"})
        assert not [name for name in answer.headers if name.lower().startswith("access-control-")]
        assert answer.headers["Vary"] == "Origin"

    def test_asks_once_in_two_hours(self, service: Service) -> None:
        asked = {"Origin": FRONTEND, "Access-Control-Request-Method": "GET"}
        assert service.client().options("/health", headers=asked).headers["Access-Control-Max-Age"] == "7200"


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
        ids=str,
    )
    def test_of_the_api_and_of_tracing_are_allowed(self, service: Service, names: str) -> None:
        assert is_allowed(service, FRONTEND, **{"Access-Control-Request-Headers": names})

    @pytest.mark.parametrize("names", ["x-datadog-trace-id", "b3", "X-DATADOG-TRACE-ID, B3, traceparent"], ids=str)
    def test_of_the_setting_are_allowed(self, service: Service, open_service: Service, names: str) -> None:
        assert is_allowed(open_service, ORIGINS[0], **{"Access-Control-Request-Headers": names})
        assert not is_allowed(service, FRONTEND, **{"Access-Control-Request-Headers": names})

    @pytest.mark.parametrize("names", ["x-other", "authorization,x-other", "*", "x other", "cookie"], ids=str)
    def test_others_are_rejected(self, service: Service, names: str) -> None:
        assert not is_allowed(service, FRONTEND, **{"Access-Control-Request-Headers": names})

    @pytest.mark.parametrize("method", ["TRACE", "OPTIONS", "put", "", "PUT, GET"], ids=str)
    def test_methods_of_no_operation_are_rejected(self, service: Service, method: str) -> None:
        assert not is_allowed(service, FRONTEND, **{"Access-Control-Request-Method": method})


MATCHED = {
    "a listed origin": ("https://app.example.com", True),
    "a label": ("https://pr-1.example.com:8443", False),
    "a part of a label": ("https://my-app-git-main-me.vercel.app", False),
    "localhost": ("http://localhost:5173", True),
    "localhost without a port": ("http://localhost", True),
    "127.0.0.1": ("http://127.0.0.1:4173", True),
}
UNMATCHED = {
    "null": "null",
    "two labels for one": "https://a.b.example.com:8443",
    "no label": "https://.example.com:8443",
    "nothing for a part": "https://my-app-.vercel.app",
    "another port": "https://pr-1.example.com",
    "another scheme": "http://pr-1.example.com:8443",
    "a host that goes on": "https://pr-1.example.com:8443.evil.example",
    "a dot for a hyphen": "https://my-app.evil.vercel.app",
    "another dot": "https://pr-1xexample.com:8443",
    "a user": "https://pr-1@x.example.com:8443",
    "upper case": "https://PR-1.example.com:8443",
    "a new line": "https://pr-1.example.com:8443\xa0",
    "localhost as a label": "http://localhost.evil.example:3000",
    "localhost over https": "https://localhost:3000",
    "a port of no number": "http://localhost:x",
    "a port of six digits": "http://localhost:655360",
    "a star": "https://*.example.com:8443",
    "empty": "",
}


class TestWildcard:
    @pytest.mark.parametrize(("origin", "credentials"), MATCHED.values(), ids=MATCHED)
    def test_origin_is_allowed(self, open_service: Service, origin: str, credentials: bool) -> None:
        """Credentials only if nobody else can have the host."""
        for _ in range(2):
            page = Page(open_service.client(), origin, credentials)
            answer = page.fetch("GET", "/health", {"Authorization": "Bearer x"})
            assert ("Access-Control-Allow-Credentials" in answer.headers) is credentials

    @pytest.mark.parametrize("origin", UNMATCHED.values(), ids=UNMATCHED)
    def test_other_origins_are_rejected(self, open_service: Service, origin: str) -> None:
        client = open_service.client()
        wanted = {b"Origin": origin.encode("latin-1"), b"Access-Control-Request-Method": b"PUT"}
        assert client.options("/health", headers=wanted).status_code == 400
        answer = client.get("/health", headers={b"Origin": origin.encode("latin-1")})
        assert "Access-Control-Allow-Origin" not in answer.headers

    def test_remembers_a_bounded_number_of_origins(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(cors, "MAX_CACHED_ORIGINS", 10)
        cross_origin = CrossOrigin(["https://*.example.com"], ["GET"], [], [])
        origins = [f"https://{number}.example.com".encode() for number in range(20)]
        for origin in origins:
            assert (b"access-control-allow-origin", origin) in cross_origin.headers(origin)
        remembered = [origin for origin in origins if cross_origin.headers(origin) is cross_origin.headers(origin)]
        assert 1 < len(remembered) <= 10


class TestRejectedPreflight:
    @pytest.fixture
    def clock(self, monkeypatch: pytest.MonkeyPatch) -> Clock:
        clock = Clock(1000.0)
        monkeypatch.setattr(limited_log, "monotonic", clock)
        return clock

    @pytest.fixture
    def log(self, clock: Clock) -> Iterator[Callable[[], list[EventDict]]]:
        """All lines so far but those of requests."""
        with capture_logs() as lines:
            yield lambda: [line for line in lines if line["event"] != "request"]

    @pytest.mark.parametrize(
        ("asked", "logged"),
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
        ids=["origin", "null", "headers", "method", "long origin"],
    )
    def test_is_logged_with_the_setting_that_would_allow_it(
        self, service: Service, clock: Clock, log: Callable[[], list[EventDict]], asked: dict[str, str], logged: Any
    ) -> None:
        clock.now += 10
        sent = {"Origin": FRONTEND, "Access-Control-Request-Method": "PUT", **asked}
        assert service.client().options("/api/x/tasks/1", headers=sent).status_code == 400
        line = log()[-1]
        assert line["event"] == "preflight rejected"
        assert line.items() >= logged.items()

    def test_is_logged_so_many_times_a_second(
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

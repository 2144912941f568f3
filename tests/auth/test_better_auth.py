"""The tokens that the real Better Auth issues: those for the API are taken, its other ones are not, and its keys may
change at any time."""

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from jose import jws

from support import ROOT
from support.better_auth_server import BetterAuth, User, better_auth
from support.node import run
from support.service import Service, running, settings_for
from todo_api.app import create_app

RECIPES = Path("tests/better_auth")


@contextmanager
def api_for(issuer: BetterAuth, database_url: str, **others: Any) -> Iterator[Service]:
    """A service that takes the tokens of the issuer, by its published keys and by the secret that they share."""
    settings = {
        "better_auth_secret": issuer.api_secret,
        "better_auth_jwks_url": issuer.jwks_url,
        "better_auth_issuer": issuer.url,
        "better_auth_audience": issuer.url,
        **others,
    }
    with running(create_app(settings_for(database_url, **settings))) as service:
        yield service


@pytest.fixture(scope="module")
def issuer() -> Iterator[BetterAuth]:
    with better_auth() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def api(issuer: BetterAuth, database_url: str) -> Iterator[Service]:
    with api_for(issuer, database_url) as api:
        yield api


@pytest.fixture(scope="module")
def signed_up(issuer: BetterAuth) -> User:
    return issuer.sign_up()


def header(token: str) -> dict[str, Any]:
    part = token.partition(".")[0]
    parsed: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return parsed


def tasks(api: Service, user: User, token: str) -> httpx.Response:
    return api.client(Authorization=f"Bearer {token}").get(f"/api/{user.id}/tasks")


def assert_is_refused(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.json()["type"]) == (401, "/problems/invalid-token")
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


def assert_is_good(api: Service, issuer: BetterAuth, user: User, token: str) -> None:
    """For the user's own tasks, and for nobody else's."""
    client = api.client(Authorization=f"Bearer {token}")
    created = client.post(f"/api/{user.id}/tasks", json={"title": "Buy milk"})
    assert created.status_code == 201, created.text
    assert created.json()["user_id"] == user.id
    assert client.get(f"/api/{user.id}/tasks").json()["items"] == [created.json()]
    assert client.get(f"/api/{issuer.sign_up().id}/tasks").status_code == 403


class TestTokensForTheApi:
    @pytest.mark.parametrize("algorithm", ["EdDSA", "ES256", "RS256"])
    def test_of_a_published_key(self, database_url: str, algorithm: str) -> None:
        with (
            better_auth(algorithm) as issuer,
            api_for(issuer, database_url, better_auth_secret=None) as api,
        ):
            user = issuer.sign_up()
            token = issuer.token(user)
            assert header(token)["alg"] == algorithm
            assert_is_good(api, issuer, user, token)

    def test_of_the_shared_secret(self, database_url: str) -> None:
        with (
            better_auth("HS256") as issuer,
            api_for(issuer, database_url, better_auth_jwks_url=None) as api,
        ):
            user = issuer.sign_up()
            token = issuer.token(user)
            assert header(token) == {"alg": "HS256"}
            assert_is_good(api, issuer, user, token)

    def test_of_the_frontends_own_route(self, api: Service, issuer: BetterAuth) -> None:
        user = issuer.sign_up()
        token = issuer.hs256_token(user)
        assert header(token) == {"alg": "HS256"}
        assert_is_good(api, issuer, user, token)

    def test_of_the_frontends_own_route_before_a_secret_is_replaced(
        self, database_url: str, issuer: BetterAuth, signed_up: User
    ) -> None:
        replaced = {"better_auth_secret": "new " + issuer.api_secret, "better_auth_secret_previous": issuer.api_secret}
        with api_for(issuer, database_url, **replaced) as api:
            assert tasks(api, signed_up, issuer.hs256_token(signed_up)).status_code == 200

    def test_are_not_given_to_strangers(self, issuer: BetterAuth) -> None:
        for path in ("/api/token", "/api/auth/token"):
            assert httpx.get(issuer.url + path).status_code == 401


class TestTokensForOthers:
    def test_the_session_token_is_refused(self, api: Service, issuer: BetterAuth, signed_up: User) -> None:
        cookie = signed_up.client.cookies["better-auth.session_token"]
        for token in (signed_up.session_token, cookie.partition(".")[0]):
            assert_is_refused(tasks(api, signed_up, token))

    def test_so_are_those_of_the_mail_and_of_the_cookie(
        self, api: Service, issuer: BetterAuth, signed_up: User
    ) -> None:
        for token in (issuer.mail_verification_token(signed_up), issuer.cookie_cache_token(signed_up)):
            assert_is_refused(tasks(api, signed_up, token))

    @pytest.mark.parametrize("named", [True, False], ids=["issuer and audience named", "neither named"])
    def test_even_if_better_auths_own_secret_is_shared(self, database_url: str, named: bool) -> None:
        secret = "one secret for two purposes, as it must not be"
        unnamed = {} if named else {"better_auth_issuer": None, "better_auth_audience": None}
        with (
            better_auth(secret=secret, api_secret=secret) as issuer,
            api_for(issuer, database_url, **unnamed) as api,
        ):
            user = issuer.sign_up()
            for token in (issuer.mail_verification_token(user), issuer.cookie_cache_token(user)):
                jws.verify(token, secret, "HS256")
                assert_is_refused(tasks(api, user, token))
            assert tasks(api, user, issuer.hs256_token(user)).status_code == 200

    @pytest.mark.parametrize("named", [True, False], ids=["issuer and audience named", "neither named"])
    def test_even_if_the_cookie_is_signed_with_the_published_key(self, database_url: str, named: bool) -> None:
        # It has the user as its subject and the right issuer.
        unnamed = {} if named else {"better_auth_issuer": None, "better_auth_audience": None}
        with (
            better_auth(cookie_cache="key") as issuer,
            api_for(issuer, database_url, **unnamed) as api,
        ):
            user = issuer.sign_up()
            cookie, token = issuer.cookie_cache_token(user), issuer.token(user)
            assert header(cookie)["kid"] == header(token)["kid"]
            assert_is_refused(tasks(api, user, cookie))
            assert tasks(api, user, token).status_code == 200

    def test_those_of_another_issuer_are_refused(self, api: Service, issuer: BetterAuth) -> None:
        with better_auth(secret=issuer.secret, api_secret=issuer.api_secret) as other:
            user = other.sign_up()
            for token in (other.token(user), other.hs256_token(user)):
                assert_is_refused(tasks(api, user, token))


def test_an_algorithm_that_is_not_accepted_explains_itself(
    database_url: str, issuer: BetterAuth, signed_up: User
) -> None:
    with api_for(issuer, database_url, better_auth_jwks_url=None) as api:
        refused = tasks(api, signed_up, issuer.token(signed_up))
    assert_is_refused(refused)
    assert "EdDSA" in refused.json()["detail"]
    assert "HS256" in refused.json()["detail"]


class TestKeysThatChange:
    CALLERS = 4
    ROTATIONS = 4

    # An RSA key takes so long to make that Better Auth makes several, one for each signature under way.
    @pytest.mark.parametrize("algorithm", ["EdDSA", "RS256"])
    def test_no_good_token_is_refused(self, database_url: str, algorithm: str) -> None:
        with better_auth(algorithm) as issuer, api_for(issuer, database_url) as api:
            users = [issuer.sign_up() for _ in range(self.CALLERS)]
            used: list[set[str]] = [set() for _ in users]
            refused: list[str] = []
            over = threading.Event()

            def keep_calling(user: User, used: set[str]) -> None:
                client = api.client()
                while not over.is_set():
                    token = issuer.token(user)
                    answer = client.get(f"/api/{user.id}/tasks", headers={"Authorization": f"Bearer {token}"})
                    if answer.status_code != 200:
                        refused.append(answer.text)
                    used.add(header(token)["kid"])

            # Of somebody who does not call meanwhile, so that the service remembers none of them.
            patient = issuer.sign_up()
            kept = [issuer.token(patient)]
            with ThreadPoolExecutor(self.CALLERS) as callers:
                calls = [callers.submit(keep_calling, *each) for each in zip(users, used, strict=True)]
                try:
                    for _ in range(self.ROTATIONS):
                        known = set().union(*used)
                        issuer.rotate()
                        deadline = time.monotonic() + 30
                        while not all(kids - known for kids in used):
                            assert not refused, refused[0]
                            assert not any(call.done() for call in calls), calls
                            assert time.monotonic() < deadline, "the new keys are not used"
                            time.sleep(0.01)
                        kept.append(issuer.token(patient))
                finally:
                    over.set()

            assert not refused, refused[0]
            assert len({header(token)["kid"] for token in kept}) == self.ROTATIONS + 1
            for token in kept:
                assert tasks(api, patient, token).status_code == 200


def browse(issuer: BetterAuth, api: Service, *scenario: str, token_path: str = "/api/auth/token") -> dict[str, Any]:
    """Runs a scenario of browser.mjs; returns its result with `tokens` (requests for one) and `calls` (to the API)."""
    environment = {"BETTER_AUTH_URL": issuer.url, "NEXT_PUBLIC_API_URL": api.url, "TOKEN_PATH": token_path}
    result = run(RECIPES / "browser.mjs", *scenario, env=environment)
    assert result.returncode == 0, result.stderr
    seen: dict[str, Any] = json.loads(result.stdout)
    return seen


def statuses(seen: dict[str, Any]) -> list[int]:
    return [call["status"] for call in seen["calls"]]


@pytest.fixture
def production(request: pytest.FixtureRequest) -> Iterator[BetterAuth]:
    """Better Auth with its rate limit on, of each test's own because the limit counts over all of its clients."""
    with better_auth(production=True, **getattr(request, "param", {})) as issuer:
        yield issuer


@pytest.fixture
def its_api(production: BetterAuth, database_url: str) -> Iterator[Service]:
    with api_for(production, database_url) as api:
        yield api


short_lived = pytest.mark.parametrize("production", [{"expiration_time": "2s"}], indirect=True, ids=["tokens of 2 s"])


class TestClientRecipe:
    """README's lib/api.ts, against Better Auth in production mode."""

    def test_user_creates_and_lists_a_task(self, production: BetterAuth, its_api: Service) -> None:
        seen = browse(production, its_api, "create and list")
        assert [(task["title"], task["user_id"]) for task in seen["items"]] == [("Buy milk", seen["user"])]

    def test_hs256_route_works_as_the_token_source(self, production: BetterAuth, database_url: str) -> None:
        with api_for(production, database_url, better_auth_jwks_url=None) as api:
            seen = browse(production, api, "sign out and in again", token_path="/api/token")
        assert seen["type"] == "/problems/authentication-required"
        assert statuses(seen) == [200, 401, 200]

    def test_300_calls_take_two_token_requests_at_most(
        self, production: BetterAuth, its_api: Service, record_property: Callable[[str, str], None]
    ) -> None:
        seen = browse(production, its_api, "300 calls")
        record_property("figures", f"{seen['milliseconds']:.1f} ms a call, {seen['tokens']} token requests for 300")
        assert statuses(seen) == [200] * 300
        assert seen["tokens"] <= 2

    def test_first_calls_at_once_share_one_token_request(self, production: BetterAuth, its_api: Service) -> None:
        seen = browse(production, its_api, "first calls at once")
        assert statuses(seen) == [200] * 20
        assert seen["tokens"] == 1

    def test_public_operation_gets_no_token_and_leaves_the_kept_one(
        self, production: BetterAuth, its_api: Service
    ) -> None:
        seen = browse(production, its_api, "public operations")
        assert [call["sub"] is None for call in seen["calls"]] == [True, False] * 5
        assert seen["tokens"] == 1

    @pytest.mark.parametrize("hours", ["-1", "1"], ids=["an hour behind", "an hour ahead"])
    def test_wrong_clock_does_not_shorten_a_token(self, production: BetterAuth, its_api: Service, hours: str) -> None:
        seen = browse(production, its_api, "wrong clock", hours)
        assert statuses(seen) == [200] * 10
        assert seen["tokens"] == 1

    @short_lived
    def test_short_lived_token_is_replaced_before_it_expires(self, production: BetterAuth, its_api: Service) -> None:
        seen = browse(production, its_api, "token used until half of a short lifetime")
        assert set(statuses(seen)) == {200}
        assert 3 <= seen["tokens"] <= 6

    @short_lived
    def test_calls_with_an_expired_token_are_sent_again_with_one_new_token(
        self, production: BetterAuth, its_api: Service
    ) -> None:
        seen = browse(production, its_api, "token expires unnoticed")
        assert seen["titles"] == sorted(f"Task {index}" for index in range(20))
        assert sorted(statuses(seen)) == [200] * 2 + [201] * 20 + [401] * 20
        assert seen["tokens"] == 2

    def test_rejected_token_is_replaced_once(self, production: BetterAuth, database_url: str) -> None:
        with api_for(production, database_url, better_auth_audience="another") as api:
            seen = browse(production, api, "every token is rejected")
        assert (seen["type"], statuses(seen), seen["tokens"]) == ("/problems/invalid-token", [401, 401], 2)

    def test_signed_out_user_gets_authentication_required(self, production: BetterAuth, its_api: Service) -> None:
        seen = browse(production, its_api, "sign out and in again")
        assert seen["type"] == "/problems/authentication-required"
        assert statuses(seen) == [200, 401, 200]
        assert seen["calls"][1]["sub"] is None

    @pytest.mark.parametrize("where", ["at once", "in another tab"])
    def test_next_user_never_sends_the_token_of_the_last(
        self, production: BetterAuth, its_api: Service, where: str
    ) -> None:
        seen = browse(production, its_api, f"the next user {where}")
        assert [call["sub"] for call in seen["calls"]] == seen["users"]
        assert statuses(seen) == [200, 200]

    def test_unreachable_better_auth_is_not_taken_for_signed_out(
        self, production: BetterAuth, its_api: Service
    ) -> None:
        seen = browse(production, its_api, "Better Auth cannot be reached")
        assert (seen["failed"], seen["then"]) == (["TypeError", "TypeError"], 200)
        assert statuses(seen) == [200]

    def test_rate_limit_is_not_taken_for_signed_out(self, production: BetterAuth, its_api: Service) -> None:
        seen = browse(production, its_api, "Better Auth limits")
        assert seen["limited"] == 1
        assert "429" in seen["failed"]
        assert seen["calls"] == []

    def test_answer_of_a_proxy_is_an_exception(self, production: BetterAuth, its_api: Service) -> None:
        seen = browse(production, its_api, "an answer that is not the API's")
        assert all("502" in message for message in seen["failed"]), seen["failed"]


class TestServerRecipe:
    """README's lib/server-api.ts."""

    def test_more_pages_than_the_rate_limit_are_rendered(self, production: BetterAuth, its_api: Service) -> None:
        user = production.sign_up()
        pages = [production.server_component_status(user, its_api.url) for _ in range(110)]
        assert pages == [200] * 110

    def test_signed_out_user_is_a_401_of_better_auth(self, production: BetterAuth, its_api: Service) -> None:
        user = production.sign_up()
        user.client.cookies.clear()
        assert production.server_component_status(user, its_api.url) == 401


class TestRecipes:
    """The parts of the frontend that the README shows are those that run here."""

    @pytest.mark.parametrize("recipe", ["api.ts", "auth.ts", "auth-client.ts", "route.ts", "server-api.ts"])
    def test_readme_has_the_recipe_word_for_word(self, recipe: str) -> None:
        assert (ROOT / RECIPES / recipe).read_text() in (ROOT / "README.md").read_text()

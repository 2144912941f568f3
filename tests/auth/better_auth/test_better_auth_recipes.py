"""The frontend recipes of docs/better-auth.md run unchanged, against Better Auth and the service."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from support import ROOT
from support.better_auth_server import RECIPES, BetterAuth, api_for, better_auth
from support.node import run
from support.service import Service


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
    """A Better Auth with rate limit. Each test has its own, because all clients share the limit."""
    with better_auth(production=True, **getattr(request, "param", {})) as issuer:
        yield issuer


@pytest.fixture
def production_api(production: BetterAuth, database_url: str) -> Iterator[Service]:
    with api_for(production, database_url) as api:
        yield api


short_lived = pytest.mark.parametrize("production", [{"expiration_time": "2s"}], indirect=True, ids=["tokens of 2 s"])


class TestClientRecipe:
    """lib/api.ts of docs/better-auth.md, against Better Auth in production mode."""

    def test_user_creates_and_lists_a_task(self, production: BetterAuth, production_api: Service) -> None:
        seen = browse(production, production_api, "create and list")
        assert [(task["title"], task["user_id"]) for task in seen["items"]] == [("Buy milk", seen["user"])]

    def test_hs256_route_works_as_the_token_source(self, production: BetterAuth, database_url: str) -> None:
        with api_for(production, database_url, better_auth_jwks_url=None) as api:
            seen = browse(production, api, "sign out and in again", token_path="/api/token")
        assert seen["type"] == "/problems/authentication-required"
        assert statuses(seen) == [200, 401, 200]

    def test_300_calls_take_two_token_requests_at_most(
        self, production: BetterAuth, production_api: Service, record_property: Callable[[str, str], None]
    ) -> None:
        seen = browse(production, production_api, "300 calls")
        record_property("figures", f"{seen['milliseconds']:.1f} ms a call, {seen['tokens']} token requests for 300")
        assert statuses(seen) == [200] * 300
        assert seen["tokens"] <= 2

    def test_first_calls_at_once_share_one_token_request(self, production: BetterAuth, production_api: Service) -> None:
        seen = browse(production, production_api, "first calls at once")
        assert statuses(seen) == [200] * 20
        assert seen["tokens"] == 1

    def test_public_operation_is_called_without_token_and_keeps_the_cached_one(
        self, production: BetterAuth, production_api: Service
    ) -> None:
        seen = browse(production, production_api, "public operations")
        assert [call["sub"] is None for call in seen["calls"]] == [True, False] * 5
        assert seen["tokens"] == 1

    @pytest.mark.parametrize("hours", ["-1", "1"], ids=["an hour behind", "an hour ahead"])
    def test_wrong_clock_does_not_shorten_the_use_of_a_token(
        self, production: BetterAuth, production_api: Service, hours: str
    ) -> None:
        seen = browse(production, production_api, "wrong clock", hours)
        assert statuses(seen) == [200] * 10
        assert seen["tokens"] == 1

    @short_lived
    def test_short_lived_token_is_replaced_before_it_expires(
        self, production: BetterAuth, production_api: Service
    ) -> None:
        seen = browse(production, production_api, "token used until half of a short lifetime")
        assert set(statuses(seen)) == {200}
        assert 3 <= seen["tokens"] <= 6

    @short_lived
    def test_calls_with_an_expired_token_are_sent_again_with_one_new_token(
        self, production: BetterAuth, production_api: Service
    ) -> None:
        seen = browse(production, production_api, "token expires unnoticed")
        assert seen["titles"] == sorted(f"Task {index}" for index in range(20))
        assert sorted(statuses(seen)) == [200] * 2 + [201] * 20 + [401] * 20
        assert seen["tokens"] == 2

    def test_rejected_token_is_replaced_once(self, production: BetterAuth, database_url: str) -> None:
        with api_for(production, database_url, better_auth_audience="another") as api:
            seen = browse(production, api, "every token is rejected")
        assert (seen["type"], statuses(seen), seen["tokens"]) == ("/problems/invalid-token", [401, 401], 2)

    def test_signed_out_user_gets_authentication_required(
        self, production: BetterAuth, production_api: Service
    ) -> None:
        seen = browse(production, production_api, "sign out and in again")
        assert seen["type"] == "/problems/authentication-required"
        assert statuses(seen) == [200, 401, 200]
        assert seen["calls"][1]["sub"] is None

    @pytest.mark.parametrize("where", ["at once", "in another tab"])
    def test_token_of_the_previous_user_is_not_sent(
        self, production: BetterAuth, production_api: Service, where: str
    ) -> None:
        seen = browse(production, production_api, f"the next user {where}")
        assert [call["sub"] for call in seen["calls"]] == seen["users"]
        assert statuses(seen) == [200, 200]

    def test_user_is_not_reported_as_signed_out_if_better_auth_is_unreachable(
        self, production: BetterAuth, production_api: Service
    ) -> None:
        seen = browse(production, production_api, "Better Auth cannot be reached")
        assert (seen["failed"], seen["then"]) == (["TypeError", "TypeError"], 200)
        assert statuses(seen) == [200]

    def test_rate_limited_user_is_not_reported_as_signed_out(
        self, production: BetterAuth, production_api: Service
    ) -> None:
        seen = browse(production, production_api, "Better Auth limits")
        assert seen["limited"] == 1
        assert "429" in seen["failed"]
        assert seen["calls"] == []

    def test_response_of_a_proxy_raises_an_exception(self, production: BetterAuth, production_api: Service) -> None:
        seen = browse(production, production_api, "an answer that is not the API's")
        assert all("502" in message for message in seen["failed"]), seen["failed"]


class TestServerRecipe:
    """lib/server-api.ts of docs/better-auth.md."""

    def test_more_pages_than_the_rate_limit_are_rendered(self, production: BetterAuth, production_api: Service) -> None:
        user = production.sign_up()
        pages = [production.server_component_status(user, production_api.url) for _ in range(110)]
        assert pages == [200] * 110

    def test_signed_out_user_gets_the_401_of_better_auth(self, production: BetterAuth, production_api: Service) -> None:
        user = production.sign_up()
        user.client.cookies.clear()
        assert production.server_component_status(user, production_api.url) == 401


class TestRecipes:
    """docs/better-auth.md shows the files that these tests run."""

    @pytest.mark.parametrize("recipe", ["api.ts", "auth.ts", "auth-client.ts", "route.ts", "server-api.ts"])
    def test_documentation_has_the_recipe_word_for_word(self, recipe: str) -> None:
        assert (ROOT / RECIPES / recipe).read_text() in (ROOT / "docs/better-auth.md").read_text()

"""Tokens of a real Better Auth: access tokens are accepted, its other tokens are rejected, and a key rotation rejects
no valid token."""

import base64
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from jose import jws

from support.better_auth_server import BetterAuth, User, api_for, better_auth
from support.service import Service


@pytest.fixture(scope="module")
def signed_up(issuer: BetterAuth) -> User:
    return issuer.sign_up()


def header(token: str) -> dict[str, Any]:
    part = token.partition(".")[0]
    parsed: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return parsed


def tasks(api: Service, user: User, token: str) -> httpx.Response:
    return api.client(Authorization=f"Bearer {token}").get(f"/api/{user.id}/tasks")


def assert_rejected(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.json()["type"]) == (401, "/problems/invalid-token")
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


def assert_accepted(api: Service, issuer: BetterAuth, user: User, token: str) -> None:
    """The token gives access to the tasks of its user only."""
    client = api.client(Authorization=f"Bearer {token}")
    created = client.post(f"/api/{user.id}/tasks", json={"title": "Buy milk"})
    assert created.status_code == 201, created.text
    assert created.json()["user_id"] == user.id
    assert client.get(f"/api/{user.id}/tasks").json()["items"] == [created.json()]
    assert client.get(f"/api/{issuer.sign_up().id}/tasks").status_code == 403


class TestAccessTokens:
    @pytest.mark.parametrize("algorithm", ["EdDSA", "ES256", "RS256"])
    def test_token_of_a_published_key_is_accepted(self, database_url: str, algorithm: str) -> None:
        with (
            better_auth(algorithm) as issuer,
            api_for(issuer, database_url, better_auth_secret=None) as api,
        ):
            user = issuer.sign_up()
            token = issuer.token(user)
            assert header(token)["alg"] == algorithm
            assert_accepted(api, issuer, user, token)

    def test_token_of_the_shared_secret_is_accepted(self, database_url: str) -> None:
        with (
            better_auth("HS256") as issuer,
            api_for(issuer, database_url, better_auth_jwks_url=None) as api,
        ):
            user = issuer.sign_up()
            token = issuer.token(user)
            assert header(token) == {"alg": "HS256"}
            assert_accepted(api, issuer, user, token)

    def test_token_of_the_frontends_route_is_accepted(self, api: Service, issuer: BetterAuth) -> None:
        user = issuer.sign_up()
        token = issuer.hs256_token(user)
        assert header(token) == {"alg": "HS256"}
        assert_accepted(api, issuer, user, token)

    def test_token_of_the_frontends_route_with_the_previous_secret_is_accepted(
        self, database_url: str, issuer: BetterAuth, signed_up: User
    ) -> None:
        replaced = {"better_auth_secret": "new " + issuer.api_secret, "better_auth_secret_previous": issuer.api_secret}
        with api_for(issuer, database_url, **replaced) as api:
            assert tasks(api, signed_up, issuer.hs256_token(signed_up)).status_code == 200

    def test_no_token_is_issued_without_a_session(self, issuer: BetterAuth) -> None:
        for path in ("/api/token", "/api/auth/token"):
            assert httpx.get(issuer.url + path).status_code == 401


class TestOtherTokens:
    def test_session_token_is_rejected(self, api: Service, issuer: BetterAuth, signed_up: User) -> None:
        cookie = signed_up.client.cookies["better-auth.session_token"]
        for token in (signed_up.session_token, cookie.partition(".")[0]):
            assert_rejected(tasks(api, signed_up, token))

    def test_mail_and_cookie_tokens_are_rejected(self, api: Service, issuer: BetterAuth, signed_up: User) -> None:
        for token in (issuer.mail_verification_token(signed_up), issuer.cookie_cache_token(signed_up)):
            assert_rejected(tasks(api, signed_up, token))

    @pytest.mark.parametrize("named", [True, False], ids=["issuer and audience named", "neither named"])
    def test_mail_and_cookie_tokens_are_rejected_with_a_shared_secret(self, database_url: str, named: bool) -> None:
        secret = "one secret for two purposes, as it must not be"
        unnamed = {} if named else {"better_auth_issuer": None, "better_auth_audience": None}
        with (
            better_auth(secret=secret, api_secret=secret) as issuer,
            api_for(issuer, database_url, **unnamed) as api,
        ):
            user = issuer.sign_up()
            for token in (issuer.mail_verification_token(user), issuer.cookie_cache_token(user)):
                jws.verify(token, secret, "HS256")
                assert_rejected(tasks(api, user, token))
            assert tasks(api, user, issuer.hs256_token(user)).status_code == 200

    @pytest.mark.parametrize("named", [True, False], ids=["issuer and audience named", "neither named"])
    def test_cookie_signed_with_the_published_key_is_rejected(self, database_url: str, named: bool) -> None:
        # The cookie's subject and issuer are those of an access token.
        unnamed = {} if named else {"better_auth_issuer": None, "better_auth_audience": None}
        with (
            better_auth(cookie_cache="key") as issuer,
            api_for(issuer, database_url, **unnamed) as api,
        ):
            user = issuer.sign_up()
            cookie, token = issuer.cookie_cache_token(user), issuer.token(user)
            assert header(cookie)["kid"] == header(token)["kid"]
            assert_rejected(tasks(api, user, cookie))
            assert tasks(api, user, token).status_code == 200

    def test_token_of_another_issuer_is_rejected(self, api: Service, issuer: BetterAuth) -> None:
        with better_auth(secret=issuer.secret, api_secret=issuer.api_secret) as other:
            user = other.sign_up()
            for token in (other.token(user), other.hs256_token(user)):
                assert_rejected(tasks(api, user, token))


def test_401_of_an_unaccepted_algorithm_names_both_algorithms(
    database_url: str, issuer: BetterAuth, signed_up: User
) -> None:
    with api_for(issuer, database_url, better_auth_jwks_url=None) as api:
        rejected = tasks(api, signed_up, issuer.token(signed_up))
    assert_rejected(rejected)
    assert "EdDSA" in rejected.json()["detail"]
    assert "HS256" in rejected.json()["detail"]


class TestKeyRotation:
    CALLERS = 4
    ROTATIONS = 4

    # Generating an RSA key is slow, so Better Auth generates one for each signature in progress.
    @pytest.mark.parametrize("algorithm", ["EdDSA", "RS256"])
    def test_key_rotation_rejects_no_valid_token(self, database_url: str, algorithm: str) -> None:
        with better_auth(algorithm) as issuer, api_for(issuer, database_url) as api:
            users = [issuer.sign_up() for _ in range(self.CALLERS)]
            used: list[set[str]] = [set() for _ in users]
            rejected: list[str] = []
            over = threading.Event()

            def keep_calling(user: User, used: set[str]) -> None:
                client = api.client()
                while not over.is_set():
                    token = issuer.token(user)
                    answer = client.get(f"/api/{user.id}/tasks", headers={"Authorization": f"Bearer {token}"})
                    if answer.status_code != 200:
                        rejected.append(answer.text)
                    used.add(header(token)["kid"])

            # The idle user sends no requests during the rotations, so the service has not cached its tokens.
            idle = issuer.sign_up()
            kept = [issuer.token(idle)]
            with ThreadPoolExecutor(self.CALLERS) as callers:
                calls = [callers.submit(keep_calling, *each) for each in zip(users, used, strict=True)]
                try:
                    for _ in range(self.ROTATIONS):
                        known = set().union(*used)
                        issuer.rotate()
                        deadline = time.monotonic() + 30
                        while not all(kids - known for kids in used):
                            assert not rejected, rejected[0]
                            assert not any(call.done() for call in calls), calls
                            assert time.monotonic() < deadline, "the new key is not used"
                            time.sleep(0.01)
                        kept.append(issuer.token(idle))
                finally:
                    over.set()

            assert not rejected, rejected[0]
            assert len({header(token)["kid"] for token in kept}) == self.ROTATIONS + 1
            for token in kept:
                assert tasks(api, idle, token).status_code == 200

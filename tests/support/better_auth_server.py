"""A real Better Auth server, which signs the tokens of a frontend. Users sign up over HTTP, as in a browser."""

import json
import select
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx

from support import ROOT
from support.node import NODE, require_packages
from support.service import Service, running, settings_for
from todo_api.app import create_app

SERVER = ROOT / "tests/better_auth/server.mjs"
DEADLINE = 30.0
"""Timeout in seconds for the start, and for each response."""

OWN_SECRET = "Better Auth's own secret, unknown to the API"
API_SECRET = "a secret that the frontend shares with the API"


@dataclass(frozen=True)
class User:
    """A user who has signed up. `client` has the cookies that their browser would have."""

    id: str
    email: str
    session_token: str
    client: httpx.Client


@dataclass
class BetterAuth:
    url: str
    """Issuer and audience of its tokens."""
    secret: str
    """BETTER_AUTH_SECRET of Better Auth."""
    api_secret: str
    """The key of HS256 tokens for the API."""
    _clients: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        self._anonymous = self._client()

    @property
    def jwks_url(self) -> str:
        return f"{self.url}/api/auth/jwks"

    def sign_up(self) -> User:
        client = self._client()
        email = f"{uuid.uuid4().hex}@example.com"
        account = {"name": "Ada", "email": email, "password": "correct horse battery"}
        signed_up = client.post("/api/auth/sign-up/email", json=account).raise_for_status().json()
        return User(signed_up["user"]["id"], email, signed_up["token"], client)

    def token(self, user: User) -> str:
        """Return a token of the jwt() plugin."""
        return str(user.client.get("/api/auth/token").raise_for_status().json()["token"])

    def hs256_token(self, user: User) -> str:
        """Return a token of the frontend's route /api/token."""
        return str(user.client.get("/api/token").raise_for_status().json()["token"])

    def cookie_cache_token(self, user: User) -> str:
        return user.client.cookies["better-auth.session_data"]

    def mail_verification_token(self, user: User) -> str:
        user.client.post("/api/auth/send-verification-email", json={"email": user.email}).raise_for_status()
        return user.client.get("/test/mail", params={"to": user.email}).raise_for_status().text

    def rotate(self) -> None:
        """Expire the keys: the next token is signed with a new key, and the old keys remain published."""
        self._anonymous.post("/test/rotate").raise_for_status()

    def key_ids(self) -> list[str]:
        return [key["kid"] for key in self._anonymous.get(self.jwks_url).raise_for_status().json()["keys"]]

    def close(self) -> None:
        self._clients.close()

    def _client(self) -> httpx.Client:
        # Better Auth accepts cookies only with the Origin header of a browser.
        client = httpx.Client(base_url=self.url, headers={"Origin": self.url}, timeout=DEADLINE)
        return self._clients.enter_context(client)


@contextmanager
def better_auth(
    algorithm: str = "EdDSA",
    *,
    secret: str = OWN_SECRET,
    api_secret: str = API_SECRET,
    cookie_cache: Literal["secret", "key"] = "secret",
    production: bool = False,
) -> Iterator[BetterAuth]:
    """Start Better Auth. Its secret or its published key signs the cookie cache, depending on `cookie_cache`.

    In production, Better Auth has rate limits: 100 requests per path and address in 10 s, and 3 sign-ups.
    """
    require_packages()
    environment = {
        "BETTER_AUTH_SECRET": secret,
        "TODO_API_SECRET": api_secret,
        "ALGORITHM": algorithm,
        "COOKIE_CACHE": cookie_cache,
        "NODE_ENV": "production" if production else "development",
    }
    # The server ends with its standard input, so that it does not outlive a killed test run.
    with subprocess.Popen(
        [NODE, SERVER], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            ready, _, _ = select.select([process.stdout], [], [], DEADLINE)
            line = process.stdout.readline() if ready else ""
            assert line, "Better Auth did not start"
            issuer = BetterAuth(json.loads(line)["url"], secret, api_secret)
            try:
                yield issuer
            finally:
                issuer.close()
        finally:
            process.terminate()
            try:
                process.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def api_for(issuer: BetterAuth, database_url: str, **overrides: Any) -> Iterator[Service]:
    """Run a service that accepts the tokens of the issuer, by its published keys and by the shared secret."""
    settings = {
        "better_auth_secret": issuer.api_secret,
        "better_auth_jwks_url": issuer.jwks_url,
        "better_auth_issuer": issuer.url,
        "better_auth_audience": issuer.url,
        **overrides,
    }
    with running(create_app(settings_for(database_url, **settings))) as service:
        yield service

"""The real Better Auth, which signs the frontend's tokens: users sign up at it over HTTP, as they do in a browser."""

import json
import select
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import httpx

from support import ROOT
from support.node import NODE, require_packages
from support.service import Service, running, settings_for
from todo_api.app import create_app

SERVER = ROOT / "tests/better_auth/server.mjs"
DEADLINE = 30.0
"""Seconds for the start, and for each answer."""

OWN_SECRET = "Better Auth's own secret, unknown to the API"
API_SECRET = "a secret that the frontend shares with the API"


@dataclass(frozen=True)
class User:
    """Someone who has signed up. The client has the cookies, as their browser does."""

    id: str
    email: str
    session_token: str
    client: httpx.Client


@dataclass
class BetterAuth:
    url: str
    """The issuer and the audience of its tokens."""
    secret: str
    """What Better Auth calls BETTER_AUTH_SECRET."""
    api_secret: str
    """What HS256 tokens for the API are signed with."""
    _clients: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        self._anyone = self._client()

    @property
    def jwks_url(self) -> str:
        return f"{self.url}/api/auth/jwks"

    def sign_up(self) -> User:
        client = self._client()
        email = f"{uuid.uuid4().hex}@example.com"
        person = {"name": "Ada", "email": email, "password": "correct horse battery"}
        signed_up = client.post("/api/auth/sign-up/email", json=person).raise_for_status().json()
        return User(signed_up["user"]["id"], email, signed_up["token"], client)

    def token(self, user: User) -> str:
        """As the jwt() plugin makes it."""
        return str(user.client.get("/api/auth/token").raise_for_status().json()["token"])

    def hs256_token(self, user: User) -> str:
        """As the frontend's own route makes it."""
        return str(user.client.get("/api/token").raise_for_status().json()["token"])

    def cookie_cache_token(self, user: User) -> str:
        return user.client.cookies["better-auth.session_data"]

    def mail_verification_token(self, user: User) -> str:
        user.client.post("/api/auth/send-verification-email", json={"email": user.email}).raise_for_status()
        return user.client.get("/test/mail", params={"to": user.email}).raise_for_status().text

    def server_component_status(self, user: User, api_url: str) -> int:
        """What the frontend's server is answered by the API at the URL when the user opens a page that lists tasks."""
        where = {"api": api_url, "user": user.id}
        return int(user.client.get("/test/server-component", params=where).raise_for_status().json()["status"])

    def rotate(self) -> None:
        """Lets the keys expire: the next token is signed with a new one, and the old ones stay published."""
        self._anyone.post("/test/rotate").raise_for_status()

    def key_ids(self) -> list[str]:
        return [key["kid"] for key in self._anyone.get(self.jwks_url).raise_for_status().json()["keys"]]

    def close(self) -> None:
        self._clients.close()

    def _client(self) -> httpx.Client:
        # Better Auth takes cookies only with the origin that a browser would send.
        client = httpx.Client(base_url=self.url, headers={"Origin": self.url}, timeout=DEADLINE)
        return self._clients.enter_context(client)


@contextmanager
def better_auth(
    algorithm: str = "EdDSA",
    *,
    secret: str = OWN_SECRET,
    api_secret: str = API_SECRET,
    cookie_cache: Literal["secret", "key"] = "secret",
    expiration_time: str = "15m",
    production: bool = False,
) -> Iterator[BetterAuth]:
    """`cookie_cache` says what signs the cookie cache: Better Auth's secret, or the published key.

    In production Better Auth limits requests: 100 of each path in 10 s, 3 of them to sign up.
    """
    require_packages()
    environment = {
        "BETTER_AUTH_SECRET": secret,
        "TODO_API_SECRET": api_secret,
        "ALGORITHM": algorithm,
        "COOKIE_CACHE": cookie_cache,
        "EXPIRATION_TIME": expiration_time,
        "NODE_ENV": "production" if production else "development",
    }
    # It ends with its standard input, so that none is left over when the tests are killed.
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

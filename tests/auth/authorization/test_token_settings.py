"""Which tokens are accepted depends on the settings: secret, issuer, audience, algorithms."""

import time
from collections.abc import Iterator

import httpx
import pytest

from support.issuer import Issuer, SigningKey
from support.service import SECRET, Service, running, settings_for
from support.tokens import BAD_TOKEN, GOOD, OTHER_SECRET, make_token
from todo_api.app import create_app


def call(service: Service, token: str) -> httpx.Response:
    return service.client().get("/api/SUBJECT/tasks", headers={"Authorization": f"Bearer {token}"})


@pytest.fixture(scope="module")
def without_secret(database_url: str, issuer: Issuer, published: SigningKey) -> Iterator[Service]:
    settings = settings_for(database_url, better_auth_secret=None, better_auth_jwks_url=issuer.jwks_url)
    with running(create_app(settings)) as service:
        yield service


class TestUnacceptedAlgorithm:
    """An unaccepted algorithm is the most frequent integration error, so the 401 names it and the accepted ones."""

    def assert_explains(self, rejected: httpx.Response, received: str, accepted: str) -> None:
        assert (rejected.status_code, rejected.headers["WWW-Authenticate"], rejected.json()["type"]) == BAD_TOKEN
        assert rejected.json()["detail"].startswith(
            f"The token's algorithm is {received}, and this service accepts {accepted}. "
        )

    def test_unaccepted_algorithm_is_explained_with_published_keys_only(self, without_secret: Service) -> None:
        self.assert_explains(call(without_secret, make_token(GOOD)), "HS256", "EdDSA, ES256, RS256")

    def test_unaccepted_algorithm_is_explained_with_a_secret_only(
        self, service: Service, published: SigningKey
    ) -> None:
        self.assert_explains(call(service, published.token("SUBJECT")), "EdDSA", "HS256")

    def test_unaccepted_algorithm_is_explained_with_both(self, strict: Service) -> None:
        token = make_token(GOOD, {"alg": "PS256"})
        self.assert_explains(call(strict, token), "PS256", "HS256, EdDSA, ES256, RS256")

    @pytest.mark.parametrize(
        "algorithm",
        ["<b>HS256</b>", "HS256\n", "HS256 ", "A" * 17, "", "Ä", ["HS256"], {"HS256": 1}, 256, True, None],
        ids=["HTML", "LF", "space", "17 letters", "empty", "not ASCII", "list", "object", "number", "true", "null"],
    )
    def test_invalid_algorithm_is_not_quoted(self, service: Service, algorithm: object) -> None:
        rejected = call(service, make_token(GOOD, {"alg": algorithm}))
        self.assert_explains(rejected, "unknown", "HS256")

    def test_401_of_another_fault_names_no_algorithm(self, service: Service) -> None:
        rejected = [call(service, token).json()["detail"] for token in (make_token({"sub": "SUBJECT"}), "x.y.z")]
        assert rejected == ["The token is expired, malformed, or not signed with an accepted key. Get a new one."] * 2


@pytest.fixture(scope="module")
def rotating(database_url: str) -> Iterator[Service]:
    settings = settings_for(
        database_url,
        better_auth_secret_previous=OTHER_SECRET,
        token_max_bytes=400,
        token_max_lifetime=1000,
        token_leeway=100,
    )
    with running(create_app(settings)) as service:
        yield service


class TestSettings:
    def test_previous_secret_is_accepted_until_it_is_removed(self, rotating: Service, service: Service) -> None:
        claims = {"sub": "SUBJECT", "exp": int(time.time()) + 60}
        tokens = [make_token(claims, secret=secret) for secret in (SECRET, OTHER_SECRET, "a third secret" * 3)]
        assert [call(rotating, token).status_code for token in tokens] == [200, 200, 401]
        assert [call(service, token).status_code for token in tokens] == [200, 401, 401]

    @pytest.mark.parametrize(("size", "status"), [(400, 200), (401, 401)], ids=["400 bytes", "401 bytes"])
    def test_token_size_is_limited(self, rotating: Service, size: int, status: int) -> None:
        claims: dict[str, object] = {"sub": "SUBJECT", "exp": int(time.time()) + 60}
        # base64 encodes 3 bytes as 4 characters, so claims alone cannot reach every size: the header varies, too.
        header = {"alg": "HS256", "x": ""}
        tokens = (
            make_token({**claims, "x": "x" * more}, {**header, "x": "x" * less})
            for more in range(200)
            for less in range(3)
        )
        token = next(token for token in tokens if len(token) == size)
        assert call(rotating, token).status_code == status

    @pytest.mark.parametrize(
        ("claims", "status"),
        [
            ({"iat": 0, "exp": 1000}, 200),
            ({"iat": -1, "exp": 1000}, 401),
            ({"exp": 999}, 200),
            ({"exp": 1060}, 401),
            ({"iat": -100_000, "exp": 60}, 401),
        ],
        ids=["1000 s", "1001 s", "999 s without iat", "1060 s without iat", "100060 s, issued long ago"],
    )
    def test_token_lifetime_is_limited(self, rotating: Service, claims: dict[str, int], status: int) -> None:
        assert call(rotating, self.token_at(claims)).status_code == status

    @pytest.mark.parametrize(
        ("claims", "status"),
        [
            ({"iat": 100, "exp": 200}, 200),
            ({"iat": 160, "exp": 200}, 401),
            ({"nbf": 100, "exp": 200}, 200),
            ({"nbf": 160, "exp": 200}, 401),
            # Clock skew does not extend the lifetime.
            ({"exp": 0}, 401),
            ({"exp": -1}, 401),
        ],
        ids=["iat +100", "iat +160", "nbf +100", "nbf +160", "exp +0", "exp -1"],
    )
    def test_clock_skew_is_limited(self, rotating: Service, claims: dict[str, int], status: int) -> None:
        assert call(rotating, self.token_at(claims)).status_code == status

    def token_at(self, claims: dict[str, int]) -> str:
        """Return a token. The times of its claims are in seconds from now."""
        now = int(time.time())
        return make_token({"sub": "SUBJECT", **{name: now + seconds for name, seconds in claims.items()}})

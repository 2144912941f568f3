"""Tokens signed with published keys, over HTTP: algorithms, rotation, invented key ids and outages of the issuer."""

import base64
import hmac
import json
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import BaseHTTPRequestHandler

import httpx
import pytest

from support.clock import Clock
from support.issuer import Issuer, SigningKey, compact, make_key, reply
from support.issuer import issuer as running_issuer
from support.jwks import ALGORITHMS, BAD_KEYS, DEADLINE, FAILURES, Serve, jwk
from support.service import SECRET, Service
from todo_api.auth.jwks import FRESHNESS_LIFETIME, REFETCH_INTERVAL, RETRY_INTERVAL, STALE_IF_ERROR
from todo_api.auth.keys import published_key


def fresh(key: SigningKey, user: str) -> str:
    """A new token, which the service cannot have cached."""
    return key.token(user, jti=uuid.uuid4().hex)


def call(client: httpx.Client, user: str, token: str) -> httpx.Response:
    return client.get(f"/api/{user}/tasks", headers={"Authorization": f"Bearer {token}"})


def status(service: Service, user: str, key: SigningKey) -> int:
    return call(service.client(), user, fresh(key, user)).status_code


def assert_rejected(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.json().get("type")) == (401, "/problems/invalid-token")
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


def assert_unavailable(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.json().get("type")) == (503, "/problems/issuer-unavailable")
    assert int(answer.headers["Retry-After"]) >= 1


def decode(value: str) -> bytes:
    """Decodes a member of a key; a member that is no base64url is returned unchanged."""
    try:
        return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
    except ValueError:
        return value.encode()


class TestToken:
    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    def test_valid_token_is_accepted(self, serve: Serve, issuer: Issuer, user: str, algorithm: str) -> None:
        key = issuer.new_key(algorithm)
        with serve(better_auth_issuer=issuer.url, better_auth_audience=issuer.url) as service:
            assert status(service, user, key) == 200
        assert issuer.fetches == 1

    def test_token_of_an_unpublished_key_is_rejected(self, serve: Serve, issuer: Issuer, user: str) -> None:
        key = issuer.new_key()
        unpublished = make_key("EdDSA", issuer.url)
        with serve() as service:
            client = service.client()
            assert_rejected(call(client, user, unpublished.token(user)))
            assert_rejected(call(client, user, unpublished.token(user, {"kid": key.kid})))
            assert_rejected(call(client, user, key.token(user, {"kid": None})))

    def test_token_with_an_embedded_key_is_rejected(self, serve: Serve, issuer: Issuer, user: str) -> None:
        issuer.new_key()
        with running_issuer() as other, serve() as service:
            key = other.new_key()
            client = service.client()
            for header in ({"jku": other.jwks_url}, {"x5u": other.jwks_url}, {"jwk": key.jwk}):
                assert_rejected(call(client, user, key.token(user, header)))
            assert other.fetches == 0

    @pytest.mark.parametrize("own", ALGORITHMS)
    def test_token_with_the_algorithm_of_another_key_is_rejected(
        self, serve: Serve, issuer: Issuer, user: str, own: str
    ) -> None:
        key = issuer.new_key(own)
        with serve() as service:
            for algorithm in {*ALGORITHMS, "ES512", "HS256", "none"} - {own}:
                assert_rejected(call(service.client(), user, key.token(user, {"alg": algorithm})))

    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    @pytest.mark.parametrize("secret", [None, SECRET], ids=["without secret", "with secret"])
    def test_hs256_signed_with_a_public_key_is_rejected(
        self, serve: Serve, issuer: Issuer, user: str, algorithm: str, secret: str | None
    ) -> None:
        key = issuer.new_key(algorithm)
        known = [json.dumps(key.jwk).encode(), json.dumps(issuer.keys).encode(), issuer.document()]
        known += [form(value) for value in key.jwk.values() for form in (str.encode, decode)]
        claims = {"sub": user, "exp": 4_000_000_000}
        with serve(better_auth_secret=secret) as service:
            client = service.client()
            for public in known:
                for header in ({"alg": "HS256"}, {"alg": "HS256", "kid": key.kid}):
                    token = compact(header, claims, lambda text: hmac.digest(public, text, "sha256"))  # noqa: B023
                    assert_rejected(call(client, user, token))

    def test_tokens_of_both_sources_are_accepted_if_both_are_configured(
        self, serve: Serve, issuer: Issuer, user: str
    ) -> None:
        key = issuer.new_key()
        with serve(better_auth_secret=SECRET) as service:
            assert status(service, user, key) == 200
            assert service.client(user).get(f"/api/{user}/tasks").status_code == 200

    def test_hs256_token_is_accepted_while_the_issuer_is_down(self, serve: Serve, issuer: Issuer, user: str) -> None:
        issuer.answer = reply(b"", 500)
        with serve(better_auth_secret=SECRET) as service:
            assert service.client(user).get(f"/api/{user}/tasks").status_code == 200

    def test_rejection_of_an_unaccepted_algorithm_lists_the_accepted_ones(
        self, serve: Serve, issuer: Issuer, user: str
    ) -> None:
        """The key of the token is published, so only its algorithm is unaccepted."""
        eddsa, es512 = issuer.new_key(), issuer.new_key("ES512")
        with serve() as service:
            rejected = call(service.client(), user, es512.token(user))
            assert_rejected(rejected)
            assert all(name in rejected.json()["detail"] for name in ("ES512", *ALGORITHMS))
        with serve(better_auth_algorithms=("ES512",)) as service:
            assert status(service, user, es512) == 200
            assert_rejected(call(service.client(), user, eddsa.token(user)))


class TestEd25519:
    """Ed25519 is the name of RFC 9864 for EdDSA with that curve. Tokens and keys may have either name."""

    @pytest.mark.parametrize("in_header", ["EdDSA", "Ed25519"], ids=str)
    @pytest.mark.parametrize("in_key", ["EdDSA", "Ed25519", None], ids=str)
    @pytest.mark.parametrize("configured", ["EdDSA", "Ed25519"], ids=str)
    def test_ed25519_is_accepted_as_eddsa(
        self, serve: Serve, issuer: Issuer, user: str, in_header: str, in_key: str | None, configured: str
    ) -> None:
        key = make_key("EdDSA", issuer.url)
        issuer.keys = [jwk(**{**key.jwk, "alg": in_key})]
        with serve(better_auth_algorithms=(configured,)) as service:
            answer = call(service.client(), user, key.token(user, {"alg": in_header}))
            assert answer.status_code == 200

    @pytest.mark.parametrize("algorithm", ["ES256", "RS256", "HS256"], ids=str)
    def test_ed25519_header_with_another_key_is_rejected(
        self, serve: Serve, issuer: Issuer, user: str, algorithm: str
    ) -> None:
        key = issuer.new_key("ES256" if algorithm == "HS256" else algorithm)
        with serve(better_auth_secret=SECRET) as service:
            assert_rejected(call(service.client(), user, key.token(user, {"alg": "Ed25519"})))
            symmetric = compact(
                {"alg": "Ed25519", "kid": key.kid},
                {"sub": user, "exp": 4_000_000_000},
                lambda text: hmac.digest(SECRET.encode(), text, "sha256"),
            )
            assert_rejected(call(service.client(), user, symmetric))

    @pytest.mark.parametrize(
        "bad",
        [jwk("ES256", alg="Ed25519"), jwk("RS256", alg="Ed25519"), jwk(alg="Ed25519", crv="Ed448"), jwk(alg="ed25519")],
        ids=["EC", "RSA", "Ed448", "lower case"],
    )
    def test_ed25519_token_of_another_key_is_rejected(self, bad: object) -> None:
        with pytest.raises(ValueError, match=r"^(does not fit its algorithm|of another algorithm)$"):
            published_key(bad, ALGORITHMS)

    def test_ed25519_is_rejected_if_eddsa_is_not_accepted(self, serve: Serve, issuer: Issuer, user: str) -> None:
        key = issuer.new_key()
        with serve(better_auth_algorithms=("ES256",)) as service:
            for name in ("EdDSA", "Ed25519"):
                assert_rejected(call(service.client(), user, key.token(user, {"alg": name})))


class TestInventedKids:
    def test_invented_kids_cause_two_fetches_at_most(self, serve: Serve, issuer: Issuer, user: str) -> None:
        key = issuer.new_key()
        with serve() as service, ThreadPoolExecutor(4) as pool:
            headers = [{"Authorization": f"Bearer {key.token(user, {'kid': uuid.uuid4().hex})}"} for _ in range(500)]
            with httpx.Client(base_url=service.url) as client:
                answers = list(pool.map(lambda each: client.get(f"/api/{user}/tasks", headers=each), headers))
            assert {answer.status_code for answer in answers} == {401}
            assert issuer.fetches <= 2
            assert status(service, user, key) == 200


class TestRotation:
    def test_rotation_under_traffic_rejects_no_valid_token(
        self, serve: Serve, issuer: Issuer, clock: Clock, user: str
    ) -> None:
        """The key is rotated when every client has used the current one and REFETCH_INTERVAL has passed."""
        callers = 4
        current = issuer.new_key()
        used = [current] * callers
        rejected: list[int] = []
        ended, progress = threading.Event(), threading.Condition()

        def in_use(key: SigningKey) -> bool:
            return bool(rejected) or all(each is key for each in used)

        def traffic(caller: int, client: httpx.Client) -> None:
            while not ended.is_set():
                key = current
                answer = call(client, user, fresh(key, user))
                with progress:
                    used[caller] = key
                    rejected.extend([answer.status_code] * (answer.status_code != 200))
                    progress.notify_all()

        with serve() as service, ThreadPoolExecutor(callers) as pool:
            calls = [pool.submit(traffic, caller, service.client()) for caller in range(callers)]
            try:
                for algorithm in (*ALGORITHMS, *ALGORITHMS):
                    clock.now += REFETCH_INTERVAL
                    old, current = current, issuer.new_key(algorithm)
                    with progress:
                        assert progress.wait_for(partial(in_use, current), DEADLINE)
                    issuer.retire(old)
            finally:
                ended.set()
            for each in calls:
                each.result()
        assert rejected == []
        assert issuer.fetches == 7, "one at the start, and one for each new key"

    def test_tokens_of_a_retired_key_are_rejected(self, serve: Serve, issuer: Issuer, clock: Clock, user: str) -> None:
        old = issuer.new_key()
        with serve() as service:
            assert status(service, user, old) == 200
            new = issuer.new_key()
            issuer.retire(old)
            assert status(service, user, new) == 200
            assert status(service, user, old) == 401


class TestIssuer:
    def test_service_starts_while_the_issuer_is_down(
        self, serve: Serve, issuer: Issuer, clock: Clock, user: str
    ) -> None:
        key = issuer.new_key()
        issuer.stop()
        with serve() as service:
            assert service.client().get("/health").status_code == 200
            assert_unavailable(call(service.client(), user, key.token(user)))
            issuer.start()
            clock.now += RETRY_INTERVAL
            assert status(service, user, key) == 200

    def test_service_starts_while_the_issuer_does_not_respond(
        self, serve: Serve, issuer: Issuer, clock: Clock, user: str
    ) -> None:
        key = issuer.new_key()
        ended = threading.Event()

        def hang(request: BaseHTTPRequestHandler) -> None:
            ended.wait(DEADLINE)

        issuer.answer = hang
        with serve() as service:
            ended.set()
            assert_unavailable(call(service.client(), user, key.token(user)))
            issuer.answer = None
            clock.now += RETRY_INTERVAL
            assert status(service, user, key) == 200

    def test_known_keys_are_used_while_the_issuer_is_down(
        self, serve: Serve, issuer: Issuer, clock: Clock, user: str
    ) -> None:
        key = issuer.new_key()
        with serve() as service:
            issuer.stop()
            assert status(service, user, key) == 200
            unpublished = make_key("EdDSA", issuer.url)
            assert_unavailable(call(service.client(), user, unpublished.token(user)))
            clock.now += FRESHNESS_LIFETIME + 1
            assert status(service, user, key) == 200
            clock.now = STALE_IF_ERROR + 1
            assert_unavailable(call(service.client(), user, fresh(key, user)))
            issuer.start()
            clock.now += RETRY_INTERVAL
            assert status(service, user, key) == 200
            assert_rejected(call(service.client(), user, unpublished.token(user)))

    def test_invalid_key_set_is_503(self, serve: Serve, issuer: Issuer, user: str) -> None:
        key = issuer.new_key()
        issuer.answer = FAILURES["HTML"]
        with serve() as service:
            assert_unavailable(call(service.client(), user, key.token(user)))

    def test_token_is_401_if_the_issuer_has_no_keys(
        self, serve: Serve, issuer: Issuer, clock: Clock, user: str
    ) -> None:
        with serve() as service:
            assert_rejected(call(service.client(), user, make_key("EdDSA", issuer.url).token(user)))
            clock.now += REFETCH_INTERVAL
            assert status(service, user, issuer.new_key()) == 200

    def test_valid_keys_of_a_mixed_set_are_used(self, serve: Serve, issuer: Issuer, user: str) -> None:
        good = [issuer.new_key(algorithm) for algorithm in ALGORITHMS]
        first, *others = issuer.keys
        issuer.keys = [first, *BAD_KEYS.values(), *others]
        with serve() as service:
            assert [status(service, user, key) for key in good] == [200, 200, 200]
            symmetric = compact(
                {"alg": "HS256", "kid": "this"},
                {"sub": user, "exp": 4_000_000_000},
                lambda text: hmac.digest(b"k" * 32, text, "sha256"),
            )
            assert_rejected(call(service.client(), user, symmetric))
            assert_rejected(call(service.client(), user, good[0].token(user, {"kid": "this"})))

    def test_simultaneous_first_requests_share_one_fetch(
        self, serve: Serve, issuer: Issuer, clock: Clock, user: str
    ) -> None:
        key = issuer.new_key()
        issuer.answer = reply(b"", 500)
        with serve() as service, ThreadPoolExecutor(20) as pool:
            issuer.answer = None
            clock.now += RETRY_INTERVAL
            assert set(pool.map(lambda _: status(service, user, key), range(20))) == {200}
        assert issuer.fetches == 2

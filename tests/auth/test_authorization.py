"""Who may do what, for every secured operation: the cases come from the contract, so that a new operation is covered
without a line of test."""

import base64
import hmac
import json
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from fastapi_contract.contract import Operation
from support.issuer import Issuer, SigningKey, make_key
from support.issuer import issuer as running_issuer
from support.operations import (
    CONTRACT,
    FORMS,
    ON_A_TASK,
    SECURED,
    Form,
    in_each_form,
    in_each_form_on_a_task,
    on_a_task,
    send,
)
from support.service import SECRET, Service, running, settings_for
from support.tokens import BAD_TOKENS, GOOD, OTHER_SECRET, make_token
from todo_api.app import create_app


def test_everything_is_secured_but_what_is_for_everybody() -> None:
    public = {"getServiceInfo", "getHealth", "getReadiness"}
    assert {operation.id for operation in SECURED} == CONTRACT.operations.keys() - public
    assert {operation.id for operation in ON_A_TASK} >= {"getTask", "updateTask", "deleteTask", "toggleTaskCompletion"}


def test_an_operation_with_an_optional_body_has_two_forms() -> None:
    assert [form.media_type for form in FORMS if form.operation.id == "toggleTaskCompletion"] == [
        "application/json",
        None,
    ]
    assert [form.media_type for form in FORMS if form.operation.id == "createTask"] == ["application/json"]
    assert [form.media_type for form in FORMS if form.operation.id == "deleteTask"] == [None]


# --- the matrix: form of an operation x case x kind of token


class Refusal(NamedTuple):
    status: int
    challenge: str | None
    type: str


def _malformed(fault: str) -> Refusal:
    challenge = f'Bearer realm="todo-api", error="invalid_request", error_description="{fault}"'
    return Refusal(400, challenge, "/problems/invalid-request")


NO_TOKEN = Refusal(401, 'Bearer realm="todo-api"', "/problems/authentication-required")
BAD_TOKEN = Refusal(
    401,
    'Bearer realm="todo-api", error="invalid_token", '
    'error_description="The token is expired, malformed, or signed by somebody else. Get a new one."',
    "/problems/invalid-token",
)
TWO_HEADERS = _malformed("There is more than one Authorization header.")
TWO_TOKENS = _malformed("The Authorization header has more than one token.")
NOT_ASCII = _malformed("The Authorization header is not ASCII.")
NOT_YOURS = Refusal(403, None, "/problems/forbidden")
NO_SUCH_TASK = Refusal(404, None, "/problems/task-not-found")


@dataclass(frozen=True)
class Tokens:
    """What the header of a case is made of. The URL is always that of `user`, and the task in it `stranger`'s."""

    user: str
    stranger: str
    key: SigningKey
    """One that the service trusts."""
    impostor: SigningKey
    """It says that it is `key`."""
    published: dict[str, str]
    """A JWK that everybody knows."""

    @property
    def now(self) -> int:
        return int(time.time())

    def good(self, header: dict[str, object] | None = None, **claims: Any) -> str:
        """`user`'s, but for what is given. What is None is left out."""
        return self.key.token(**{"sub": self.user, "header": header, **claims})

    def confused(self, secret: bytes) -> str:
        """HS256 with what everybody knows as the secret."""
        return replace(self.key, jwk=self.published, sign=_hs256(secret)).token(self.user, {"alg": "HS256"})

    def public_key(self, encoding: Encoding, form: PublicFormat) -> bytes:
        x = base64.urlsafe_b64decode(self.published["x"] + "=")
        return Ed25519PublicKey.from_public_bytes(x).public_bytes(encoding, form)


def _hs256(secret: bytes) -> Callable[[bytes], bytes]:
    return lambda message: hmac.digest(secret, message, "sha256")


def _bearer(*tokens: str) -> list[str]:
    """A header for each."""
    return [f"Bearer {token}" for token in tokens]


def _unsigned(token: str) -> str:
    return token.rpartition(".")[0] + "."


def _changed(token: str) -> str:
    """In the first character of its signature."""
    signed, _, signature = token.rpartition(".")
    return f"{signed}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}"


SPKI, RAW = PublicFormat.SubjectPublicKeyInfo, PublicFormat.Raw

MATRIX: dict[str, tuple[Callable[[Tokens], list[Any]], Refusal]] = {
    "no token": (lambda it: [], NO_TOKEN),
    "an empty header": (lambda it: [""], NO_TOKEN),
    "a scheme alone": (lambda it: ["Bearer"], NO_TOKEN),
    "a scheme alone in small letters": (lambda it: ["bearer"], NO_TOKEN),
    "no scheme": (lambda it: [it.good()], NO_TOKEN),
    "other scheme": (lambda it: ["Basic dXNlcjpwYXNz"], NO_TOKEN),
    "other scheme, good token": (lambda it: [f"Token {it.good()}"], NO_TOKEN),
    "two headers": (lambda it: _bearer(it.good(), it.good()), TWO_HEADERS),
    "two headers, one empty": (lambda it: [*_bearer(it.good()), ""], TWO_HEADERS),
    "two headers, another scheme": (lambda it: ["Basic dXNlcjpwYXNz", *_bearer(it.good())], TWO_HEADERS),
    "two tokens": (lambda it: _bearer(f"{it.good()} {it.good()}"), TWO_TOKENS),
    "two tokens in a list": (lambda it: _bearer(f"{it.good()}, Bearer {it.good()}"), TWO_TOKENS),
    "not ASCII": (lambda it: [f"Bearer {it.good()}é".encode("latin-1")], NOT_ASCII),
    "bad signature": (lambda it: _bearer(it.impostor.token(it.user)), BAD_TOKEN),
    "changed signature": (lambda it: _bearer(_changed(it.good())), BAD_TOKEN),
    "no signature": (lambda it: _bearer(_unsigned(it.good())), BAD_TOKEN),
    "alg none": (lambda it: _bearer(_unsigned(it.good({"alg": "none"}))), BAD_TOKEN),
    "alg none, signed": (lambda it: _bearer(it.good({"alg": "none"})), BAD_TOKEN),
    "no alg": (lambda it: _bearer(it.good({"alg": None})), BAD_TOKEN),
    "HS256 with the public key, PEM": (lambda it: _bearer(it.confused(it.public_key(Encoding.PEM, SPKI))), BAD_TOKEN),
    "HS256 with the public key, DER": (lambda it: _bearer(it.confused(it.public_key(Encoding.DER, SPKI))), BAD_TOKEN),
    "HS256 with the public key, raw": (lambda it: _bearer(it.confused(it.public_key(Encoding.Raw, RAW))), BAD_TOKEN),
    "HS256 with the public key, x": (lambda it: _bearer(it.confused(it.published["x"].encode())), BAD_TOKEN),
    "HS256 with the public key, JWK": (lambda it: _bearer(it.confused(json.dumps(it.published).encode())), BAD_TOKEN),
    "HS256 with no secret": (lambda it: _bearer(it.confused(b"")), BAD_TOKEN),
    "expired": (lambda it: _bearer(it.good(iat=it.now - 600, exp=it.now - 1)), BAD_TOKEN),
    "expired now": (lambda it: _bearer(it.good(exp=it.now)), BAD_TOKEN),
    "no exp": (lambda it: _bearer(it.good(exp=None)), BAD_TOKEN),
    "not yet valid": (lambda it: _bearer(it.good(nbf=it.now + 60)), BAD_TOKEN),
    "issued in the future": (lambda it: _bearer(it.good(iat=it.now + 60)), BAD_TOKEN),
    "valid for too long": (lambda it: _bearer(it.good(exp=it.now + 86460)), BAD_TOKEN),
    "no sub": (lambda it: _bearer(it.good(sub=None)), BAD_TOKEN),
    "wrong iss": (lambda it: _bearer(it.good(iss="https://issuer.example")), BAD_TOKEN),
    "longer iss": (lambda it: _bearer(it.good(iss=it.key.issuer + "/")), BAD_TOKEN),
    "no iss": (lambda it: _bearer(it.good(iss=None)), BAD_TOKEN),
    "iss in a list": (lambda it: _bearer(it.good(iss=[it.key.issuer])), BAD_TOKEN),
    "wrong aud": (lambda it: _bearer(it.good(aud="https://api.example")), BAD_TOKEN),
    "longer aud": (lambda it: _bearer(it.good(aud=it.key.issuer + "/")), BAD_TOKEN),
    "no aud": (lambda it: _bearer(it.good(aud=None)), BAD_TOKEN),
    "aud a list of others": (lambda it: _bearer(it.good(aud=["https://api.example", None])), BAD_TOKEN),
    "aud an empty list": (lambda it: _bearer(it.good(aud=[])), BAD_TOKEN),
    "another user's URL": (lambda it: _bearer(it.good(sub=it.stranger)), NOT_YOURS),
    "another user's URL but for case": (lambda it: _bearer(it.good(sub=it.user.upper())), NOT_YOURS),
    "own URL, another user's task": (lambda it: _bearer(it.good()), NO_SUCH_TASK),
}
CASES = [
    pytest.param(form, kind, make, refusal, id=f"{form.id}-{case}-{kind}")
    for form in FORMS
    for case, (make, refusal) in MATRIX.items()
    for kind in ("HS256", "EdDSA")
    if refusal is not NO_SUCH_TASK or form.operation in ON_A_TASK
]


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with running_issuer() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def published(issuer: Issuer) -> SigningKey:
    return issuer.new_key()


@pytest.fixture(scope="module")
def strict(database_url: str, issuer: Issuer, published: SigningKey) -> Iterator[Service]:
    """Takes the tokens of a shared secret and of published keys, of one issuer and for one audience."""
    settings = settings_for(
        database_url,
        better_auth_jwks_url=issuer.jwks_url,
        better_auth_issuer=issuer.url,
        better_auth_audience=issuer.url,
    )
    with running(create_app(settings)) as service:
        yield service


@pytest.fixture(scope="module")
def anybody(strict: Service) -> httpx.Client:
    return strict.client()


@pytest.fixture(scope="module")
def keys(published: SigningKey) -> dict[str, Tokens]:
    """By the kind of the token."""
    shared = SigningKey({"alg": "HS256", "kid": "looked at by nobody"}, published.issuer, _hs256(SECRET.encode()))
    impostors = {"HS256": _hs256(OTHER_SECRET.encode()), "EdDSA": make_key("EdDSA", published.issuer).sign}
    user = f"user-{uuid.uuid4().hex}"
    return {
        kind: Tokens(user, f"{user}-other", key, replace(key, sign=impostors[kind]), published.jwk)
        for kind, key in {"HS256": shared, "EdDSA": published}.items()
    }


def create(client: httpx.Client, token: str, user: str) -> int:
    answer = client.post(f"/api/{user}/tasks", json={"title": "x"}, headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 201, answer.text
    task_id: int = answer.json()["id"]
    return task_id


@pytest.fixture(scope="module")
def foreign_task(anybody: httpx.Client, keys: dict[str, Tokens]) -> int:
    it = keys["EdDSA"]
    return create(anybody, it.good(sub=it.stranger), it.stranger)


class TestMatrix:
    @pytest.mark.parametrize(("form", "kind", "make", "refusal"), CASES)
    def test_is_refused(
        self,
        anybody: httpx.Client,
        keys: dict[str, Tokens],
        foreign_task: int,
        form: Form,
        kind: str,
        make: Callable[[Tokens], list[Any]],
        refusal: Refusal,
    ) -> None:
        user = keys[kind].user
        headers = [("Authorization", value) for value in make(keys[kind])]
        answers = [send(anybody, form, user, foreign_task, headers=headers)]
        if refusal is not NO_SUCH_TASK:
            # A stranger learns nothing of what else is wrong; the owner of the URL is told of that first.
            headers.append(("Content-Type", "text/plain"))
            broken = {"content": b"{broken", "params": {"unknown": 1}, "headers": headers}
            answers.append(send(anybody, form, user, "x", **broken))
        for answer in answers:
            told = answer.status_code, answer.headers.get("WWW-Authenticate"), answer.json()["type"]
            assert told == refusal
            assert keys[kind].stranger not in answer.text

    @in_each_form
    @pytest.mark.parametrize("kind", ["HS256", "EdDSA"])
    def test_but_the_user_is_let_in(
        self, anybody: httpx.Client, keys: dict[str, Tokens], form: Form, kind: str
    ) -> None:
        it = keys[kind]
        task_id = create(anybody, it.good(), it.user)
        answer = send(anybody, form, it.user, task_id, headers={"Authorization": f"Bearer {it.good()}"})
        assert answer.status_code == form.operation.status

    @pytest.mark.parametrize("kind", ["HS256", "EdDSA"])
    @pytest.mark.parametrize("typ", ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", None])
    def test_nor_does_typ_matter_where_it_says_what_it_is(
        self, anybody: httpx.Client, keys: dict[str, Tokens], kind: str, typ: str | None
    ) -> None:
        it = keys[kind]
        headers = {"Authorization": f"Bearer {it.good({'typ': typ})}"}
        assert anybody.get(f"/api/{it.user}/tasks", headers=headers).status_code == 200

    @pytest.mark.parametrize("kind", ["HS256", "EdDSA"])
    def test_the_audience_may_be_one_of_several(
        self, anybody: httpx.Client, keys: dict[str, Tokens], kind: str
    ) -> None:
        it = keys[kind]
        headers = {"Authorization": f"Bearer {it.good(aud=['https://api.example', it.key.issuer])}"}
        assert anybody.get(f"/api/{it.user}/tasks", headers=headers).status_code == 200


# --- what is the same, so that nobody learns from a difference


def told(answer: httpx.Response) -> dict[str, Any]:
    """A problem but for its request id."""
    return {**answer.json(), "instance": ""}


@in_each_form
def test_403_is_the_same_whether_that_user_exists(service: Service, user: str, form: Form) -> None:
    other = f"{user}-other"
    before = send(service.client(user), form, other)
    task_id = create(service.client(), service.token(other), other)
    after = send(service.client(user), form, other, task_id)
    assert (before.status_code, after.status_code) == (403, 403)
    assert told(before) == told(after)


@in_each_form_on_a_task
def test_404_is_the_same_whether_that_task_exists(service: Service, user: str, form: Form) -> None:
    other = f"{user}-other"
    created = service.client(other).post(f"/api/{other}/tasks", json={"title": "x"}).json()
    foreign = send(service.client(user), form, user, created["id"])
    missing = send(service.client(user), form, user, 2**53 - 1)
    assert (foreign.status_code, missing.status_code) == (404, 404)
    assert told(foreign) == told(missing)
    kept = service.client(other).get(f"/api/{other}/tasks/{created['id']}")
    assert kept.json() == created


@on_a_task
def test_what_is_no_task_id_is_422_to_its_owner(service: Service, user: str, operation: Operation) -> None:
    refused = send(service.client(user), operation, user, task_id="x")
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["parameter"] == "task_id"


class TestBadToken:
    """The token is checked in one place for every operation; the matrix shows that each of them goes there."""

    @pytest.mark.parametrize("token", BAD_TOKENS.values(), ids=BAD_TOKENS)
    def test_is_401(self, service: Service, token: str) -> None:
        refused = service.client().get("/api/SUBJECT/tasks", headers={"Authorization": f"Bearer {token}"})
        assert (refused.status_code, refused.headers["WWW-Authenticate"], refused.json()["type"]) == BAD_TOKEN
        assert len(token) < 3 or token not in refused.text

    @pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer "])
    def test_but_a_good_one_is_taken(self, service: Service, scheme: str) -> None:
        headers = {"Authorization": f"{scheme} {make_token(GOOD)}"}
        assert service.client().get("/api/SUBJECT/tasks", headers=headers).status_code == 200


# --- what the operator decides


def call(service: Service, token: str) -> httpx.Response:
    return service.client().get("/api/SUBJECT/tasks", headers={"Authorization": f"Bearer {token}"})


@pytest.fixture(scope="module")
def without_secret(database_url: str, issuer: Issuer, published: SigningKey) -> Iterator[Service]:
    settings = settings_for(database_url, better_auth_secret=None, better_auth_jwks_url=issuer.jwks_url)
    with running(create_app(settings)) as service:
        yield service


class TestAlgorithmThatIsNotAccepted:
    """The most frequent fault of an integration explains itself."""

    def assert_explains(self, refused: httpx.Response, came: str, accepted: str) -> None:
        assert (refused.status_code, refused.headers["WWW-Authenticate"], refused.json()["type"]) == BAD_TOKEN
        assert refused.json()["detail"].startswith(
            f"The token's algorithm is {came}, and this service accepts {accepted}. "
        )

    def test_is_told_where_only_published_keys_are(self, without_secret: Service) -> None:
        self.assert_explains(call(without_secret, make_token(GOOD)), "HS256", "EdDSA, ES256, RS256")

    def test_is_told_where_only_a_secret_is(self, service: Service, published: SigningKey) -> None:
        self.assert_explains(call(service, published.token("SUBJECT")), "EdDSA", "HS256")

    def test_is_told_where_both_are(self, strict: Service) -> None:
        token = make_token(GOOD, {"alg": "PS256"})
        self.assert_explains(call(strict, token), "PS256", "HS256, EdDSA, ES256, RS256")

    @pytest.mark.parametrize(
        "algorithm", ["<b>HS256</b>", "HS256\n", "HS256 ", "A" * 17, "", "Ä", ["HS256"], {"HS256": 1}, 256, True, None]
    )
    def test_is_not_repeated_where_it_is_no_name(self, service: Service, algorithm: object) -> None:
        refused = call(service, make_token(GOOD, {"alg": algorithm}))
        self.assert_explains(refused, "unknown", "HS256")

    def test_is_all_that_is_told(self, service: Service) -> None:
        refused = [call(service, token).json()["detail"] for token in (make_token({"sub": "SUBJECT"}), "x.y.z")]
        assert refused == ["The token is expired, malformed, or signed by somebody else. Get a new one."] * 2


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
    def test_the_previous_secret_does_until_it_is_removed(self, rotating: Service, service: Service) -> None:
        claims = {"sub": "SUBJECT", "exp": int(time.time()) + 60}
        tokens = [make_token(claims, secret=secret) for secret in (SECRET, OTHER_SECRET, "a third secret" * 3)]
        assert [call(rotating, token).status_code for token in tokens] == [200, 200, 401]
        assert [call(service, token).status_code for token in tokens] == [200, 401, 401]

    @pytest.mark.parametrize(("size", "status"), [(400, 200), (401, 401)])
    def test_a_token_may_be_so_long(self, rotating: Service, size: int, status: int) -> None:
        claims: dict[str, object] = {"sub": "SUBJECT", "exp": int(time.time()) + 60}
        # Header and signature may have any length, base64 has not: three bytes more are four characters more.
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
    )
    def test_a_token_may_live_so_long(self, rotating: Service, claims: dict[str, int], status: int) -> None:
        assert call(rotating, self.at(claims)).status_code == status

    @pytest.mark.parametrize(
        ("claims", "status"),
        [
            ({"iat": 100, "exp": 200}, 200),
            ({"iat": 160, "exp": 200}, 401),
            ({"nbf": 100, "exp": 200}, 200),
            ({"nbf": 160, "exp": 200}, 401),
            # Nobody's clock gives an expired token more time.
            ({"exp": 0}, 401),
            ({"exp": -1}, 401),
        ],
    )
    def test_clocks_may_differ_so_much(self, rotating: Service, claims: dict[str, int], status: int) -> None:
        assert call(rotating, self.at(claims)).status_code == status

    def at(self, claims: dict[str, int]) -> str:
        """With times that count from now."""
        now = int(time.time())
        return make_token({"sub": "SUBJECT", **{name: now + seconds for name, seconds in claims.items()}})

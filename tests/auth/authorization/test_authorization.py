"""Authorization of every secured operation. The operations come from the contract, so a new one needs no new test."""

import base64
import hmac
import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from fastapi_contract.contract import Operation
from support.issuer import SigningKey, make_key
from support.operations import (
    CONTRACT,
    FORMS,
    ON_A_TASK,
    SECURED,
    Form,
    in_each_form,
    in_each_form_of_tasks,
    in_each_form_on_a_task,
    on_a_task,
    send,
)
from support.service import SECRET, Service
from support.tokens import BAD_TOKEN, OTHER_SECRET, Rejection


def test_all_operations_but_the_public_ones_are_secured() -> None:
    public = {"getServiceInfo", "getHealth", "getReadiness"}
    assert {operation.id for operation in SECURED} == CONTRACT.operations.keys() - public
    assert {operation.id for operation in ON_A_TASK} >= {"getTask", "updateTask", "deleteTask", "toggleTaskCompletion"}


def test_operation_with_an_optional_body_has_two_forms() -> None:
    assert [form.media_type for form in FORMS if form.operation.id == "toggleTaskCompletion"] == [
        "application/json",
        None,
    ]
    assert [form.media_type for form in FORMS if form.operation.id == "createTask"] == ["application/json"]
    assert [form.media_type for form in FORMS if form.operation.id == "deleteTask"] == [None]


def _malformed(fault: str) -> Rejection:
    challenge = f'Bearer realm="todo-api", error="invalid_request", error_description="{fault}"'
    return Rejection(400, challenge, "/problems/invalid-request")


NO_TOKEN = Rejection(401, 'Bearer realm="todo-api"', "/problems/authentication-required")
TWO_HEADERS = _malformed("There is more than one Authorization header.")
TWO_TOKENS = _malformed("The Authorization header has more than one token.")
NOT_ASCII = _malformed("The Authorization header is not ASCII.")
NOT_YOURS = Rejection(403, None, "/problems/forbidden")
NO_SUCH_TASK = Rejection(404, None, "/problems/task-not-found")


@dataclass(frozen=True)
class Tokens:
    """Tokens for the cases. The URL is always that of `user`, and its task belongs to `other_user`."""

    user: str
    other_user: str
    key: SigningKey
    """A key that the service trusts."""
    impostor: SigningKey
    """Has the kid of `key`, and signs otherwise."""
    published: dict[str, str]
    """The public JWK of the issuer."""

    @property
    def now(self) -> int:
        return int(time.time())

    def good(self, header: dict[str, object] | None = None, **claims: Any) -> str:
        """Return a token of `user`. `header` and `claims` replace its members; None removes one."""
        return self.key.token(**{"sub": self.user, "header": header, **claims})

    def confused(self, secret: bytes) -> str:
        """Return an HS256 token whose secret is public."""
        return replace(self.key, jwk=self.published, sign=_hs256(secret)).token(self.user, {"alg": "HS256"})

    def public_key(self, encoding: Encoding, form: PublicFormat) -> bytes:
        x = base64.urlsafe_b64decode(self.published["x"] + "=")
        return Ed25519PublicKey.from_public_bytes(x).public_bytes(encoding, form)


def _hs256(secret: bytes) -> Callable[[bytes], bytes]:
    return lambda message: hmac.digest(secret, message, "sha256")


def _bearer(*tokens: str) -> list[str]:
    """Return a value of the Authorization header for each token."""
    return [f"Bearer {token}" for token in tokens]


def _unsigned(token: str) -> str:
    return token.rpartition(".")[0] + "."


def _changed(token: str) -> str:
    """Return the token with another first character of its signature."""
    signed, _, signature = token.rpartition(".")
    return f"{signed}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}"


SPKI, RAW = PublicFormat.SubjectPublicKeyInfo, PublicFormat.Raw

MATRIX: dict[str, tuple[Callable[[Tokens], list[Any]], Rejection]] = {
    "no token": (lambda it: [], NO_TOKEN),
    "an empty header": (lambda it: [""], NO_TOKEN),
    "a scheme alone": (lambda it: ["Bearer"], NO_TOKEN),
    "a scheme alone in lower case": (lambda it: ["bearer"], NO_TOKEN),
    "token without scheme": (lambda it: [it.good()], NO_TOKEN),
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
    "another user's URL": (lambda it: _bearer(it.good(sub=it.other_user)), NOT_YOURS),
    "sub in upper case": (lambda it: _bearer(it.good(sub=it.user.upper())), NOT_YOURS),
    "own URL, another user's task": (lambda it: _bearer(it.good()), NO_SUCH_TASK),
}
CASES = [
    pytest.param(form, kind, make, rejection, id=f"{form.id}-{case}-{kind}")
    for form in FORMS
    for case, (make, rejection) in MATRIX.items()
    for kind in ("HS256", "EdDSA")
    if rejection is not NO_SUCH_TASK or form.operation in ON_A_TASK
]


@pytest.fixture(scope="module")
def keys(published: SigningKey) -> dict[str, Tokens]:
    """Tokens by algorithm."""
    shared = SigningKey({"alg": "HS256", "kid": "ignored"}, published.issuer, _hs256(SECRET.encode()))
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
def foreign_task(anonymous: httpx.Client, keys: dict[str, Tokens]) -> int:
    it = keys["EdDSA"]
    return create(anonymous, it.good(sub=it.other_user), it.other_user)


class TestMatrix:
    @pytest.mark.parametrize(("form", "kind", "make", "rejection"), CASES)
    def test_unauthorized_request_is_rejected(
        self,
        anonymous: httpx.Client,
        keys: dict[str, Tokens],
        foreign_task: int,
        form: Form,
        kind: str,
        make: Callable[[Tokens], list[Any]],
        rejection: Rejection,
    ) -> None:
        user = keys[kind].user
        headers = [("Authorization", value) for value in make(keys[kind])]
        answers = [send(anonymous, form, user, foreign_task, headers=headers)]
        if rejection is not NO_SUCH_TASK:
            # Other faults are reported to the owner of the URL only.
            headers.append(("Content-Type", "text/plain"))
            broken = {"content": b"{broken", "params": {"unknown": 1}, "headers": headers}
            answers.append(send(anonymous, form, user, "x", **broken))
        for answer in answers:
            comparable = answer.status_code, answer.headers.get("WWW-Authenticate"), answer.json()["type"]
            assert comparable == rejection
            assert keys[kind].other_user not in answer.text

    @in_each_form_of_tasks
    @pytest.mark.parametrize("kind", ["HS256", "EdDSA"])
    def test_request_of_the_owner_succeeds(
        self, anonymous: httpx.Client, keys: dict[str, Tokens], form: Form, kind: str
    ) -> None:
        it = keys[kind]
        task_id = create(anonymous, it.good(), it.user)
        answer = send(anonymous, form, it.user, task_id, headers={"Authorization": f"Bearer {it.good()}"})
        assert answer.status_code == form.operation.successes[0]

    @pytest.mark.parametrize("kind", ["HS256", "EdDSA"])
    @pytest.mark.parametrize("typ", ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", None], ids=str)
    def test_typ_of_an_access_token_is_accepted(
        self, anonymous: httpx.Client, keys: dict[str, Tokens], kind: str, typ: str | None
    ) -> None:
        it = keys[kind]
        headers = {"Authorization": f"Bearer {it.good({'typ': typ})}"}
        assert anonymous.get(f"/api/{it.user}/tasks", headers=headers).status_code == 200

    @pytest.mark.parametrize("kind", ["HS256", "EdDSA"])
    def test_token_with_several_audiences_is_accepted(
        self, anonymous: httpx.Client, keys: dict[str, Tokens], kind: str
    ) -> None:
        it = keys[kind]
        headers = {"Authorization": f"Bearer {it.good(aud=['https://api.example', it.key.issuer])}"}
        assert anonymous.get(f"/api/{it.user}/tasks", headers=headers).status_code == 200


# --- responses that must not differ


def comparable(answer: httpx.Response) -> dict[str, Any]:
    """The problem without its request id."""
    return {**answer.json(), "instance": ""}


@in_each_form
def test_403_is_the_same_if_the_user_exists_or_not(service: Service, user: str, form: Form) -> None:
    other = f"{user}-other"
    before = send(service.client(user), form, other)
    task_id = create(service.client(), service.token(other), other)
    after = send(service.client(user), form, other, task_id)
    assert (before.status_code, after.status_code) == (403, 403)
    assert comparable(before) == comparable(after)


@in_each_form_on_a_task
def test_404_is_the_same_if_the_task_exists_or_not(service: Service, user: str, form: Form) -> None:
    other = f"{user}-other"
    created = service.client(other).post(f"/api/{other}/tasks", json={"title": "x"}).json()
    foreign = send(service.client(user), form, user, created["id"])
    missing = send(service.client(user), form, user, 2**53 - 1)
    assert (foreign.status_code, missing.status_code) == (404, 404)
    assert comparable(foreign) == comparable(missing)
    kept = service.client(other).get(f"/api/{other}/tasks/{created['id']}")
    assert kept.json() == created


@on_a_task
def test_invalid_task_id_is_422_for_the_owner(service: Service, user: str, operation: Operation) -> None:
    rejected = send(service.client(user), operation, user, task_id="x")
    assert rejected.status_code == 422
    assert rejected.json()["errors"][0]["parameter"] == "task_id"

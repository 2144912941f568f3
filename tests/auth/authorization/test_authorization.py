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
from jsonschema_rs import Draft202012Validator

from fastapi_contract.contract import Operation
from support.issuer import SigningKey, make_key
from support.operations import (
    CONTRACT,
    CREATED_BY,
    FORMS,
    ON_A_THING,
    OWNED,
    SECURED,
    Form,
    create_things,
    in_each_form,
    in_each_form_on_a_thing,
    in_each_owned_form,
    resolve,
    send,
    things_of,
    without_creator,
)
from support.schema_values import right
from support.service import SECRET, Service
from support.tokens import BAD_TOKEN, OTHER_SECRET, Rejection


def test_all_operations_but_the_public_ones_are_secured() -> None:
    public = {"getServiceInfo", "getHealth", "getReadiness"}
    assert {operation.id for operation in SECURED} == CONTRACT.operations.keys() - public
    assert {operation.id for operation in ON_A_THING} >= {"getTask", "updateTask", "deleteTask", "toggleTaskCompletion"}


def test_operation_with_an_optional_body_has_two_forms() -> None:
    media_types = {(form.operation.id, form.media_type) for form in FORMS}
    assert {("toggleTaskCompletion", None), ("toggleTaskCompletion", "application/json")} <= media_types
    assert {("createTask", None), ("deleteTask", "application/json")}.isdisjoint(media_types)


def test_path_parameter_whose_thing_the_tests_cannot_create_is_named() -> None:
    (operation,) = [each for each in ON_A_THING if each.id == "getTask"]
    parameter = {"name": "note_id", "in": "path", "required": True, "schema": {"type": "integer"}}
    (line,) = without_creator([replace(operation, parameters=(*operation.parameters, parameter))])
    assert line == (
        "The tests have no note_id to call operations with: "
        "add the operation that creates one to CREATED_BY in tests/support/operations.py."
    )


def _malformed(fault: str) -> Rejection:
    challenge = f'Bearer realm="todo-api", error="invalid_request", error_description="{fault}"'
    return Rejection(400, challenge, "/problems/invalid-request")


NO_TOKEN = Rejection(401, 'Bearer realm="todo-api"', "/problems/authentication-required")
TWO_HEADERS = _malformed("There is more than one Authorization header.")
TWO_TOKENS = _malformed("The Authorization header has more than one token.")
NOT_ASCII = _malformed("The Authorization header is not ASCII.")
NOT_YOURS = Rejection(403, None, "/problems/forbidden")
NOT_FOUND = Rejection(404, None, "one of those that the operation documents")


@dataclass(frozen=True)
class Tokens:
    """Tokens for the cases. The URL is always that of `user`, and its things belong to `other_user`."""

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


def _authorization(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


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
    "own URL, another user's things": (lambda it: _bearer(it.good()), NOT_FOUND),
}
CASES = [
    pytest.param(form, kind, make, rejection, id=f"{form.id}-{case}-{kind}")
    for form in FORMS
    for case, (make, rejection) in MATRIX.items()
    for kind in ("HS256", "EdDSA")
    if (rejection is not NOT_FOUND or form.operation in ON_A_THING)
    and (rejection is not NOT_YOURS or form.operation in OWNED)
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


@pytest.fixture(scope="module")
def foreign_things(anonymous: httpx.Client, keys: dict[str, Tokens]) -> dict[str, object]:
    it = keys["EdDSA"]
    return create_things(anonymous, it.other_user, headers=_authorization(it.good(sub=it.other_user)))


class TestMatrix:
    @pytest.mark.parametrize(("form", "kind", "make", "rejection"), CASES)
    def test_unauthorized_request_is_rejected(
        self,
        anonymous: httpx.Client,
        keys: dict[str, Tokens],
        foreign_things: dict[str, object],
        form: Form,
        kind: str,
        make: Callable[[Tokens], list[Any]],
        rejection: Rejection,
    ) -> None:
        user = keys[kind].user
        headers = [("Authorization", value) for value in make(keys[kind])]
        answers = [send(anonymous, form, user, foreign_things, headers=headers)]
        if rejection is not NOT_FOUND:
            # Other faults are reported to the owner of the URL only.
            headers.append(("Content-Type", "text/plain"))
            broken = {"content": b"{broken", "params": {"unknown": 1}, "headers": headers}
            answers.append(send(anonymous, form, user, dict.fromkeys(things_of(form.operation), "x"), **broken))
        for answer in answers:
            # The client compares the type of the problem with the examples of the response.
            problem = rejection.type if rejection is NOT_FOUND else answer.json()["type"]
            assert (answer.status_code, answer.headers.get("WWW-Authenticate"), problem) == rejection
            assert keys[kind].other_user not in answer.text

    @in_each_form
    @pytest.mark.parametrize("kind", ["HS256", "EdDSA"])
    def test_request_of_the_owner_succeeds(
        self, anonymous: httpx.Client, keys: dict[str, Tokens], form: Form, kind: str
    ) -> None:
        it = keys[kind]
        headers = _authorization(it.good())
        things = create_things(anonymous, it.user, headers=headers)
        answer = send(anonymous, form, it.user, things, headers=headers)
        assert answer.status_code in form.operation.successes, answer.text

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
    return {**answer.json(), "instance": "", "request_id": ""}


@in_each_owned_form
def test_403_is_the_same_if_the_user_exists_or_not(service: Service, user: str, form: Form) -> None:
    other = f"{user}-other"
    before = send(service.client(user), form, other)
    things = create_things(service.client(other), other)
    after = send(service.client(user), form, other, things)
    assert (before.status_code, after.status_code) == (403, 403)
    assert comparable(before) == comparable(after)


def read_all(service: Service, user: str, things: dict[str, object]) -> list[bytes]:
    reads = [each for each in ON_A_THING if each.method == "GET"]
    return [send(service.client(user), operation, user, things).content for operation in reads]


@in_each_form_on_a_thing
def test_404_is_the_same_if_the_thing_exists_or_not(service: Service, user: str, form: Form) -> None:
    other = f"{user}-other"
    own, foreign = create_things(service.client(user), user), create_things(service.client(other), other)
    before = read_all(service, other, foreign)
    missing = {name: right(schema, resolve)[-1] for name, schema in schemas_of_things(form.operation).items()}
    cases = [missing, foreign, *({**own, name: foreign[name]} for name in missing)]
    answers = [send(service.client(user), form, user, things) for things in cases]
    assert [answer.status_code for answer in answers] == [404] * len(cases)
    assert all(comparable(answer) == comparable(answers[0]) for answer in answers)
    assert read_all(service, other, foreign) == before


def schemas_of_things(operation: Operation) -> dict[str, Any]:
    return {each["name"]: resolve(each["schema"]) for each in operation.parameters if each["name"] in CREATED_BY}


@pytest.mark.parametrize(
    ("operation", "name"),
    [
        pytest.param(operation, name, id=f"{operation.id} {name}")
        for operation in ON_A_THING
        for name, schema in schemas_of_things(operation).items()
        if not Draft202012Validator(schema, validate_formats=True).is_valid("!")
    ],
)
def test_invalid_id_is_422_for_the_owner(service: Service, user: str, operation: Operation, name: str) -> None:
    rejected = send(service.client(user), operation, user, {name: "!"})
    assert rejected.status_code == 422
    assert rejected.json()["errors"][0]["parameter"] == name

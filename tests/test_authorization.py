"""Who may do what, for every secured operation: the cases come from the contract, so that a new operation is covered
without a line of test."""

import base64
import hmac
import json

import httpx
import pytest
from conftest import SECRET, Service
from contract_watch import ROOT

from todo_api.contract import Contract, Operation

CONTRACT = Contract.parse((ROOT / "openapi.yaml").read_bytes())
SECURED = [operation for operation in CONTRACT.operations.values() if operation.schemes]
ON_A_TASK = [operation for operation in SECURED if "{task_id}" in operation.path]

CHALLENGE = 'Bearer realm="todo-api"'

secured = pytest.mark.parametrize("operation", SECURED, ids=lambda operation: operation.id)


def send(
    client: httpx.Client,
    operation: Operation,
    user_id: str,
    task_id: object = 1,
    body: bytes | None = None,
    **headers: str,
) -> httpx.Response:
    """Calls an operation with the body of its example, or the one that is given."""
    json = None
    if body is None and "requestBody" in operation.spec:
        name = operation.spec["requestBody"]["$ref"].rpartition("/")[2]
        json = CONTRACT.document["components"]["examples"][name]["value"]
    url = operation.path.format(user_id=user_id, task_id=task_id)
    return client.request(operation.method, url, json=json, content=body, headers=headers)


def test_there_is_something_to_secure() -> None:
    assert len(SECURED) == 6
    assert len(ON_A_TASK) == 4


@secured
class TestNoToken:
    def test_is_401(self, service: Service, user: str, operation: Operation) -> None:
        refused = send(service.client(), operation, user)
        assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, CHALLENGE)
        assert refused.json()["type"] == "/problems/authentication-required"

    @pytest.mark.parametrize("header", ["Basic dXNlcjpwYXNz", "Bearer", "bearer", "Token x", ""])
    def test_nor_another_scheme(self, service: Service, user: str, operation: Operation, header: str) -> None:
        refused = send(service.client(), operation, user, Authorization=header)
        assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, CHALLENGE)

    def test_comes_before_the_body(self, service: Service, user: str, operation: Operation) -> None:
        refused = send(service.client(), operation, user, body=b"{broken", **{"Content-Type": "text/plain"})
        assert refused.status_code == 401

    def test_comes_before_the_query(self, service: Service, user: str, operation: Operation) -> None:
        url = operation.path.format(user_id=user, task_id="x")
        assert service.client().request(operation.method, url, params={"unknown": 1}).status_code == 401


@secured
class TestAnotherUser:
    def test_is_403(self, service: Service, user: str, operation: Operation) -> None:
        refused = send(service.client(user), operation, f"{user}-other")
        assert refused.status_code == 403
        assert refused.json()["type"] == "/problems/forbidden"

    def test_is_the_same_whether_that_user_exists(self, service: Service, user: str, operation: Operation) -> None:
        other = f"{user}-other"
        before = send(service.client(user), operation, other).json()
        created = service.client(other).post(f"/api/{other}/tasks", json={"title": "x"})
        after = send(service.client(user), operation, other, created.json()["id"]).json()
        assert {**before, "instance": ""} == {**after, "instance": ""}

    def test_comes_before_the_body(self, service: Service, user: str, operation: Operation) -> None:
        refused = send(
            service.client(user), operation, f"{user}-other", body=b"{broken", **{"Content-Type": "text/plain"}
        )
        assert refused.status_code == 403


@pytest.mark.parametrize("operation", ON_A_TASK, ids=lambda operation: operation.id)
class TestAnotherUsersTask:
    def test_is_404_as_if_it_were_not_there(self, service: Service, user: str, operation: Operation) -> None:
        other = f"{user}-other"
        created = service.client(other).post(f"/api/{other}/tasks", json={"title": "x"}).json()
        foreign = send(service.client(user), operation, user, created["id"])
        missing = send(service.client(user), operation, user, 2**53 - 1)
        assert (foreign.status_code, missing.status_code) == (404, 404)
        assert {**foreign.json(), "instance": ""} == {**missing.json(), "instance": ""}
        kept = service.client(other).get(f"/api/{other}/tasks/{created['id']}")
        assert kept.json() == created


@pytest.mark.parametrize("operation", ON_A_TASK, ids=lambda operation: operation.id)
def test_what_is_no_task_id_is_422_to_its_owner(service: Service, user: str, operation: Operation) -> None:
    refused = send(service.client(user), operation, user, task_id="x")
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["parameter"] == "task_id"


@secured
class TestMalformedAuthorization:
    @pytest.mark.parametrize(
        "headers",
        [
            [("Authorization", "Bearer a"), ("Authorization", "Bearer b")],
            [("Authorization", "Bearer a b")],
            [("Authorization", "Bearer a, Bearer b")],
            [("Authorization", b"Bearer \xe9")],
        ],
        ids=["two headers", "two tokens", "a list", "not ASCII"],
    )
    def test_is_400(
        self, service: Service, user: str, operation: Operation, headers: list[tuple[str, str | bytes]]
    ) -> None:
        url = operation.path.format(user_id=user, task_id=1)
        refused = service.client().request(operation.method, url, headers=headers)  # type: ignore[arg-type]
        assert (refused.status_code, refused.json()["type"]) == (400, "/problems/invalid-request")
        assert 'error="invalid_request"' in refused.headers["WWW-Authenticate"]


def encode(part: object) -> str:
    text = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def make_token(claims: object, header: object = None, secret: str = SECRET, digest: str = "sha256") -> str:
    """Made by hand, for no library makes such tokens."""
    signed = f"{encode(header or {'alg': 'HS256', 'typ': 'JWT'})}.{encode(claims)}"
    return f"{signed}.{encode(hmac.digest(secret.encode(), signed.encode(), digest))}"


LATER = 4_000_000_000
GOOD = {"sub": "SUBJECT", "exp": LATER}

BAD_TOKENS = {
    "no JWT": "x",
    "opaque": "Zq8XvbnM2kPw0aQ7fLr5tYcE1dHs9uGi",
    "two parts": "a.b",
    "empty parts": "..",
    "four parts": make_token(GOOD) + ".x",
    "another secret": make_token(GOOD, secret="another secret, also of 32 bytes or more"),
    "no signature": make_token(GOOD).rpartition(".")[0] + ".",
    "changed signature": make_token(GOOD)[:-2] + "xx",
    "changed claims": ".".join(
        [make_token(GOOD).split(".")[0], encode({**GOOD, "admin": True}), make_token(GOOD).split(".")[2]]
    ),
    "alg none": f"{encode({'alg': 'none'})}.{encode(GOOD)}.",
    "alg None, signed": make_token(GOOD, {"alg": "None"}),
    "alg HS512": make_token(GOOD, {"alg": "HS512"}, digest="sha512"),
    "alg HS384 by name alone": make_token(GOOD, {"alg": "HS384"}),
    "alg RS256": make_token(GOOD, {"alg": "RS256"}),
    "alg missing": make_token(GOOD, {"typ": "JWT"}),
    "alg a list": make_token(GOOD, {"alg": ["HS256"]}),
    "header a list": make_token(GOOD, ["HS256"]),
    "header nested deeply": make_token(GOOD, b'{"alg":"HS256","x":' + b"[" * 3000 + b"]" * 3000 + b"}"),
    "claims a list": make_token([GOOD]),
    "claims not JSON": make_token(b"{"),
    "claims not UTF-8": make_token(b'{"sub":"\xff"}'),
    "expired": make_token({**GOOD, "exp": 1_700_000_000}),
    "exp missing": make_token({"sub": "SUBJECT"}),
    "exp null": make_token({**GOOD, "exp": None}),
    "exp text": make_token({**GOOD, "exp": str(LATER)}),
    "exp true": make_token({**GOOD, "exp": True}),
    "exp a list": make_token({**GOOD, "exp": [LATER]}),
    "exp infinite": make_token(b'{"sub":"SUBJECT","exp":Infinity}'),
    "exp not a number": make_token(b'{"sub":"SUBJECT","exp":NaN}'),
    "not valid yet": make_token({**GOOD, "nbf": LATER - 1}),
    "sub missing": make_token({"exp": LATER}),
    "sub empty": make_token({**GOOD, "sub": ""}),
    "sub a number": make_token({**GOOD, "sub": 1}),
    "sub with NUL": make_token({**GOOD, "sub": "a\0"}),
    "sub too long": make_token({**GOOD, "sub": "x" * 256}),
    "too long": make_token({**GOOD, "x": "x" * 9000}),
    "not base64": "!!!.###.$$$",
}


class TestBadToken:
    """The token is checked in one place for every operation; TestNoToken shows that each of them goes there."""

    @pytest.mark.parametrize("token", BAD_TOKENS.values(), ids=BAD_TOKENS)
    def test_is_401(self, service: Service, token: str) -> None:
        refused = service.client().get("/api/SUBJECT/tasks", headers={"Authorization": f"Bearer {token}"})
        assert refused.status_code == 401
        assert refused.json()["type"] == "/problems/invalid-token"
        assert 'error="invalid_token"' in refused.headers["WWW-Authenticate"]
        assert len(token) < 3 or token not in refused.text

    @pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer "])
    def test_but_a_good_one_is_taken(self, service: Service, scheme: str) -> None:
        headers = {"Authorization": f"{scheme} {make_token(GOOD)}"}
        assert service.client().get("/api/SUBJECT/tasks", headers=headers).status_code == 200

"""The keys that an issuer publishes: fetched once for all, rotated under traffic, and away without harm."""

import asyncio
import base64
import gzip
import hmac
import json
import threading
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa, x25519
from structlog.testing import capture_logs

from support.clock import Clock
from support.issuer import Answer, Issuer, SigningKey, compact, encode, encode_int, make_key, reply
from support.issuer import issuer as running_issuer
from support.service import SECRET, Service, running, settings_for
from todo_api.app import create_app
from todo_api.auth import jwks
from todo_api.auth.jwks import (
    FRESH,
    MAX_KEYS,
    MAX_SIZE,
    REFETCH_INTERVAL,
    RETRY_INTERVAL,
    STALE,
    IssuerUnavailableError,
    PublishedKeys,
)
from todo_api.auth.keys import MAX_KID, published_key

ALGORITHMS = ("EdDSA", "ES256", "RS256")
DEADLINE = 30


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """It starts at 0, as that of a machine just started."""
    clock = Clock()
    monkeypatch.setattr(jwks, "monotonic", clock)
    return clock


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with running_issuer() as issuer:
        yield issuer


# --- against the keys themselves: time and counts


@asynccontextmanager
async def published(issuer: Issuer, algorithms: tuple[str, ...] = ALGORITHMS) -> AsyncIterator[PublishedKeys]:
    keys = PublishedKeys(issuer.jwks_url, algorithms)
    try:
        await keys.start()
        yield keys
    finally:
        await keys.close()


def run(issuer: Issuer, test: Callable[[PublishedKeys], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(DEADLINE), published(issuer) as keys:
            await test(keys)

    asyncio.run(main())


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


def snapshot_after(issuer: Issuer, event: threading.Event) -> Answer:
    """Answers with the keys of the moment when it was asked, but not before the event."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        document = issuer.document()
        event.wait(DEADLINE)
        reply(document)(request)

    return answer


class TestFetch:
    def test_is_made_at_start_so_that_no_request_pays_for_it(self, issuer: Issuer) -> None:
        key = issuer.new_key()

        async def test(keys: PublishedKeys) -> None:
            assert issuer.fetches == 1
            for _ in range(10):
                assert await keys.find(key.kid) is not None
            assert issuer.fetches == 1

        run(issuer, test)

    def test_is_one_for_all_who_wait(self, issuer: Issuer, clock: Clock) -> None:
        key = issuer.new_key()
        released = threading.Event()
        issuer.answer = reply(b"", 500)

        async def test(keys: PublishedKeys) -> None:
            issuer.answer = snapshot_after(issuer, released)
            clock.now += RETRY_INTERVAL
            waiting = [asyncio.create_task(keys.find(key.kid)) for _ in range(50)]
            await until(lambda: issuer.fetches == 2)
            released.set()
            assert None not in await asyncio.gather(*waiting)
            assert issuer.fetches == 2

        run(issuer, test)

    def test_goes_on_when_the_one_who_began_it_leaves(self, issuer: Issuer, clock: Clock) -> None:
        key = issuer.new_key()
        released = threading.Event()
        issuer.answer = reply(b"", 500)

        async def test(keys: PublishedKeys) -> None:
            issuer.answer = snapshot_after(issuer, released)
            clock.now += RETRY_INTERVAL
            first, second = (asyncio.create_task(keys.find(key.kid)) for _ in range(2))
            await until(lambda: issuer.fetches == 2)
            first.cancel()
            await asyncio.wait([first])
            released.set()
            assert first.cancelled()
            assert await second is not None
            assert issuer.fetches == 2

        run(issuer, test)

    def test_may_be_under_way_at_the_end(self, issuer: Issuer, clock: Clock) -> None:
        key = issuer.new_key()
        released = threading.Event()
        issuer.answer = reply(b"", 500)

        async def test(keys: PublishedKeys) -> None:
            issuer.answer = snapshot_after(issuer, released)
            clock.now += RETRY_INTERVAL
            waiting = asyncio.create_task(keys.find(key.kid))
            await until(lambda: issuer.fetches == 2)
            await keys.close()
            waiting.cancel()
            await asyncio.wait([waiting])

        run(issuer, test)
        released.set()


class TestUnknownKid:
    def test_causes_one_fetch_in_an_interval(self, issuer: Issuer, clock: Clock) -> None:
        issuer.new_key()

        async def test(keys: PublishedKeys) -> None:
            for fetches in (2, 3, 4):
                for _ in range(20):
                    assert await keys.find(uuid.uuid4().hex) is None
                assert issuer.fetches == fetches
                clock.now += REFETCH_INTERVAL

        run(issuer, test)

    def test_is_known_as_soon_as_it_is_published(self, issuer: Issuer) -> None:
        async def test(keys: PublishedKeys) -> None:
            key = issuer.new_key()
            assert await keys.find(key.kid) is not None

        run(issuer, test)

    def test_is_looked_up_though_the_keys_have_just_been_refreshed(self, issuer: Issuer, clock: Clock) -> None:
        old = issuer.new_key()

        async def test(keys: PublishedKeys) -> None:
            clock.now += FRESH + 1
            assert await keys.find(old.kid) is not None
            await until(lambda: issuer.fetches == 2)
            new = issuer.new_key()
            assert await keys.find(new.kid) is not None, "that fetch was caused by no unknown kid"

        run(issuer, test)

    def test_is_looked_up_though_the_issuer_has_just_come_back(self, issuer: Issuer, clock: Clock) -> None:
        old = issuer.new_key()
        issuer.answer = reply(b"", 500)

        async def test(keys: PublishedKeys) -> None:
            clock.now += RETRY_INTERVAL
            issuer.answer = None
            assert await keys.find(old.kid) is not None
            new = issuer.new_key()
            assert await keys.find(new.kid) is not None, "that fetch was caused by no unknown kid"

        run(issuer, test)

    def test_is_looked_up_again_when_the_fetch_under_way_began_before_it_was_published(
        self, issuer: Issuer, clock: Clock
    ) -> None:
        old = issuer.new_key()
        released = threading.Event()

        async def test(keys: PublishedKeys) -> None:
            clock.now += FRESH + 1
            issuer.answer = snapshot_after(issuer, released)
            refresh = asyncio.create_task(keys.find(old.kid))
            await until(lambda: issuer.fetches == 2)
            issuer.answer = None
            new = issuer.new_key()
            waiting = asyncio.create_task(keys.find(new.kid))
            await asyncio.sleep(0)
            released.set()
            assert await refresh is not None
            assert await waiting is not None
            assert issuer.fetches == 3

        run(issuer, test)

    def test_of_an_issuer_without_keys_is_none(self, issuer: Issuer) -> None:
        async def test(keys: PublishedKeys) -> None:
            assert await keys.find("a") is None

        run(issuer, test)


class TestAge:
    def test_a_set_is_fetched_anew_when_it_is_no_longer_fresh(self, issuer: Issuer, clock: Clock) -> None:
        kept, retired = issuer.new_key(), issuer.new_key()

        async def test(keys: PublishedKeys) -> None:
            issuer.retire(retired)
            clock.now += FRESH - 1
            assert await keys.find(retired.kid) is not None
            assert issuer.fetches == 1
            clock.now += 2
            assert await keys.find(kept.kid) is not None
            await until(lambda: issuer.fetches == 2)
            async with asyncio.timeout(DEADLINE):
                while await keys.find(retired.kid) is not None:
                    await asyncio.sleep(0.001)

        run(issuer, test)

    @pytest.mark.parametrize("told", ["max-age=60", "public, max-age=60, must-revalidate", "Max-Age=60"])
    def test_is_told_by_the_issuer(self, issuer: Issuer, clock: Clock, told: str) -> None:
        key = issuer.new_key()
        issuer.answer = reply(issuer.document(), headers={"Cache-Control": told})

        async def test(keys: PublishedKeys) -> None:
            clock.now += 59
            assert await keys.find(key.kid) is not None
            assert issuer.fetches == 1
            clock.now += 2
            assert await keys.find(key.kid) is not None
            await until(lambda: issuer.fetches == 2)

        run(issuer, test)

    @pytest.mark.parametrize(
        "told", ["max-age=", "max-age=x", "max-age=-1", "no-cache", "public", "s-maxage=1", "\xff"]
    )
    def test_is_the_usual_one_where_nothing_sensible_is_told(self, issuer: Issuer, clock: Clock, told: str) -> None:
        key = issuer.new_key()
        issuer.answer = reply(issuer.document(), headers={"Cache-Control": told})

        async def test(keys: PublishedKeys) -> None:
            clock.now += FRESH - 1
            assert await keys.find(key.kid) is not None
            assert issuer.fetches == 1

        run(issuer, test)

    @pytest.mark.parametrize("told", ["max-age=0", "max-age=1"])
    def test_is_never_so_short_that_each_request_fetches(self, issuer: Issuer, told: str) -> None:
        key = issuer.new_key()
        issuer.answer = reply(issuer.document(), headers={"Cache-Control": told})

        async def test(keys: PublishedKeys) -> None:
            for _ in range(20):
                assert await keys.find(key.kid) is not None
            assert issuer.fetches == 1

        run(issuer, test)

    def test_is_never_so_long_that_a_retired_key_stays(self, issuer: Issuer, clock: Clock) -> None:
        key = issuer.new_key()
        issuer.answer = reply(issuer.document(), headers={"Cache-Control": "max-age=999999999"})

        async def test(keys: PublishedKeys) -> None:
            issuer.retire(key)
            issuer.answer = None
            clock.now += 86400
            async with asyncio.timeout(DEADLINE):
                while await keys.find(key.kid) is not None:
                    await asyncio.sleep(0.001)

        run(issuer, test)


class TestIssuerDown:
    def test_leaves_the_keys_usable_for_a_while(self, issuer: Issuer, clock: Clock) -> None:
        key = issuer.new_key()

        async def test(keys: PublishedKeys) -> None:
            issuer.go_down()
            for now in (FRESH + 1, STALE / 2, STALE - 1):
                clock.now = now
                assert await keys.find(key.kid) is not None
            clock.now = STALE + 1
            with pytest.raises(IssuerUnavailableError):
                await keys.find(key.kid)
            issuer.come_up()
            clock.now += RETRY_INTERVAL
            assert await keys.find(key.kid) is not None

        run(issuer, test)

    def test_is_tried_once_in_an_interval(self, issuer: Issuer, clock: Clock) -> None:
        issuer.answer = reply(b"", 500)

        async def test(keys: PublishedKeys) -> None:
            for tries in (1, 2, 3):
                for _ in range(20):
                    with pytest.raises(IssuerUnavailableError):
                        await keys.find(uuid.uuid4().hex)
                assert issuer.fetches == tries
                clock.now += RETRY_INTERVAL

        run(issuer, test)

    def test_is_tried_once_in_an_interval_for_stale_keys_too(self, issuer: Issuer, clock: Clock) -> None:
        key = issuer.new_key()

        async def test(keys: PublishedKeys) -> None:
            issuer.answer = reply(b"", 500)
            clock.now += FRESH + 1
            for tries in (2, 3, 4):
                for _ in range(20):
                    assert await keys.find(key.kid) is not None
                    await asyncio.sleep(0.001)
                assert issuer.fetches <= tries
                clock.now += RETRY_INTERVAL

        run(issuer, test)

    def test_makes_no_one_wait_whose_key_is_known(
        self, issuer: Issuer, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The first may wait for an answer; once one has failed to come, nobody does."""
        monkeypatch.setattr(jwks, "FETCH_TIMEOUT", 2 * DEADLINE)
        key = issuer.new_key()
        released = threading.Event()

        async def test(keys: PublishedKeys) -> None:
            issuer.answer = reply(b"", 500)
            clock.now += FRESH + 1
            assert await keys.find(key.kid) is not None
            await until(lambda: issuer.fetches == 2)
            issuer.answer = snapshot_after(issuer, released)
            while issuer.fetches < 3:
                clock.now += RETRY_INTERVAL
                assert await keys.find(key.kid) is not None
                await asyncio.sleep(0.01)

        try:
            run(issuer, test)
        finally:
            released.set()


def endless(request: BaseHTTPRequestHandler) -> None:
    """Ends when nobody reads any more."""
    request.send_response(200)
    request.end_headers()
    while True:
        request.wfile.write(b" " * 65536)


def trickling(request: BaseHTTPRequestHandler) -> None:
    """Each byte comes in time, the whole never does."""
    request.send_response(200)
    request.end_headers()
    while True:
        request.wfile.write(b" ")
        threading.Event().wait(0.02)


def silent(request: BaseHTTPRequestHandler) -> None:
    """Waits until the other side hangs up."""
    request.connection.recv(1)


def cut(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.send_header("Content-Length", "1000")
    request.end_headers()
    request.wfile.write(b'{"keys": []}')


def no_http(request: BaseHTTPRequestHandler) -> None:
    request.wfile.write(b"hello\r\n\r\n")


ENOUGH = b" " * (MAX_SIZE + 1)

FAILURES = {
    "HTML": reply(b"<!doctype html><title>Sign in</title>", headers={"Content-Type": "text/html"}),
    "nothing": reply(b""),
    "no JSON": reply(b'{"keys": ['),
    "no UTF-8": reply(b'{"keys": [], "x": "\xff"}'),
    "nested deeply": reply(b'{"keys": ' + b"[" * 50_000 + b"]" * 50_000 + b"}"),
    "a number of 5000 digits": reply(b'{"keys": [], "x": ' + b"9" * 5000 + b"}"),
    "null": reply(b"null"),
    "a list": reply(b"[]"),
    "an object without keys": reply(b'{"error": "keys"}'),
    "keys null": reply(b'{"keys": null}'),
    "keys an object": reply(b'{"keys": {}}'),
    "status 500": reply(b'{"keys": []}', 500),
    "status 404": reply(b'{"keys": []}', 404),
    "status 204": reply(b"", 204),
    "too large": reply(b'{"keys": []}' + ENOUGH),
    "too large when unpacked": reply(gzip.compress(b'{"keys": []}' + ENOUGH), headers={"Content-Encoding": "gzip"}),
    "packed wrongly": reply(b'{"keys": []}', headers={"Content-Encoding": "gzip"}),
    "endless": endless,
    "trickling": trickling,
    "silent": silent,
    "cut": cut,
    "no HTTP": no_http,
}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
class TestFailure:
    """An answer that is no set of keys is no answer."""

    def test_is_over_when_it_is_over(
        self, issuer: Issuer, clock: Clock, failure: Answer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(jwks, "FETCH_TIMEOUT", 0.5)
        key = issuer.new_key()
        issuer.answer = failure

        async def test(keys: PublishedKeys) -> None:
            with pytest.raises(IssuerUnavailableError):
                await keys.find(key.kid)
            issuer.answer = None
            found = None
            while found is None:
                # Half a second may be too short for a good answer too, on a busy machine.
                clock.now += RETRY_INTERVAL
                with suppress(IssuerUnavailableError):
                    found = await keys.find(key.kid)

        run(issuer, test)

    def test_loses_no_key(self, issuer: Issuer, clock: Clock, failure: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
        key = issuer.new_key()

        async def test(keys: PublishedKeys) -> None:
            assert await keys.find(key.kid) is not None
            monkeypatch.setattr(jwks, "FETCH_TIMEOUT", 0.5)
            issuer.answer = failure
            with pytest.raises(IssuerUnavailableError):
                await keys.find("unknown")
            clock.now += FRESH + 1
            assert await keys.find(key.kid) is not None

        run(issuer, test)


def test_a_redirect_is_not_followed(issuer: Issuer) -> None:
    async def test(keys: PublishedKeys) -> None:
        with pytest.raises(IssuerUnavailableError):
            await keys.find(key.kid)

    with running_issuer() as other:
        key = other.new_key()
        issuer.answer = reply(b"", 302, {"Location": other.jwks_url})
        run(issuer, test)
        assert other.fetches == 0


# --- which keys are admitted


def jwk(algorithm: str = "EdDSA", **others: object) -> dict[str, object]:
    """A good key, but for what is given. A member that is None is left out."""
    members = {**make_key(algorithm, "").jwk, "kid": "this", **others}
    return {name: value for name, value in members.items() if value is not None}


def rsa_jwk(bits: int) -> dict[str, object]:
    numbers = rsa.generate_private_key(65537, bits).public_key().public_numbers()
    return {"kty": "RSA", "alg": "RS256", "kid": "this", "n": encode_int(numbers.n), "e": "AQAB"}


def ec_jwk(curve: ec.EllipticCurve, crv: str, **others: object) -> dict[str, object]:
    point, size = ec.generate_private_key(curve).public_key().public_numbers(), (curve.key_size + 7) // 8
    x, y = encode_int(point.x, size), encode_int(point.y, size)
    return {"kty": "EC", "crv": crv, "kid": "this", "x": x, "y": y, **others}


OCT = {"kty": "oct", "k": encode(b"k" * 32), "kid": "this"}
EXAMPLE = make_key("ES256", "").jwk

GOOD_KEYS = {
    "EdDSA": jwk(),
    "ES256": jwk("ES256"),
    "RS256": jwk("RS256"),
    "EdDSA without alg": jwk(alg=None),
    "ES256 without alg": jwk("ES256", alg=None),
    "RS256 without alg": jwk("RS256", alg=None),
    "for signatures": jwk(use="sig", key_ops=["verify"]),
    "with members of its own": jwk(created_at=1, x5c=["!"], ext=True, _=None),
}

BAD_KEYS: dict[str, object] = {
    "null": None,
    "a number": 1,
    "a text": "this",
    "a list": ["kid", "this"],
    "an empty object": {},
    "oct": {**OCT, "alg": "HS256"},
    "oct without alg": OCT,
    "oct that says EdDSA": {**OCT, "alg": "EdDSA"},
    "oct with everything": {**jwk(), **OCT, "alg": "EdDSA"},
    "private OKP": jwk(d=encode(b"d" * 32)),
    "private EC": jwk("ES256", d=encode(b"d" * 32)),
    "private RSA": jwk("RS256", d=encode(b"d" * 256)),
    "private RSA by its primes": jwk("RS256", p=encode(b"p" * 128), q=encode(b"q" * 128)),
    "for encryption": jwk(use="enc"),
    "use a number": jwk(use=1),
    "use a list": jwk(use=["sig"]),
    "for encryption by key_ops": jwk(key_ops=["encrypt"]),
    "key_ops empty": jwk(key_ops=[]),
    "key_ops a number": jwk(key_ops=1),
    "key_ops a text": jwk(key_ops="verify"),
    "key_ops an object": jwk(key_ops={"verify": 1}),
    "alg of RSA": jwk(alg="RS256"),
    "alg of another curve": jwk("ES512", alg="ES256"),
    "alg not wanted": jwk("ES512"),
    "alg of HMAC": jwk(alg="HS256"),
    "alg none": jwk(alg="none"),
    "alg unknown": jwk(alg="XX"),
    "alg a number": jwk(alg=1),
    "alg zero": jwk(alg=0),
    "alg empty": jwk(alg=""),
    "alg a list": jwk(alg=["EdDSA"]),
    "alg an object": jwk(alg={"EdDSA": 1}),
    "kty missing": jwk(kty=None),
    "kty unknown": jwk(kty="XX"),
    "kty in capitals": jwk("RS256", kty="rsa"),
    "kty a number": jwk(kty=1),
    "kty a list": jwk(kty=["OKP"]),
    "kty of another": jwk(kty="RSA"),
    "kid missing": jwk(kid=None),
    "kid a number": jwk(kid=1),
    "kid a list": jwk(kid=["this"]),
    "kid an object": jwk(kid={}),
    "kid empty": jwk(kid=""),
    "crv missing": jwk(crv=None),
    "crv unknown": jwk(crv="XX"),
    "crv a list": jwk(crv=["Ed25519"]),
    "crv for key agreement": jwk(
        crv="X25519", x=encode(x25519.X25519PrivateKey.generate().public_key().public_bytes_raw())
    ),
    "crv Ed448": jwk(crv="Ed448", x=encode(ed448.Ed448PrivateKey.generate().public_key().public_bytes_raw())),
    "crv P-384": ec_jwk(ec.SECP384R1(), "P-384", alg="ES256"),
    "crv P-384 without alg": ec_jwk(ec.SECP384R1(), "P-384"),
    "crv secp256k1": ec_jwk(ec.SECP256K1(), "secp256k1", alg="ES256"),
    "crv of another point": ec_jwk(ec.SECP256K1(), "P-256", alg="ES256"),
    "x missing": jwk(x=None),
    "x empty": jwk(x=""),
    "x a number": jwk(x=1),
    "x a list": jwk(x=["x"]),
    "x not ASCII": jwk(x="é"),
    "x a lone surrogate": jwk(x="\ud800"),
    "x not base64": jwk(x="!"),
    "x too short": jwk(x=encode(b"x" * 31)),
    "x too long": jwk(x=encode(b"x" * 33)),
    "EC, x missing": jwk("ES256", x=None),
    "EC, y missing": jwk("ES256", y=None),
    "EC, y a number": jwk("ES256", y=1),
    "EC, no point": jwk("ES256", x=EXAMPLE["y"], y=EXAMPLE["x"]),
    "EC, zero": jwk("ES256", x=encode(bytes(32)), y=encode(bytes(32))),
    "RSA, n missing": jwk("RS256", n=None),
    "RSA, e missing": jwk("RS256", e=None),
    "RSA, n a number": jwk("RS256", n=1),
    "RSA, n empty": jwk("RS256", n=""),
    "RSA, n zero": jwk("RS256", n="AA"),
    "RSA, e one": jwk("RS256", e="AQ"),
    "RSA, e even": jwk("RS256", e="AQAC"),
    "RSA, 1024 bits": rsa_jwk(1024),
    "RSA, 1024 bits filled up": {**rsa_jwk(1024), "n": "A" * 300 + str(rsa_jwk(1024)["n"])},
}


class TestAdmission:
    @pytest.mark.parametrize("good", GOOD_KEYS.values(), ids=GOOD_KEYS)
    def test_of_good_keys(self, issuer: Issuer, good: dict[str, Any]) -> None:
        issuer.keys = [good]

        async def test(keys: PublishedKeys) -> None:
            assert await keys.find("this") is not None

        run(issuer, test)

    @pytest.mark.parametrize("bad", BAD_KEYS.values(), ids=BAD_KEYS)
    def test_of_a_bad_key_is_refused_and_spoils_no_other(self, issuer: Issuer, bad: object) -> None:
        before = issuer.new_key()
        issuer.keys = [*issuer.keys, bad]
        after = issuer.new_key("ES256")

        async def test(keys: PublishedKeys) -> None:
            assert await keys.find("this") is None
            assert await keys.find("") is None
            assert await keys.find(before.kid) is not None
            assert await keys.find(after.kid) is not None

        run(issuer, test)

    def test_of_a_key_counts_though_a_bad_one_has_its_kid(self, issuer: Issuer) -> None:
        issuer.keys = [jwk(x="!"), jwk(), {**OCT, "alg": "HS256"}]

        async def test(keys: PublishedKeys) -> None:
            assert await keys.find("this") is not None

        run(issuer, test)

    @pytest.mark.parametrize("first", [0, 1])
    def test_of_two_with_one_kid_is_that_of_the_first(self, issuer: Issuer, first: int) -> None:
        pair = [jwk(), jwk("RS256")]
        issuer.keys = [pair[first], pair[1 - first]]

        async def test(keys: PublishedKeys) -> None:
            found = await keys.find("this")
            assert found is not None
            assert found.algorithm == pair[first]["alg"]

        run(issuer, test)


class TestTooManyKeys:
    def test_leave_out_the_oldest_and_are_logged(self, issuer: Issuer) -> None:
        """Better Auth publishes keys in the order in which it made them."""
        oldest, newest = make_key("EdDSA", issuer.url), make_key("EdDSA", issuer.url)
        between = [jwk(kid=f"key-{number}") for number in range(MAX_KEYS - 1)]

        async def test(keys: PublishedKeys) -> None:
            assert await keys.find(newest.kid) is not None
            assert await keys.find("key-0") is not None
            assert await keys.find(oldest.kid) is None

        issuer.keys = [oldest.jwk, *between, newest.jwk]
        with capture_logs() as lines:
            run(issuer, test)
        told = [line for line in lines if line["event"] == "published keys left out"]
        assert [(line["count"], line["limit"]) for line in told] == [(1, MAX_KEYS)] * issuer.fetches

    def test_are_more_than_100(self, issuer: Issuer) -> None:
        issuer.keys = [jwk(kid=f"key-{number}") for number in range(100)]

        async def test(keys: PublishedKeys) -> None:
            assert await keys.find("key-0") is not None

        with capture_logs() as lines:
            run(issuer, test)
        assert lines == []


class TestPublishedKey:
    """The check alone: a key that nobody can ask for by its kid is rejected too."""

    @pytest.mark.parametrize("bad", BAD_KEYS.values(), ids=BAD_KEYS)
    def test_that_is_bad_is_rejected(self, bad: object) -> None:
        with pytest.raises(ValueError, match=r"^[a-z ]+$"):
            published_key(bad, ALGORITHMS)

    @pytest.mark.parametrize("kid", ["k", "é", " ", "k" * MAX_KID], ids=["one character", "é", "blank", "longest"])
    def test_has_any_text_as_its_kid(self, kid: str) -> None:
        assert published_key(jwk(kid=kid), ALGORITHMS)[0] == kid

    @pytest.mark.parametrize(
        "kid", ["", "k" * (MAX_KID + 1), None, 1, True, ["k"], {}], ids=["empty", "too long", *map(str, range(5))]
    )
    def test_without_such_a_kid_is_rejected(self, kid: object) -> None:
        with pytest.raises(ValueError, match="no kid"):
            published_key({**jwk(), "kid": kid}, ALGORITHMS)


class TestStaleKeys:
    """Each look-up alone: a stale key must neither be found nor end the wait for a fetch."""

    @pytest.mark.parametrize("told", [None, "max-age=5", "max-age=3600", "max-age=999999"], ids=str)
    def test_end_an_hour_after_their_fetch(self, issuer: Issuer, clock: Clock, told: str | None) -> None:
        key = issuer.new_key()
        issuer.answer = reply(issuer.document(), headers={"Cache-Control": told} if told else {})

        async def test(keys: PublishedKeys) -> None:
            issuer.answer = reply(b"", 500)
            clock.now = STALE - 0.5
            assert await keys.find(key.kid) is not None
            clock.now = STALE
            with pytest.raises(IssuerUnavailableError):
                await keys.find(key.kid)

        run(issuer, test)

    def test_wait_for_the_fetch_that_replaces_them(self, issuer: Issuer, clock: Clock) -> None:
        """Though the last fetch failed, which spares the wait to a token whose key is usable."""
        key = issuer.new_key()

        async def test(keys: PublishedKeys) -> None:
            issuer.answer = reply(b"", 500)
            clock.now = STALE + 1
            with pytest.raises(IssuerUnavailableError):
                await keys.find(key.kid)
            issuer.answer = None
            issuer.retire(key)
            clock.now += RETRY_INTERVAL
            assert await keys.find(key.kid) is None

        run(issuer, test)


# --- on the wire


Serve = Callable[..., AbstractContextManager[Service]]


@pytest.fixture
def serve(database_url: str, issuer: Issuer) -> Serve:
    """Starts a service that trusts the issuer."""

    def start(**settings: object) -> AbstractContextManager[Service]:
        values = {"better_auth_secret": None, "better_auth_jwks_url": issuer.jwks_url, **settings}
        return running(create_app(settings_for(database_url, **values)))

    return start


def fresh(key: SigningKey, user: str) -> str:
    """A token that the service has not seen, and so can't remember."""
    return key.token(user, jti=uuid.uuid4().hex)


def call(client: httpx.Client, user: str, token: str) -> httpx.Response:
    return client.get(f"/api/{user}/tasks", headers={"Authorization": f"Bearer {token}"})


def status(service: Service, user: str, key: SigningKey) -> int:
    return call(service.client(), user, fresh(key, user)).status_code


def assert_refused(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.json().get("type")) == (401, "/problems/invalid-token")
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


def assert_unavailable(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.json().get("type")) == (503, "/problems/issuer-unavailable")
    assert int(answer.headers["Retry-After"]) >= 1


def decode(value: str) -> bytes:
    """What a public member stands for; a member that is no base64url is taken as it is."""
    try:
        return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
    except ValueError:
        return value.encode()


class TestToken:
    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    def test_that_is_good_is_taken(self, serve: Serve, issuer: Issuer, user: str, algorithm: str) -> None:
        key = issuer.new_key(algorithm)
        with serve(better_auth_issuer=issuer.url, better_auth_audience=issuer.url) as service:
            assert status(service, user, key) == 200
        assert issuer.fetches == 1

    def test_that_is_signed_by_an_unpublished_key_is_refused(self, serve: Serve, issuer: Issuer, user: str) -> None:
        key = issuer.new_key()
        stranger = make_key("EdDSA", issuer.url)
        with serve() as service:
            client = service.client()
            assert_refused(call(client, user, stranger.token(user)))
            assert_refused(call(client, user, stranger.token(user, {"kid": key.kid})))
            assert_refused(call(client, user, key.token(user, {"kid": None})))

    def test_that_names_a_key_of_its_own_is_refused(self, serve: Serve, issuer: Issuer, user: str) -> None:
        issuer.new_key()
        with running_issuer() as stranger, serve() as service:
            key = stranger.new_key()
            client = service.client()
            for header in ({"jku": stranger.jwks_url}, {"x5u": stranger.jwks_url}, {"jwk": key.jwk}):
                assert_refused(call(client, user, key.token(user, header)))
            assert stranger.fetches == 0

    @pytest.mark.parametrize("own", ALGORITHMS)
    def test_that_names_the_algorithm_of_another_key_is_refused(
        self, serve: Serve, issuer: Issuer, user: str, own: str
    ) -> None:
        key = issuer.new_key(own)
        with serve() as service:
            for algorithm in {*ALGORITHMS, "ES512", "HS256", "none"} - {own}:
                assert_refused(call(service.client(), user, key.token(user, {"alg": algorithm})))

    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    @pytest.mark.parametrize("secret", [None, SECRET], ids=["no secret", "a secret"])
    def test_hs256_under_a_public_key_is_refused(
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
                    assert_refused(call(client, user, token))

    def test_of_either_source_is_taken_where_both_are_configured(self, serve: Serve, issuer: Issuer, user: str) -> None:
        key = issuer.new_key()
        with serve(better_auth_secret=SECRET) as service:
            assert status(service, user, key) == 200
            assert service.client(user).get(f"/api/{user}/tasks").status_code == 200

    def test_with_a_secret_needs_no_issuer(self, serve: Serve, issuer: Issuer, user: str) -> None:
        issuer.answer = reply(b"", 500)
        with serve(better_auth_secret=SECRET) as service:
            assert service.client(user).get(f"/api/{user}/tasks").status_code == 200

    def test_of_an_algorithm_that_is_not_accepted_is_told_so(self, serve: Serve, issuer: Issuer, user: str) -> None:
        """Though its key is published."""
        edwards, curve = issuer.new_key(), issuer.new_key("ES512")
        with serve() as service:
            refused = call(service.client(), user, curve.token(user))
            assert_refused(refused)
            assert all(name in refused.json()["detail"] for name in ("ES512", *ALGORITHMS))
        with serve(better_auth_algorithms=("ES512",)) as service:
            assert status(service, user, curve) == 200
            assert_refused(call(service.client(), user, edwards.token(user)))


class TestEd25519:
    """RFC 9864 gives EdDSA with Ed25519 that name. Tokens and keys may have either."""

    @pytest.mark.parametrize("in_header", ["EdDSA", "Ed25519"], ids=str)
    @pytest.mark.parametrize("in_key", ["EdDSA", "Ed25519", None], ids=str)
    @pytest.mark.parametrize("configured", ["EdDSA", "Ed25519"], ids=str)
    def test_is_taken_for_eddsa(
        self, serve: Serve, issuer: Issuer, user: str, in_header: str, in_key: str | None, configured: str
    ) -> None:
        key = make_key("EdDSA", issuer.url)
        issuer.keys = [jwk(**{**key.jwk, "alg": in_key})]
        with serve(better_auth_algorithms=(configured,)) as service:
            answer = call(service.client(), user, key.token(user, {"alg": in_header}))
            assert answer.status_code == 200

    @pytest.mark.parametrize("algorithm", ["ES256", "RS256", "HS256"], ids=str)
    def test_in_the_header_fits_no_other_key(self, serve: Serve, issuer: Issuer, user: str, algorithm: str) -> None:
        key = issuer.new_key("ES256" if algorithm == "HS256" else algorithm)
        with serve(better_auth_secret=SECRET) as service:
            assert_refused(call(service.client(), user, key.token(user, {"alg": "Ed25519"})))
            symmetric = compact(
                {"alg": "Ed25519", "kid": key.kid},
                {"sub": user, "exp": 4_000_000_000},
                lambda text: hmac.digest(SECRET.encode(), text, "sha256"),
            )
            assert_refused(call(service.client(), user, symmetric))

    @pytest.mark.parametrize(
        "bad",
        [jwk("ES256", alg="Ed25519"), jwk("RS256", alg="Ed25519"), jwk(alg="Ed25519", crv="Ed448"), jwk(alg="ed25519")],
        ids=["EC", "RSA", "Ed448", "lower case"],
    )
    def test_of_another_key_is_rejected(self, bad: object) -> None:
        with pytest.raises(ValueError, match=r"^(does not fit its algorithm|of another algorithm)$"):
            published_key(bad, ALGORITHMS)

    def test_is_rejected_if_eddsa_is_not_accepted(self, serve: Serve, issuer: Issuer, user: str) -> None:
        key = issuer.new_key()
        with serve(better_auth_algorithms=("ES256",)) as service:
            for name in ("EdDSA", "Ed25519"):
                assert_refused(call(service.client(), user, key.token(user, {"alg": name})))


class TestInventedKids:
    def test_cause_two_fetches_at_most(self, serve: Serve, issuer: Issuer, user: str) -> None:
        key = issuer.new_key()
        with serve() as service, ThreadPoolExecutor(4) as pool:
            headers = [{"Authorization": f"Bearer {key.token(user, {'kid': uuid.uuid4().hex})}"} for _ in range(500)]
            with httpx.Client(base_url=service.url) as client:
                answers = list(pool.map(lambda each: client.get(f"/api/{user}/tasks", headers=each), headers))
            assert {answer.status_code for answer in answers} == {401}
            assert issuer.fetches <= 2
            assert status(service, user, key) == 200


class TestRotation:
    def test_under_traffic_refuses_no_good_token(self, serve: Serve, issuer: Issuer, clock: Clock, user: str) -> None:
        """The next key comes when every caller has used the last, and the clock has gone on for a refetch."""
        callers = 4
        current = issuer.new_key()
        used = [current] * callers
        refused: list[int] = []
        ended, progress = threading.Event(), threading.Condition()

        def settled(key: SigningKey) -> bool:
            return bool(refused) or all(each is key for each in used)

        def traffic(caller: int, client: httpx.Client) -> None:
            while not ended.is_set():
                key = current
                answer = call(client, user, fresh(key, user))
                with progress:
                    used[caller] = key
                    refused.extend([answer.status_code] * (answer.status_code != 200))
                    progress.notify_all()

        with serve() as service, ThreadPoolExecutor(callers) as pool:
            calls = [pool.submit(traffic, caller, service.client()) for caller in range(callers)]
            try:
                for algorithm in (*ALGORITHMS, *ALGORITHMS):
                    clock.now += REFETCH_INTERVAL
                    old, current = current, issuer.new_key(algorithm)
                    with progress:
                        assert progress.wait_for(partial(settled, current), DEADLINE)
                    issuer.retire(old)
            finally:
                ended.set()
            for each in calls:
                each.result()
        assert refused == []
        assert issuer.fetches == 7, "one at the start, and one for each new key"

    def test_ends_the_tokens_of_a_retired_key(self, serve: Serve, issuer: Issuer, clock: Clock, user: str) -> None:
        old = issuer.new_key()
        with serve() as service:
            assert status(service, user, old) == 200
            new = issuer.new_key()
            issuer.retire(old)
            assert status(service, user, new) == 200
            assert status(service, user, old) == 401


class TestIssuer:
    def test_may_be_down_at_the_start(self, serve: Serve, issuer: Issuer, clock: Clock, user: str) -> None:
        key = issuer.new_key()
        issuer.go_down()
        with serve() as service:
            assert service.client().get("/health").status_code == 200
            assert_unavailable(call(service.client(), user, key.token(user)))
            issuer.come_up()
            clock.now += RETRY_INTERVAL
            assert status(service, user, key) == 200

    def test_may_be_silent_at_the_start(self, serve: Serve, issuer: Issuer, clock: Clock, user: str) -> None:
        key = issuer.new_key()
        ended = threading.Event()

        def hang_up(request: BaseHTTPRequestHandler) -> None:
            ended.wait(DEADLINE)

        issuer.answer = hang_up
        with serve() as service:
            ended.set()
            assert_unavailable(call(service.client(), user, key.token(user)))
            issuer.answer = None
            clock.now += RETRY_INTERVAL
            assert status(service, user, key) == 200

    def test_may_go_down_later(self, serve: Serve, issuer: Issuer, clock: Clock, user: str) -> None:
        key = issuer.new_key()
        with serve() as service:
            issuer.go_down()
            assert status(service, user, key) == 200
            unpublished = make_key("EdDSA", issuer.url)
            assert_unavailable(call(service.client(), user, unpublished.token(user)))
            clock.now += FRESH + 1
            assert status(service, user, key) == 200
            clock.now = STALE + 1
            assert_unavailable(call(service.client(), user, fresh(key, user)))
            issuer.come_up()
            clock.now += RETRY_INTERVAL
            assert status(service, user, key) == 200
            assert_refused(call(service.client(), user, unpublished.token(user)))

    def test_that_answers_garbage_is_unavailable(self, serve: Serve, issuer: Issuer, user: str) -> None:
        key = issuer.new_key()
        issuer.answer = FAILURES["HTML"]
        with serve() as service:
            assert_unavailable(call(service.client(), user, key.token(user)))

    def test_that_has_no_key_yet_is_not_down(self, serve: Serve, issuer: Issuer, clock: Clock, user: str) -> None:
        with serve() as service:
            assert_refused(call(service.client(), user, make_key("EdDSA", issuer.url).token(user)))
            clock.now += REFETCH_INTERVAL
            assert status(service, user, issuer.new_key()) == 200

    def test_that_publishes_a_mixed_set_is_used_as_far_as_it_is_good(
        self, serve: Serve, issuer: Issuer, user: str
    ) -> None:
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
            assert_refused(call(service.client(), user, symmetric))
            assert_refused(call(service.client(), user, good[0].token(user, {"kid": "this"})))

    def test_is_asked_once_by_all_who_come_first(self, serve: Serve, issuer: Issuer, clock: Clock, user: str) -> None:
        key = issuer.new_key()
        issuer.answer = reply(b"", 500)
        with serve() as service, ThreadPoolExecutor(20) as pool:
            issuer.answer = None
            clock.now += RETRY_INTERVAL
            assert set(pool.map(lambda _: status(service, user, key), range(20))) == {200}
        assert issuer.fetches == 2

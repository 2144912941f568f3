"""The window of a rate limit, and the address of a client behind proxies."""

import asyncio
from typing import Any

import pytest

from fastapi_contract.middleware import rate_limit as module
from fastapi_contract.middleware.rate_limit import WINDOW, ClientAddress, MemoryCounter, RateLimit
from fastapi_contract.problems import TooManyRequests
from support.clock import Clock

QUOTA = 10


class Window:
    """A counter whose time a test sets."""

    def __init__(self, quota: int = QUOTA) -> None:
        self.clock = Clock(1000)
        self.counter = MemoryCounter(quota, self.clock)

    def hit(self, caller: str = "a") -> float:
        return self.counter.hit(caller)

    def accepted(self, attempts: int) -> int:
        return sum(self.hit() == 0 for _ in range(attempts))


class TestMemoryCounter:
    def test_requests_over_the_quota_are_rejected_until_a_later_window(self) -> None:
        window = Window()
        assert window.accepted(3 * QUOTA) == QUOTA
        window.clock.now += 2 * WINDOW
        assert window.accepted(3 * QUOTA) == QUOTA

    def test_callers_are_counted_apart(self) -> None:
        window = Window(1)
        assert [window.hit("a"), window.hit("b")] == [0, 0]
        assert window.hit("a") > 0

    def test_window_slides(self) -> None:
        window = Window()
        window.clock.now += WINDOW - 1
        assert window.accepted(QUOTA) == QUOTA
        # All of them are in the last window, of which nine tenths still count.
        window.clock.now += 1 + WINDOW / 10
        assert window.accepted(QUOTA) == 1
        window.clock.now += WINDOW / 2
        assert window.accepted(QUOTA) == 5

    @pytest.mark.parametrize("quota", [1, 2, 7, 600])
    @pytest.mark.parametrize("elapsed", [0, 13, 59], ids=lambda seconds: f"{seconds} s")
    @pytest.mark.parametrize("sent", [0, 0.5, 1], ids=["new", "half", "full"])
    def test_request_is_accepted_after_the_wait_and_not_before(self, quota: int, elapsed: float, sent: float) -> None:
        window = Window(quota)
        for _ in range(int(quota * sent)):
            window.hit()
        window.clock.now += WINDOW + elapsed
        while (wait := window.hit()) == 0:
            pass
        assert 0 < wait <= 2 * WINDOW
        window.clock.now += wait - 0.01
        assert window.hit() > 0
        window.clock.now += 0.02
        assert window.hit() == 0

    def test_callers_beyond_the_maximum_are_not_counted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "MAX_CALLERS", 2)
        window = Window(1)
        assert [window.hit(caller) for caller in "abcc"] == [0] * 4
        assert window.hit("a") > 0


def test_problem_names_the_limit_and_the_wait() -> None:
    limit = RateLimit("user", 1, MemoryCounter(1, Clock()))

    async def exceed() -> None:
        for _ in range(2):
            await limit.require_none(limit.hit("a"))

    with pytest.raises(TooManyRequests) as rejected:
        asyncio.run(exceed())
    assert rejected.value.headers == {
        "Retry-After": "60",
        "RateLimit-Policy": '"user";q=1;w=60',
        "RateLimit": '"user";r=0;t=60',
    }


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("9.9.9.9", [], "9.9.9.9"),
        ("9.9.9.9", ["8.8.8.8"], "9.9.9.9"),
        ("127.0.0.1", [], None),
        ("10.0.0.1", ["8.8.8.8"], "8.8.8.8"),
        ("10.0.0.1", ["1.1.1.1, 8.8.8.8"], "8.8.8.8"),
        ("10.0.0.1", ["1.1.1.1", "8.8.8.8"], "8.8.8.8"),
        ("10.0.0.1", ["8.8.8.8, 10.0.0.2"], "8.8.8.8"),
        ("10.0.0.1", ["8.8.8.8 ,198.51.100.7"], "8.8.8.8"),
        ("203.0.113.9", ["8.8.8.8"], "8.8.8.8"),
        ("45.0.0.1", ["8.8.8.8"], "8.8.8.8"),
        ("10.0.0.1", ["8.8.8.8:4711"], "8.8.8.8"),
        ("10.0.0.1", ["10.0.0.2"], None),
        ("10.0.0.1", ["8.8.8.8, unknown"], None),
        ("10.0.0.1", [""], None),
        ("10.0.0.1", ["8.8.8.8, \xff"], None),
        ("::1", ["2606:4700:1:2:3:4:5:6"], "2606:4700:1:2::"),
        ("::1", ["[2606:4700:1:2::9]:443"], "2606:4700:1:2::"),
        ("2606:4700:1:2:ffff::", [], "2606:4700:1:2::"),
        ("::ffff:9.9.9.9", [], "9.9.9.9"),
        ("::ffff:10.0.0.1", ["8.8.8.8"], "8.8.8.8"),
        ("", ["8.8.8.8"], None),
        (None, ["8.8.8.8"], "8.8.8.8"),
        (None, [], None),
    ],
    ids=[
        "direct", "header of a client", "local", "behind a proxy", "forged before the proxy", "forged line",
        "two proxies", "documentation network", "documentation peer", "trusted peer", "port", "internal client",
        "no address", "empty", "not ASCII", "IPv6", "IPv6 with port", "direct IPv6", "mapped IPv4", "mapped proxy",
        "no peer address", "Unix socket", "Unix socket without header",
    ],
)  # fmt: skip
def test_client_is_the_last_address_that_is_no_proxy(
    peer: str | None, forwarded: list[str], address: str | None
) -> None:
    headers = [(b"x-forwarded-for", line.encode("latin-1")) for line in forwarded]
    scope: dict[str, Any] = {"client": None if peer is None else (peer, 50000), "headers": [(b"host", b"a"), *headers]}
    assert ClientAddress(["45.0.0.0/8"])(scope, dict(scope["headers"])) == address

"""Rate limits: 429 with Retry-After, and RateLimit and RateLimit-Policy of draft-ietf-httpapi-ratelimit-headers-10."""

import math
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from ipaddress import IPv6Address, IPv6Network, ip_address, ip_network
from time import monotonic
from typing import Protocol, TypeAlias

from starlette.types import ASGIApp, Receive, Scope, Send

from fastapi_contract.middleware.limited_log import LimitedLog
from fastapi_contract.problems import Respond, TooManyRequests

WINDOW = 60
"""Seconds in which a caller may send as many requests as its quota."""
MAX_CALLERS = 100_000
"""Callers that are counted in a window, about 20 MB. Requests of others are not limited, so that a flood of addresses
does not fill the memory."""
IPV6_PREFIX = 64
"""Bits of an IPv6 address that a provider assigns to one customer."""

events = LimitedLog()


Wait: TypeAlias = float | Awaitable[float]
"""The seconds after which a request is accepted; 0 if it is accepted now. A counter in this process is not awaited:
with coroutines, both limits took 38,000 instructions of a request instead of 6,000."""


class Counter(Protocol):
    def hit(self, caller: str) -> Wait:
        """Counts a request, unless its caller must wait."""


class MemoryCounter:
    """Counts in this process, in a sliding window: the requests of this window, and of the last one its part that is
    less than WINDOW old, as if they were distributed evenly. Rejected requests do not count.

    It takes 0.5 µs; the one of `limits` in memory takes 19, a third of a small request.
    """

    def __init__(self, quota: int, clock: Callable[[], float] = monotonic) -> None:
        self._quota = quota
        self._clock = clock
        self._start = clock()
        self._counts: dict[str, int] = {}
        self._last: dict[str, int] = {}

    def hit(self, caller: str) -> float:
        elapsed = self._clock() - self._start
        if elapsed >= WINDOW:
            self._last = self._counts if elapsed < 2 * WINDOW else {}
            self._counts = {}
            self._start += elapsed - elapsed % WINDOW
            elapsed %= WINDOW
        counts = self._counts
        count, last = counts.get(caller, 0), self._last.get(caller, 0)
        if count + last * (1 - elapsed / WINDOW) > self._quota - 1:
            return self._wait(count, last, elapsed)
        if count or len(counts) < MAX_CALLERS:
            counts[caller] = count + 1
        return 0

    def _wait(self, count: int, last: int, elapsed: float) -> float:
        """Returns the seconds until the sum is below the quota: in this window, or in the next one."""
        free = self._quota - 1 - count
        if free >= 0:
            return WINDOW * (1 - free / last) - elapsed
        return WINDOW - elapsed + WINDOW * (1 - (self._quota - 1) / count)


class RateLimit:
    """A quota of requests in each WINDOW, for each caller.

    limit = RateLimit("user", 600, MemoryCounter(600))
    if wait := limit.hit(user):
        await limit.require_none(wait)
    """

    def __init__(self, policy: str, quota: int, counter: Counter) -> None:
        """`policy` is its name in the headers: ASCII without quotes."""
        self._policy = policy
        self._quota = quota
        # The counter's own method, which saves a call for each request.
        self.hit = counter.hit

    async def require_none(self, wait: Wait) -> None:
        """Raises TooManyRequests unless the result of `hit` is 0."""
        seconds = wait if isinstance(wait, int | float) else await wait
        if seconds:
            events.warning("rate limit exceeded", policy=self._policy)
            raise TooManyRequests(self._policy, self._quota, WINDOW, math.ceil(min(max(seconds, 1), WINDOW)))


@dataclass(frozen=True)
class AddressLimit:
    """What `contract_app` needs to limit the requests of each client address."""

    limit: RateLimit
    proxies: Sequence[str] = ()
    """Networks of reverse proxies with public addresses."""
    unlimited: Collection[str] = ()
    """operationIds, such as that of a health check."""


class AddressLimiter:
    """Applies the limit of each client address."""

    def __init__(self, app: ASGIApp, limit: AddressLimit, unlimited_paths: Iterable[str], respond: Respond) -> None:
        self.app = app
        self._limit = limit.limit
        self._address = ClientAddress(limit.proxies)
        self._unlimited_paths = frozenset(unlimited_paths)
        self._respond = respond

    def choose(self, scope: Scope, headers: Mapping[bytes, bytes]) -> ASGIApp:
        """Counts a request. Returns the app, or one that answers 429 if it must."""
        address = self._address(scope, headers)
        if address is not None and scope["path"] not in self._unlimited_paths and (wait := self._limit.hit(address)):
            return partial(self._answer, wait)
        return self.app

    async def _answer(self, wait: Wait, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._limit.require_none(wait)
        except TooManyRequests as problem:
            await self._respond(problem)(scope, receive, send)
        else:
            await self.app(scope, receive, send)


class ClientAddress:
    """Returns whose request it is: an IPv4 address, or the first IPV6_PREFIX bits of an IPv6 address.

    A peer whose address is private, or in one of the `proxies`, is a reverse proxy: the client is the last address in
    X-Forwarded-For that is not a proxy's, because a client can write the ones before it. None if there is no such
    address: without the header, all clients of a proxy would share one limit.
    """

    def __init__(self, proxies: Iterable[str] = ()) -> None:
        """Raises ValueError if one is no network."""
        self._proxies = [ip_network(proxy) for proxy in proxies]
        # Parsing takes 5 µs.
        self._read = lru_cache(10_000)(self._parse)

    def __call__(self, scope: Scope, headers: Mapping[bytes, bytes]) -> str | None:
        # A Unix socket has none.
        client = scope.get("client")
        address, is_proxy = self._read(client[0]) if client else (None, True)
        if not is_proxy or b"x-forwarded-for" not in headers:
            return None if is_proxy else address
        lines = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
        for forwarded in reversed(b",".join(lines).decode("latin-1").split(",")):
            address, is_proxy = self._read(forwarded.strip())
            if not is_proxy:
                return address
        return None

    def _parse(self, text: str) -> tuple[str | None, bool]:
        """Returns the address and whether it is a proxy's. Text that is no address is neither: (None, False)."""
        # Some proxies add a port: 192.0.2.1:50000, [2001:db8::1]:50000.
        host = text.partition("]")[0].strip("[") if text.startswith("[") else text
        if host.count(":") == 1:
            host = host.partition(":")[0]
        try:
            address = ip_address(host)
        except ValueError:
            return None, False
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        if not address.is_global or any(address in proxy for proxy in self._proxies):
            return None, True
        if isinstance(address, IPv6Address):
            return str(IPv6Network((int(address), IPV6_PREFIX), strict=False).network_address), False
        return str(address), False

"""Fetches and caches the keys that the issuer publishes as a JWK Set (RFC 7517).

A request waits for a fetch only if its key is not cached or the set is no longer fresh. All waiting requests share one
fetch.
"""

import asyncio
import re
from collections.abc import Collection
from contextlib import suppress
from time import monotonic

import structlog

from fastapi_contract.validation import strict_json
from todo_api.auth.keys import VerificationKey, published_key
from todo_api.auth.proxies import certificates, proxy_for

# All in seconds.
FRESHNESS_LIFETIME = 300
"""A set is used without another fetch for this long, unless the response has Cache-Control: max-age (RFC 9111)."""
MIN_MAX_AGE, MAX_MAX_AGE = 5, 3600
"""Bounds that max-age is limited to."""
STALE_IF_ERROR = 3600
"""A set is used for this long after it was fetched if the issuer cannot be reached. At least MAX_MAX_AGE."""
REFETCH_INTERVAL = 5
"""Minimum time after a fetch for an unknown kid that found no new key, because any client can invent a kid. After a
fetch that found one, the next may follow at once: an issuer may create several keys at a time (Better Auth creates one
for each concurrent signature)."""
RETRY_INTERVAL = 1
"""Minimum time between attempts to fetch while the issuer cannot be reached."""
FETCH_TIMEOUT = 5
START_TIMEOUT = 1
"""The start of the service waits this long for the first fetch, so that the first request finds the keys."""

MAX_SIZE = 256 * 1024
"""Bytes of a JWK Set. A key has less than 1 KiB."""
MAX_KEYS = 100

_MAX_AGE = re.compile(r"\bmax-age=([0-9]{1,9})\b", re.IGNORECASE)

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class IssuerUnavailableError(Exception):
    """The issuer's keys cannot be fetched, and no cached key matches."""


class PublishedKeys:
    """The keys at a URL, by kid. `algorithms` are the accepted ones.

    Raises ValueError if the proxy or the certificates in the environment are not valid.
    """

    def __init__(self, url: str, algorithms: Collection[str]) -> None:
        self._url = url
        self.algorithms = algorithms
        self._keys: dict[str, VerificationKey] = {}
        self._fresh_until = self._usable_until = float("-inf")
        self._next_retry = self._next_refetch = float("-inf")
        self._failed = False
        self._fetches_started = 0
        self._fetch: asyncio.Task[None] | None = None
        # Not compressed, because a small response could decompress to a very large one.
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        # Imported here because httpx takes 45 ms and 4 MB, which a service with shared secrets only does not need.
        import httpx  # noqa: PLC0415

        self._http = httpx.AsyncClient(
            timeout=FETCH_TIMEOUT,
            headers=headers,
            proxy=proxy_for(url),
            verify=certificates() or True,
            # Otherwise httpx reads all proxy variables, and raises for one that does not apply to this URL.
            trust_env=False,
        )

    async def start(self) -> None:
        """Starts the first fetch, and waits for START_TIMEOUT at most. An issuer that is down is not an error."""
        with suppress(TimeoutError):
            async with asyncio.timeout(START_TIMEOUT):
                await asyncio.shield(self._refresh())

    async def close(self) -> None:
        if self._fetch is not None:
            self._fetch.cancel()
        await self._http.aclose()

    async def find(self, kid: str) -> VerificationKey | None:
        """Returns the key, or None if the issuer has no such key.

        Raises IssuerUnavailableError if the key is not cached and the keys cannot be fetched.
        """
        await self._refresh_if_stale(known=self._usable(kid) is not None)
        if self._usable(kid) is None:
            await self._fetch_unknown(kid)
        key = self._usable(kid)
        if key is None and self._failed:
            raise IssuerUnavailableError
        return key

    async def _fetch_unknown(self, kid: str) -> None:
        """Fetches again, because the issuer may have created the key since the last fetch."""
        started = self._fetches_started
        # A fetch that is already running may miss the key, if its response was created before: then fetch once more.
        while self._usable(kid) is None and self._fetches_started == started:
            not_before = self._next_retry if self._failed else self._next_refetch
            if not self._is_fetching() and monotonic() < not_before:
                return
            await asyncio.shield(self._refresh(unknown_kid=True))

    async def _refresh_if_stale(self, *, known: bool) -> None:
        """Starts a fetch if the set is stale. A request whose key is known waits for it only if the last fetch has not
        failed."""
        stale = monotonic() >= self._fresh_until
        if not self._is_fetching() and not (stale and monotonic() >= self._next_retry):
            return
        fetch = self._refresh()
        if not known or (stale and not self._failed):
            await asyncio.shield(fetch)

    def _usable(self, kid: str) -> VerificationKey | None:
        return self._keys.get(kid) if monotonic() < self._usable_until else None

    def _refresh(self, *, unknown_kid: bool = False) -> asyncio.Task[None]:
        """Returns the running fetch, or starts one. Callers await it in `asyncio.shield`, because a cancelled request
        must not cancel the fetch of the others."""
        if self._fetch is None or self._fetch.done():
            self._fetches_started += 1
            self._fetch = asyncio.create_task(self._load(unknown_kid=unknown_kid))
        return self._fetch

    def _is_fetching(self) -> bool:
        return self._fetch is not None and not self._fetch.done()

    async def _load(self, *, unknown_kid: bool) -> None:
        try:
            async with asyncio.timeout(FETCH_TIMEOUT):
                documents, lifetime = await self._get()
        except Exception as error:  # noqa: BLE001
            # Any fault of the network or the issuer. The token is never the cause.
            self._failed = True
            self._next_retry = monotonic() + RETRY_INTERVAL
            log.warning("keys not fetched", error=f"{type(error).__name__}: {error}"[:200])
            return
        self._failed = False
        previous, self._keys = self._keys, self._accepted(documents)
        if unknown_kid and self._keys.keys() == previous.keys():
            self._next_refetch = monotonic() + REFETCH_INTERVAL
        self._fresh_until = monotonic() + lifetime
        self._usable_until = monotonic() + STALE_IF_ERROR

    async def _get(self) -> tuple[list[object], float]:
        """Returns the members of the set, and for how many seconds they are fresh.

        Raises ValueError if the response is not a JWK Set, httpx.HTTPError if the request fails.
        """
        async with self._http.stream("GET", self._url) as response:
            if response.status_code != 200:
                raise ValueError(f"status {response.status_code}")
            if response.headers.get("content-encoding", "identity") != "identity":
                raise ValueError("compressed")
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > MAX_SIZE:
                    raise ValueError("too large")
        # Half of a surrogate pair makes one key invalid, and not the set.
        document = strict_json.loads(body, allow_half_pairs=True)
        if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
            raise ValueError("not a JWK Set")
        max_age = _MAX_AGE.search(response.headers.get("cache-control", ""))
        lifetime = min(max(int(max_age[1]), MIN_MAX_AGE), MAX_MAX_AGE) if max_age else FRESHNESS_LIFETIME
        return document["keys"], lifetime

    def _accepted(self, documents: list[object]) -> dict[str, VerificationKey]:
        """Returns the accepted keys by kid; a bad key does not affect the others. If a kid appears twice, the first key
        counts. Of more than MAX_KEYS the last are used, because a set has no dates and Better Auth appends keys."""
        keys: dict[str, VerificationKey] = {}
        if len(documents) > MAX_KEYS:
            log.warning("published keys left out", count=len(documents) - MAX_KEYS, limit=MAX_KEYS)
        for document in documents[-MAX_KEYS:]:
            try:
                kid, key = published_key(document, self.algorithms)
            except ValueError as error:
                log.info("key not admitted", reason=str(error))
                continue
            keys.setdefault(kid, key)
        return keys

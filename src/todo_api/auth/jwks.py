"""The keys that the issuer publishes as a JWK Set (RFC 7517), fetched and kept.

A request waits for a fetch only when it needs a key that is not there or no longer fresh, and then all of them wait for
the same one.
"""

import asyncio
import re
from collections.abc import Collection
from contextlib import suppress
from time import monotonic

import structlog

from fastapi_contract import strict_json
from todo_api.auth.keys import VerificationKey, published_key
from todo_api.auth.proxies import certificates, proxy_for

# Seconds, all of them.
FRESH = 300
"""How long a set is taken as it is, where the answer has no Cache-Control."""
MIN_FRESH, MAX_FRESH = 5, 3600
STALE = 3600
"""How long after its last fetch a set may be used while the issuer can't be reached. Not below MAX_FRESH."""
REFETCH_INTERVAL = 5
"""After a fetch for an unknown kid that found nothing new, for anybody can invent one. After one that did the next may
follow at once: an issuer makes several keys at a time (Better Auth one for each signature under way)."""
RETRY_INTERVAL = 1
"""Between two tries while the issuer can't be reached."""
FETCH_TIMEOUT = 5
START_TIMEOUT = 1
"""How long a start waits for the first fetch, so that the first request need not."""

MAX_SIZE = 256 * 1024
"""Bytes of a set. A key has less than 1 KiB."""
MAX_KEYS = 100

_MAX_AGE = re.compile(r"\bmax-age=([0-9]{1,9})\b", re.IGNORECASE)

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class IssuerUnavailableError(Exception):
    """The keys of the issuer can't be had now, and those that are here do not do."""


class PublishedKeys:
    """The keys at a URL, by kid."""

    def __init__(self, url: str, algorithms: Collection[str]) -> None:
        self._url = url
        self.algorithms = algorithms
        self._keys: dict[str, VerificationKey] = {}
        self._fresh_until = self._usable_until = float("-inf")
        self._next_retry = self._next_refetch = float("-inf")
        self._failed = False
        self._begun = 0
        self._fetch: asyncio.Task[None] | None = None
        # Not compressed: a small answer could unpack to a very large one.
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        # 45 ms and 4 MB, which a service with shared secrets alone need not have.
        import httpx  # noqa: PLC0415

        self._http = httpx.AsyncClient(
            timeout=FETCH_TIMEOUT,
            headers=headers,
            proxy=proxy_for(url),
            verify=certificates() or True,
            # httpx would read all proxy variables, and raise for one that does not concern this URL.
            trust_env=False,
        )

    async def start(self) -> None:
        """Begins the first fetch. An issuer that is down is no reason not to start."""
        with suppress(TimeoutError):
            async with asyncio.timeout(START_TIMEOUT):
                await asyncio.shield(self._refresh())

    async def close(self) -> None:
        if self._fetch is not None:
            self._fetch.cancel()
        await self._http.aclose()

    async def find(self, kid: str) -> VerificationKey | None:
        """None where the issuer has no such key. Raises IssuerUnavailableError where that is not known."""
        await self._freshen(known=self._usable(kid) is not None)
        if self._usable(kid) is None:
            await self._look_for(kid)
        key = self._usable(kid)
        if key is None and self._failed:
            raise IssuerUnavailableError
        return key

    async def _look_for(self, kid: str) -> None:
        """Fetches anew, for the issuer may have made the key since."""
        begun = self._begun
        # One that is under way may have been answered before the key was made: then one more follows.
        while self._usable(kid) is None and self._begun == begun:
            not_before = self._next_retry if self._failed else self._next_refetch
            if not self._is_fetching() and monotonic() < not_before:
                return
            await asyncio.shield(self._refresh(sought=True))

    async def _freshen(self, *, known: bool) -> None:
        """Begins a fetch where the set is old. Whose key is known waits for it only where the last one did not fail."""
        stale = monotonic() >= self._fresh_until
        if not self._is_fetching() and not (stale and monotonic() >= self._next_retry):
            return
        fetch = self._refresh()
        if not known or (stale and not self._failed):
            await asyncio.shield(fetch)

    def _usable(self, kid: str) -> VerificationKey | None:
        return self._keys.get(kid) if monotonic() < self._usable_until else None

    def _refresh(self, *, sought: bool = False) -> asyncio.Task[None]:
        """The fetch under way, or a new one; `sought` tells that it is for an unknown kid. To be awaited behind a
        shield: who leaves must not end it for others."""
        if self._fetch is None or self._fetch.done():
            self._begun += 1
            self._fetch = asyncio.create_task(self._load(sought=sought))
        return self._fetch

    def _is_fetching(self) -> bool:
        return self._fetch is not None and not self._fetch.done()

    async def _load(self, *, sought: bool) -> None:
        try:
            async with asyncio.timeout(FETCH_TIMEOUT):
                documents, fresh = await self._get()
        except Exception as error:  # noqa: BLE001
            # Whatever the network and the issuer come up with: a token is never the cause.
            self._failed = True
            self._next_retry = monotonic() + RETRY_INTERVAL
            log.warning("keys not fetched", error=f"{type(error).__name__}: {error}"[:200])
            return
        self._failed = False
        known, self._keys = self._keys, self._admit(documents)
        if sought and self._keys.keys() == known.keys():
            self._next_refetch = monotonic() + REFETCH_INTERVAL
        self._fresh_until = monotonic() + fresh
        self._usable_until = monotonic() + STALE

    async def _get(self) -> tuple[list[object], float]:
        """The members of the set, and for how many seconds they are fresh. Raises ValueError for what is no set."""
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
        document = strict_json.loads(body)
        if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
            raise ValueError("not a JWK Set")
        told = _MAX_AGE.search(response.headers.get("cache-control", ""))
        return document["keys"], min(max(int(told[1]), MIN_FRESH), MAX_FRESH) if told else FRESH

    def _admit(self, documents: list[object]) -> dict[str, VerificationKey]:
        """One by one: a bad key spoils no other. Of two with one kid the first counts. Of too many the last are taken:
        a set has no dates, and Better Auth appends new keys."""
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

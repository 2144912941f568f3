"""The rate limits of the settings: counted in this process, or in Redis or Valkey for several workers and machines."""

import asyncio
import re
from contextlib import suppress
from time import monotonic, time
from typing import TYPE_CHECKING, cast

from pydantic import SecretStr

from fastapi_contract.middleware.limited_log import LimitedLog
from fastapi_contract.middleware.rate_limit import WINDOW, MemoryCounter, RateLimit

if TYPE_CHECKING:
    from limits.aio.storage.redis.redispy import RedispyBridge

TIMEOUT = 0.03
"""Seconds that a request waits for Redis. It is then accepted."""
PAUSE = 1
"""Seconds after a failure for which Redis is not asked, so that not every request waits."""

_events = LimitedLog()


class RateLimits:
    """Makes the limits that count in one place."""

    def __init__(self, url: SecretStr | None) -> None:
        self._store = None if url is None else SharedStore(url.get_secret_value())

    def limit(self, policy: str, quota: int) -> RateLimit | None:
        """Returns the limit; None if the quota is 0."""
        if quota == 0:
            return None
        counter = MemoryCounter(quota) if self._store is None else SharedCounter(self._store, policy, quota)
        return RateLimit(policy, quota, counter)

    async def close(self) -> None:
        if self._store is not None:
            await self._store.close()


class SharedStore:
    """The connections to Redis or Valkey, which speak the same protocol."""

    def __init__(self, url: str) -> None:
        # Imported here because it takes 90 ms and 8 MB, which a service without Redis does not need.
        from limits.aio.storage import RedisStorage  # noqa: PLC0415
        from limits.aio.strategies import SlidingWindowCounterRateLimiter  # noqa: PLC0415

        storage = RedisStorage(f"async+{re.sub('^valkey', 'redis', url)}", implementation="redispy")
        self._client = cast("RedispyBridge", storage.bridge).storage
        self.limiter = SlidingWindowCounterRateLimiter(storage)
        self.paused_until = 0.0

    async def close(self) -> None:
        with suppress(Exception):
            async with asyncio.timeout(PAUSE):
                await self._client.aclose()


class SharedCounter:
    """Counts in a shared store. If that cannot be reached in time, each request is accepted, with a warning."""

    def __init__(self, store: SharedStore, policy: str, quota: int) -> None:
        from limits import RateLimitItemPerSecond  # noqa: PLC0415

        self._store = store
        self._item = RateLimitItemPerSecond(quota, WINDOW, namespace=f"todo-api:{policy}")

    async def hit(self, caller: str) -> float:
        store = self._store
        if monotonic() < store.paused_until:
            return 0
        try:
            async with asyncio.timeout(TIMEOUT):
                if await store.limiter.hit(self._item, caller):
                    return 0
                stats = await store.limiter.get_window_stats(self._item, caller)
        except Exception as error:  # noqa: BLE001 (No failure of the store may fail a request.)
            store.paused_until = monotonic() + PAUSE
            _events.warning("rate limits not counted", error=type(error).__name__)
            return 0
        return max(stats.reset_time - time(), 1)

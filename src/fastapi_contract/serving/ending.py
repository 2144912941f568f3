"""Announces the end of the service to responses that would not end by themselves."""

import asyncio
from weakref import WeakKeyDictionary

_events: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Event] = WeakKeyDictionary()


def ending() -> asyncio.Event:
    """Returns the event that the server sets when its shutdown begins; one for each event loop."""
    return _events.setdefault(asyncio.get_running_loop(), asyncio.Event())

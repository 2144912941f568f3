"""Entity tags of conditional requests (RFC 9110, section 13): the fields If-Match and If-None-Match."""

import re

_TAG = re.compile(r'(W/)?("[^"]*")')


def tags(field: str, *, weak: bool) -> list[str] | None:
    """Returns the entity tags of a field, with their quotes and without `W/`; None for `*`, which matches every state.

    `weak` is whether weak ones count: in If-None-Match they do, and in If-Match they match nothing (section 13.1).

        tags('"3", W/"4"', weak=False)  # ['"3"']
    """
    if field.strip(" \t,") == "*":
        return None
    return [tag for prefix, tag in _TAG.findall(field) if weak or not prefix]


def matches(field: str, tag: str) -> bool:
    """Whether If-None-Match contains a strong `tag`, or is `*`."""
    found = tags(field, weak=True)
    return found is None or tag in found

"""Entity tags of conditional requests (RFC 9110, section 13): the fields If-Match and If-None-Match."""

import re

_TAG = re.compile(r'(W/)?("[^"]*")')


def strong_tags(field: str) -> list[str] | None:
    """Returns the entity tags of If-Match with their quotes; None for `*`, which matches every state.

    Weak ones are left out, because they never match in this field (section 13.1.1).

        strong_tags('"3", W/"4"')  # ['"3"']
    """
    if field.strip(" \t,") == "*":
        return None
    return [tag for weak, tag in _TAG.findall(field) if not weak]


def matches(field: str, tag: str) -> bool:
    """Whether If-None-Match contains a strong `tag`, or is `*`. Weak ones match as well (section 13.1.2)."""
    return field.strip(" \t,") == "*" or any(each == tag for _, each in _TAG.findall(field))

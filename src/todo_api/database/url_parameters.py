"""Reads the query of a database URL as libpq does; every parameter is used, or rejected by name."""

import re
from urllib.parse import unquote


class Parameters:
    """The parameters of a URL's query. Each can be taken once.

    Errors are ValueErrors, whose message names the parameter and never quotes its value.
    """

    def __init__(self, query: str) -> None:
        self._values: dict[str, str] = {}
        self._has_password = "password=" in query
        for part in filter(None, query.split("&")):
            # As in libpq, + is not a blank.
            name, equals, value = part.partition("=")
            if not equals or name in self._values:
                raise ValueError(f"{self._printable(name)}: must be given once, as name=value")
            self._values[name] = decode(value) or ""

    def take(self, name: str, choices: tuple[str, ...] | None = None) -> str | None:
        """Removes and returns a value, which must be one of `choices` if given; None if it is absent."""
        value = self._values.pop(name, None)
        if value is not None and choices is not None and value not in choices:
            raise ValueError(f"{name}: must be one of {', '.join(choices)}")
        return value

    def peek(self, name: str) -> str | None:
        """Returns a value without taking it; None if it is absent."""
        return self._values.get(name)

    def take_seconds(self, name: str) -> int | None:
        """As `take`, for whole seconds from 1 to 9999."""
        value = self.take(name)
        if value is not None and not re.fullmatch(r"[1-9][0-9]{0,3}", value):
            raise ValueError(f"{name}: must be whole seconds, 1 to 9999")
        return None if value is None else int(value)

    def reject_unknown(self) -> None:
        """Rejects the parameters that were not taken."""
        if "options" in self._values:
            raise ValueError(
                "options: not supported, because poolers reject it; for a statement timeout set "
                "DATABASE_STATEMENT_TIMEOUT"
            )
        if self._values:
            names = ", ".join(map(self._printable, sorted(self._values)))
            raise ValueError(f"{names}: not supported; remove from the URL")

    def _printable(self, name: str) -> str:
        """Returns the name, or "a parameter" if it may be part of a password that contains an unescaped &."""
        return name if re.fullmatch(r"[a-z_]{1,40}", name) and not self._has_password else "a parameter"


def decode(text: str | None) -> str | None:
    """Returns percent-decoded text; None stays None.

    Raises ValueError for text that is not UTF-8 or contains NUL. The message quotes nothing, because a URL contains a
    password.
    """
    if text is None:
        return None
    # NUL ends a string in PostgreSQL's protocol: the rest would be read as another parameter.
    if re.search(r"%(?![0-9A-Fa-f]{2})|%00", text):
        raise ValueError("% must be written %25 unless it begins a percent-encoded character")
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise ValueError("percent-encoded text must be UTF-8") from None

"""The query of a database URL, as libpq reads it: every parameter is used, or rejected by name."""

import re
from urllib.parse import unquote


class Parameters:
    """The query of a URL; each parameter can be taken once."""

    def __init__(self, query: str) -> None:
        self._values: dict[str, str] = {}
        self._has_password = "password=" in query
        for part in filter(None, query.split("&")):
            # As libpq reads it: a plus is a plus.
            name, equals, value = part.partition("=")
            if not equals or name in self._values:
                raise ValueError(f"{self._safe(name)}: must be given once, as name=value")
            self._values[name] = decode(value) or ""

    def take(self, name: str, choices: tuple[str, ...] | None = None) -> str | None:
        value = self._values.pop(name, None)
        if value is not None and choices is not None and value not in choices:
            raise ValueError(f"{name}: must be one of {', '.join(choices)}")
        return value

    def peek(self, name: str) -> str | None:
        return self._values.get(name)

    def take_seconds(self, name: str) -> int | None:
        value = self.take(name)
        if value is not None and not re.fullmatch(r"[1-9][0-9]{0,3}", value):
            raise ValueError(f"{name}: must be seconds, 1 to 9999")
        return None if value is None else int(value)

    def reject_the_rest(self) -> None:
        if "options" in self._values:
            raise ValueError(
                "options: a pooler refuses them; for the time a statement may take there is DATABASE_STATEMENT_TIMEOUT"
            )
        if self._values:
            names = ", ".join(map(self._safe, sorted(self._values)))
            raise ValueError(f"{names}: can't be honoured; take it out of the URL")

    def _safe(self, name: str) -> str:
        """Where a password with a bare & was cut off, it is no parameter's name."""
        return name if re.fullmatch(r"[a-z_]{1,40}", name) and not self._has_password else "a parameter"


def decode(text: str | None) -> str | None:
    """Percent-decoded text. Raises ValueError for what is not UTF-8, and for NUL.

    The message quotes nothing, because a URL holds a password.
    """
    if text is None:
        return None
    # A NUL ends a text in PostgreSQL's protocol: what follows it would be another parameter.
    if re.search(r"%(?![0-9A-Fa-f]{2})|%00", text):
        raise ValueError("% must be written %25 where it does not begin a percent-encoded character")
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise ValueError("what is percent-encoded must be UTF-8") from None

"""The database's URL, as asyncpg takes it. The one place that knows how a URL has to change for it."""

import re
from urllib.parse import parse_qsl, urlencode

_HOST = r"(?:\[[0-9A-Fa-f:.%]+\]|[^\[\]@:/?#,]*)(?::[0-9]{1,5})?"
_URL = re.compile(
    rf"""(?:postgres|postgresql|postgresql\+asyncpg)://
    (?P<target> (?:[^@/?\#]*@)? {_HOST} (?:,{_HOST})* (?:/[^@?\#]*)? )
    (?:\?(?P<query>[^\#]*))?""",
    re.VERBOSE,
)


def asyncpg_dsn(url: str) -> str:
    """Takes `postgres://`, `postgresql://` and SQLAlchemy's `postgresql+asyncpg://`. A directory of a Unix socket is
    given as `?host=/directory`.

    Raises ValueError, with a message that names no part of the URL, for it holds a password.
    """
    match = _URL.fullmatch(url)
    try:
        if match is None or not url.isascii():
            raise ValueError
        parameters = parse_qsl(match["query"] or "", keep_blank_values=True, strict_parsing=True)
    except ValueError:
        raise ValueError(
            "not a URL of PostgreSQL: expected postgresql://user:password@host:port/database, "
            "in ASCII, where @ : / ? # in a user or a password are written %40 %3A %2F %3F %23"
        ) from None
    # asyncpg would send it to the server as a setting, which Neon's pooler refuses: asyncpg has no
    # channel binding.
    kept = [(name, value) for name, value in parameters if name != "channel_binding"]
    return f"postgresql://{match['target']}" + (f"?{urlencode(kept)}" if kept else "")

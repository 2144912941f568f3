"""The database's URL, as libpq, Neon and SQLAlchemy spell it, turned into what asyncpg takes.

The one place that knows their differences. What a parameter promises is kept, or the URL is refused: a parameter that
is dropped in silence is a timeout or a certificate's check that somebody believes in.
"""

import re
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from todo_api.database.url_parameters import Parameters, decode

_HOST = r"(?:\[[0-9A-Za-z:.%]+\]|[^\[\]@:/?#,]*)(?::[0-9]{1,5})?"
_URL = re.compile(
    rf"""(?:postgres|postgresql|postgresql\+asyncpg)://
    (?:(?P<user>[^@/?\#:]*)(?::(?P<password>[^@/?\#]*))?@)? (?P<hosts>{_HOST}(?:,{_HOST})*) (?:/(?P<database>[^@?\#]*))?
    (?:\?(?P<query>[^@\#]*))?""",
    re.VERBOSE,
)
# Poolers that are known by host:port: Neon's, also by the names that Vercel gave them, Supabase's and Azure's.
_POOLER = re.compile(
    r"[^.]+-pooler\..+\.(?:neon\.tech|postgres\.vercel-storage\.com):[0-9]+"
    r"|.+\.pooler\.supabase\.com:[0-9]+"
    r"|.+\.postgres\.database\.azure\.com:6432",
    re.IGNORECASE,
)
# In session mode. The statement cache would work there, but this port was in transaction mode too.
_SESSION_POOLER = re.compile(r".+\.pooler\.supabase\.com:5432", re.IGNORECASE)
# What makes their URLs direct, or those of a pooler in session mode.
_DIRECT = (
    (r"(?<=[@/,])([^.@/?#,]+)-pooler(?=\.[^/?#,]+\.(?:neon\.tech|postgres\.vercel-storage\.com))", r"\1"),
    (r"(\.pooler\.supabase\.com):6543(?=[,/?]|$)", r"\1:5432"),
    (r"(\.postgres\.database\.azure\.com):6432(?=[,/?]|$)", r"\1:5432"),
)

_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
# What says how TLS is to be done. With `allow` and `prefer` it need not be done at all.
_TLS_PARAMETERS = (
    "sslrootcert",
    "sslcert",
    "sslkey",
    "sslpassword",
    "sslcrl",
    "ssl_min_protocol_version",
    "ssl_max_protocol_version",
)
_TLS_VERSIONS = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}
_SESSION_ATTRIBUTES = ("any", "primary", "standby", "prefer-standby", "read-write", "read-only")


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """Where a database is and how it is reached. `parse` makes it."""

    hosts: tuple[str, ...]
    ports: tuple[int, ...]
    user: str | None
    password: str | None = field(repr=False)
    database: str | None
    ssl_mode: str
    tls: dict[str, str] = field(repr=False)
    channel_binding: bool
    direct_tls: bool
    application_name: str | None
    connect_timeout: int | None
    session_attributes: str
    pooled: bool
    """Behind PgBouncer in transaction mode: the next statement may run on another connection of the server."""

    @classmethod
    def parse(cls, url: str) -> Self:
        """Takes `postgres://`, `postgresql://` and SQLAlchemy's `postgresql+asyncpg://`, with libpq's parameters
        (https://www.postgresql.org/docs/18/libpq-connect.html#LIBPQ-PARAMKEYWORDS). `pgbouncer=true` says what the
        name of a Neon host ends in: that there is a pooler.

        Raises ValueError, with a message that quotes no value of the URL, for it holds a password.
        """
        if fault := _copied_with(url):
            raise ValueError(fault)
        match = _URL.fullmatch(url)
        if match is None or not (url.isascii() and url.isprintable()):
            raise ValueError(
                "not a URL of PostgreSQL: expected postgresql://user:password@host:port/database, "
                "in ASCII, where @ : / ? # in a user or a password are written %40 %3A %2F %3F %23"
            )
        parameters = Parameters(match["query"] or "")
        hosts, ports = _addresses(match["hosts"], parameters)
        database, user, password = (decode(match[part]) for part in ("database", "user", "password"))
        modes = parameters.take("channel_binding", ("disable", "prefer", "require"))
        ssl_mode = _ssl_mode(parameters, channel_binding=modes == "require")
        parameters.take("gssencmode", ("disable", "prefer"))
        parsed = cls(
            hosts=hosts,
            ports=ports,
            user=parameters.take("user") or user or None,
            password=parameters.take("password") or password or None,
            database=parameters.take("dbname") or database or None,
            ssl_mode=ssl_mode,
            tls=_tls(parameters, ssl_mode),
            channel_binding=modes == "require",
            direct_tls=parameters.take("sslnegotiation", ("postgres", "direct")) == "direct",
            application_name=parameters.take("application_name"),
            connect_timeout=parameters.take_seconds("connect_timeout"),
            session_attributes=parameters.take("target_session_attrs", _SESSION_ATTRIBUTES) or "any",
            pooled=parameters.take("pgbouncer", ("true", "false")) == "true"
            or any(map(_POOLER.fullmatch, _pairs(hosts, ports))),
        )
        if parsed.direct_tls and ssl_mode in ("disable", "allow", "prefer"):
            raise ValueError("sslnegotiation=direct: needs sslmode=require or a stricter one")
        parameters.reject_the_rest()
        return parsed

    @property
    def migrates(self) -> bool:
        """Whether migrations can use it: they need a connection of the server for as long as they run."""
        return not self.pooled or all(map(_SESSION_POOLER.fullmatch, _pairs(self.hosts, self.ports)))

    @property
    def address(self) -> str:
        """Where it is, for messages: host:port, or the path of a socket; several are separated by commas."""
        pairs = _pairs(self.hosts, self.ports)
        return ", ".join(re.sub(r"^(/.*):([0-9]+)$", r"\1/.s.PGSQL.\2", pair) for pair in pairs)

    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of `asyncpg.connect`. Reads the certificates.

        Raises ValueError for a certificate that can't be read.
        """
        arguments: dict[str, Any] = {
            "host": list(self.hosts),
            "port": list(self.ports),
            "user": self.user,
            "password": self.password,
            "database": self.database,
            "ssl": self._ssl(),
            "direct_tls": self.direct_tls,
            "target_session_attrs": self.session_attributes,
        }
        if self.connect_timeout is not None:
            arguments["timeout"] = self.connect_timeout
        if self.application_name is not None:
            arguments["server_settings"] = {"application_name": self.application_name}
        if self.pooled:
            # A statement that was prepared stays on one connection of the server; the next run may
            # get another. Without a name it is prepared and run in one go, in two round trips.
            arguments["statement_cache_size"] = 0
        return arguments

    def _ssl(self) -> ssl.SSLContext | str | bool:
        if self.ssl_mode == "disable":
            return False
        if self.ssl_mode in ("allow", "prefer"):
            return self.ssl_mode
        try:
            return self._context()
        except OSError as error:
            raise ValueError(f"the certificates can't be used: {error.strerror or type(error).__name__}") from None

    def _context(self) -> ssl.SSLContext:
        """As libpq: `require` looks at the certificate only where a root is given. Where one is wanted and none is
        given libpq fails; here it is the system's, and then the host's name counts too, for anybody can have a
        certificate of theirs. asyncpg has no channel binding; what it protects from, somebody in between, such a
        check does as well."""
        root, revoked = self.tls.get("sslrootcert") or _home("root.crt"), self.tls.get("sslcrl")
        if self.ssl_mode == "require" and root is None and not self.channel_binding:
            # Not the default context: it reads the system's certificates, for 20 ms.
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif root in (None, "system"):
            context = ssl.create_default_context()
        else:
            context = ssl.create_default_context(cafile=root)
            context.check_hostname = self.ssl_mode == "verify-full" or self.channel_binding
            revoked = revoked or _home("root.crl")
        if (certificate := self.tls.get("sslcert") or _home("postgresql.crt")) is not None:
            password = self.tls.get("sslpassword", "")
            context.load_cert_chain(certificate, self.tls.get("sslkey") or _home("postgresql.key"), password)
        if revoked is not None:
            context.load_verify_locations(cafile=revoked)
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
        # Python 3.13 refuses certificates of private authorities that libpq takes.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        # PostgreSQL 17 and newer want it where TLS comes first (sslnegotiation=direct).
        context.set_alpn_protocols(["postgresql"])
        context.minimum_version = _TLS_VERSIONS[self.tls.get("ssl_min_protocol_version", "TLSv1.2")]
        context.maximum_version = _TLS_VERSIONS[self.tls.get("ssl_max_protocol_version", "TLSv1.3")]
        return context


def unpooled(url: str) -> str | None:
    """The URL of the same database without the pooler: itself if it has none, another name or port of it if the host is
    a well-known one, and None if nobody can tell. Raises ValueError, as `parse`."""
    if DatabaseUrl.parse(url).migrates:
        return url
    direct = url
    for pooler, replacement in _DIRECT:
        direct = re.sub(pooler, replacement, direct, flags=re.IGNORECASE)
    if direct != url:
        # Prisma's spelling says the same again.
        direct = re.sub(r"(?<=[?&])pgbouncer=true(&|$)", "", direct).rstrip("?&")
    return direct if DatabaseUrl.parse(direct).migrates else None


def _copied_with(url: str) -> str | None:
    """What was copied together with a URL, from a terminal or from an .env file."""
    if url != url.strip():
        return "a blank or a line break stands before or after the URL: remove it"
    if url[:1] in ("'", '"', "`") or url[-1:] in ("'", '"', "`"):
        return "the URL stands in quotes: remove them"
    return None


def _pairs(hosts: tuple[str, ...], ports: tuple[int, ...]) -> list[str]:
    bracketed = (f"[{host}]" if ":" in host else host for host in hosts)
    return [f"{host}:{port}" for host, port in zip(bracketed, ports, strict=True)]


def _addresses(given: str, parameters: Parameters) -> tuple[tuple[str, ...], tuple[int, ...]]:
    pairs = [re.fullmatch(r"(\[.*\]|[^:]*)(?::([0-9]+))?", each) for each in given.split(",")]
    hosts = [(decode(pair[1]) or "").strip("[]") for pair in pairs if pair]
    ports = [pair[2] or "5432" for pair in pairs if pair]
    if (named := parameters.take("host")) is not None:
        hosts = named.split(",")
    if (named := parameters.take("port")) is not None:
        ports = named.split(",")
    if len(ports) == 1:
        ports *= len(hosts)
    if not all(hosts):
        raise ValueError("the host is missing")
    if len(hosts) != len(ports) or not all(port.isdecimal() and 0 < int(port) < 65536 for port in ports):
        raise ValueError("port: must be 1 to 65535, one for each host or one for all")
    return tuple(hosts), tuple(map(int, ports))


def _ssl_mode(parameters: Parameters, *, channel_binding: bool) -> str:
    mode = parameters.take("sslmode", _SSL_MODES)
    # SQLAlchemy's and asyncpg's name for it, and JDBC's `true`, which libpq takes as well.
    other = parameters.take("ssl", (*_SSL_MODES, "true"))
    if mode is not None and other is not None:
        raise ValueError("ssl: is sslmode by another name; give one of them")
    mode = mode or ("require" if other == "true" else other)
    if parameters.peek("sslrootcert") == "system":
        if mode not in (None, "verify-full"):
            raise ValueError("sslrootcert=system: needs sslmode=verify-full")
        return "verify-full"
    if channel_binding:
        if mode in ("disable", "allow"):
            raise ValueError("channel_binding=require: needs sslmode=require or a stricter one")
        return "require" if mode in (None, "prefer") else mode
    return mode or "prefer"


def _tls(parameters: Parameters, ssl_mode: str) -> dict[str, str]:
    given = {name: value for name in _TLS_PARAMETERS if (value := parameters.take(name)) is not None}
    if given and ssl_mode in ("disable", "allow", "prefer"):
        raise ValueError(f"{', '.join(given)}: needs sslmode=require or a stricter one")
    for name, value in given.items():
        if name.endswith("_version"):
            if value not in _TLS_VERSIONS:
                raise ValueError(f"{name}: must be one of {', '.join(_TLS_VERSIONS)}")
        elif name != "sslpassword" and (name, value) != ("sslrootcert", "system") and not _is_file(Path(value)):
            raise ValueError(f"{name}: there is no such file")
    least, most = given.get("ssl_min_protocol_version", ""), given.get("ssl_max_protocol_version", "TLSv1.3")
    if least > most:
        raise ValueError("ssl_min_protocol_version: is above ssl_max_protocol_version")
    return given


def _home(name: str) -> str | None:
    """libpq's own place for certificates."""
    try:
        path = Path.home() / ".postgresql" / name
    except RuntimeError:
        # A container's user may have no home.
        return None
    return str(path) if _is_file(path) else None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        # One that we may not look at, such as in the home of root, whose HOME we have.
        return False

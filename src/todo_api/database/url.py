"""Converts a database URL, as written for libpq, Neon or SQLAlchemy, to the arguments of asyncpg.

Every parameter takes effect, or the URL is rejected: a parameter that is ignored silently would be a timeout or a check
of a certificate that the operator relies on.
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
# Well-known poolers, by host:port: those of Neon (also under Vercel's names), Supabase and Azure.
_POOLER = re.compile(
    r"[^.]+-pooler\..+\.(?:neon\.tech|postgres\.vercel-storage\.com):[0-9]+"
    r"|.+\.pooler\.supabase\.com:[0-9]+"
    r"|.+\.postgres\.database\.azure\.com:6432",
    re.IGNORECASE,
)
# Supabase's pooler in session mode. The statement cache stays off there, because this port once ran transaction mode.
_SESSION_POOLER = re.compile(r".+\.pooler\.supabase\.com:5432", re.IGNORECASE)
# Patterns and replacements that turn their URLs into direct ones (Supabase: of the pooler in session mode).
_DIRECT = (
    (r"(?<=[@/,])([^.@/?#,]+)-pooler(?=\.[^/?#,]+\.(?:neon\.tech|postgres\.vercel-storage\.com))", r"\1"),
    (r"(\.pooler\.supabase\.com):6543(?=[,/?]|$)", r"\1:5432"),
    (r"(\.postgres\.database\.azure\.com):6432(?=[,/?]|$)", r"\1:5432"),
)

_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
# Parameters of TLS. Rejected with `allow` and `prefer`, which may connect without TLS.
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
    """A parsed database URL. Created by `parse`."""

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
    """Whether the host is a pooler in transaction mode, where each statement may run on another server connection."""

    @classmethod
    def parse(cls, url: str) -> Self:
        """Parses `postgres://`, `postgresql://` and SQLAlchemy's `postgresql+asyncpg://`, with libpq's parameters
        (https://www.postgresql.org/docs/18/libpq-connect.html#LIBPQ-PARAMKEYWORDS). `pgbouncer=true` marks a pooler
        whose host is not well known.

        Raises ValueError. Its message quotes no value of the URL, which contains a password.
        """
        if fault := _copy_error(url):
            raise ValueError(fault)
        match = _URL.fullmatch(url)
        if match is None or not (url.isascii() and url.isprintable()):
            raise ValueError(
                "not a URL of PostgreSQL: expected postgresql://user:password@host:port/database, "
                "in ASCII, with @ : / ? # in a user or a password written as %40 %3A %2F %3F %23"
            )
        parameters = Parameters(match["query"] or "")
        hosts, ports = _addresses(match["hosts"], parameters)
        database, user, password = (decode(match[part]) for part in ("database", "user", "password"))
        channel_binding = parameters.take("channel_binding", ("disable", "prefer", "require")) == "require"
        ssl_mode = _ssl_mode(parameters, channel_binding=channel_binding)
        parameters.take("gssencmode", ("disable", "prefer"))
        parsed = cls(
            hosts=hosts,
            ports=ports,
            user=parameters.take("user") or user or None,
            password=parameters.take("password") or password or None,
            database=parameters.take("dbname") or database or None,
            ssl_mode=ssl_mode,
            tls=_tls(parameters, ssl_mode),
            channel_binding=channel_binding,
            direct_tls=parameters.take("sslnegotiation", ("postgres", "direct")) == "direct",
            application_name=parameters.take("application_name"),
            connect_timeout=parameters.take_seconds("connect_timeout"),
            session_attributes=parameters.take("target_session_attrs", _SESSION_ATTRIBUTES) or "any",
            pooled=parameters.take("pgbouncer", ("true", "false")) == "true"
            or any(map(_POOLER.fullmatch, _host_ports(hosts, ports))),
        )
        if parsed.direct_tls and ssl_mode in ("disable", "allow", "prefer"):
            raise ValueError("sslnegotiation=direct: requires sslmode=require or a stricter one")
        parameters.reject_unknown()
        return parsed

    @property
    def supports_migrations(self) -> bool:
        """Whether migrations can use the URL: they require one server connection for the whole transaction."""
        return not self.pooled or all(map(_SESSION_POOLER.fullmatch, _host_ports(self.hosts, self.ports)))

    @property
    def address(self) -> str:
        """For messages: host:port or the path of a socket, separated by commas if there are several."""
        pairs = _host_ports(self.hosts, self.ports)
        return ", ".join(re.sub(r"^(/.*):([0-9]+)$", r"\1/.s.PGSQL.\2", pair) for pair in pairs)

    def arguments(self) -> dict[str, Any]:
        """Returns the keyword arguments of `asyncpg.connect`. Reads the certificates.

        Raises ValueError if a certificate cannot be loaded.
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
            # A prepared statement exists on one server connection only, and the next run may use another. Without the
            # cache, statements have no name, and each is prepared and run in two round trips.
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
            raise ValueError(f"the certificates cannot be loaded: {error.strerror or type(error).__name__}") from None

    def _context(self) -> ssl.SSLContext:
        """Returns the TLS context, which verifies as libpq does, with two exceptions.

        `require` verifies the certificate only if a root is given. If verification is required and no root is given,
        libpq fails; here the system's roots are used, and the host name is checked too, because these issue
        certificates for any host. `channel_binding=require`, which asyncpg lacks, becomes the same check, because both
        prevent a man in the middle.
        """
        root, revoked = self.tls.get("sslrootcert") or _default_file("root.crt"), self.tls.get("sslcrl")
        if self.ssl_mode == "require" and root is None and not self.channel_binding:
            # Not create_default_context(), which reads the system's certificates: 20 ms.
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif root in (None, "system"):
            context = ssl.create_default_context()
        else:
            context = ssl.create_default_context(cafile=root)
            context.check_hostname = self.ssl_mode == "verify-full" or self.channel_binding
            revoked = revoked or _default_file("root.crl")
        if (certificate := self.tls.get("sslcert") or _default_file("postgresql.crt")) is not None:
            password = self.tls.get("sslpassword", "")
            context.load_cert_chain(certificate, self.tls.get("sslkey") or _default_file("postgresql.key"), password)
        if revoked is not None:
            context.load_verify_locations(cafile=revoked)
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
        # Python 3.13 sets this flag, and then rejects certificates of private authorities that libpq accepts.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        # PostgreSQL 17 and newer require ALPN for sslnegotiation=direct.
        context.set_alpn_protocols(["postgresql"])
        context.minimum_version = _TLS_VERSIONS[self.tls.get("ssl_min_protocol_version", "TLSv1.2")]
        context.maximum_version = _TLS_VERSIONS[self.tls.get("ssl_max_protocol_version", "TLSv1.3")]
        return context


def unpooled(url: str) -> str | None:
    """Returns the URL of the same database without the pooler: `url` itself if it names none, another host or port if
    the pooler is well known, otherwise None. Raises ValueError, as `parse`."""
    if DatabaseUrl.parse(url).supports_migrations:
        return url
    direct = url
    for pooler, replacement in _DIRECT:
        direct = re.sub(pooler, replacement, direct, flags=re.IGNORECASE)
    if direct != url:
        # Prisma's parameter would still mark the direct URL as a pooler.
        direct = re.sub(r"(?<=[?&])pgbouncer=true(&|$)", "", direct).rstrip("?&")
    return direct if DatabaseUrl.parse(direct).supports_migrations else None


def _copy_error(url: str) -> str | None:
    """Returns the error for characters that were copied with a URL, from a terminal or an .env file, or None."""
    if url != url.strip():
        return "a blank or a line break is before or after the URL: remove it"
    if url[:1] in ("'", '"', "`") or url[-1:] in ("'", '"', "`"):
        return "the URL is in quotes: remove them"
    return None


def _host_ports(hosts: tuple[str, ...], ports: tuple[int, ...]) -> list[str]:
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
    # The name of SQLAlchemy and asyncpg, and JDBC's `ssl=true`, which libpq accepts too.
    other = parameters.take("ssl", (*_SSL_MODES, "true"))
    if mode is not None and other is not None:
        raise ValueError("ssl: is another name of sslmode; give only one of them")
    mode = mode or ("require" if other == "true" else other)
    if parameters.peek("sslrootcert") == "system":
        if mode not in (None, "verify-full"):
            raise ValueError("sslrootcert=system: requires sslmode=verify-full")
        return "verify-full"
    if channel_binding:
        if mode in ("disable", "allow"):
            raise ValueError("channel_binding=require: requires sslmode=require or a stricter one")
        return "require" if mode in (None, "prefer") else mode
    return mode or "prefer"


def _tls(parameters: Parameters, ssl_mode: str) -> dict[str, str]:
    given = {name: value for name in _TLS_PARAMETERS if (value := parameters.take(name)) is not None}
    if given and ssl_mode in ("disable", "allow", "prefer"):
        raise ValueError(f"{', '.join(given)}: requires sslmode=require or a stricter one")
    for name, value in given.items():
        if name.endswith("_version"):
            if value not in _TLS_VERSIONS:
                raise ValueError(f"{name}: must be one of {', '.join(_TLS_VERSIONS)}")
        elif name != "sslpassword" and (name, value) != ("sslrootcert", "system") and not _is_file(Path(value)):
            raise ValueError(f"{name}: there is no such file")
    minimum, maximum = given.get("ssl_min_protocol_version", ""), given.get("ssl_max_protocol_version", "TLSv1.3")
    if minimum > maximum:
        raise ValueError("ssl_min_protocol_version: must not be above ssl_max_protocol_version")
    return given


def _default_file(name: str) -> str | None:
    """Returns the path of a file in libpq's default folder for certificates, or None if there is none."""
    try:
        path = Path.home() / ".postgresql" / name
    except RuntimeError:
        # A container's user may have no home directory.
        return None
    return str(path) if _is_file(path) else None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        # A file that may not be read, for example if HOME is root's and the process runs as another user.
        return False

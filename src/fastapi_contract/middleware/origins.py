"""Origins of pages, as browsers write them in the Origin header (https://url.spec.whatwg.org/#host-serializing)."""

import re
from ipaddress import IPv4Address, IPv6Address

LOCAL = ("http://localhost:*", "http://127.0.0.1:*")
"""Any port of this machine, because development servers take the next port if theirs (Vite's 5173, Next.js's 3000) is
in use."""

_PORTS = {"http": "80", "https": "443"}
_ORIGIN = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]+\]|[^\[\]:/?#@\\\s]+)(?::(?P<port>[0-9]{0,5}|\*))?/?", re.IGNORECASE
)
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_WILDCARD = re.compile(r"[a-z0-9_-]{0,62}\*[a-z0-9_-]{0,62}")
# A suffix under which a registry sells names: co.uk is one, example.co.uk is not.
_PUBLIC_SUFFIX = re.compile(r"(?:ac|co|com|edu|gov|ne|net|or|org)\.[a-z]{2}")


def normalize(origin: str) -> str:
    """Returns an origin as browsers write it: lower case, no default port, international names in ASCII (xn--).

    One `*` may replace a label of the host or a part of it if a domain follows: `https://app-*.example.com`. The port
    may be `*` for localhost, 127.0.0.1 and [::1]. Raises ValueError for anything else, with a message that contains no
    part of the origin.

        normalize("HTTPS://Bücher.example:443/")  # "https://xn--bcher-kva.example"
        normalize("http://localhost:*")           # "http://localhost:*"
        normalize("https://*.co.uk")              # ValueError
    """
    if origin in ("null", "*"):
        raise ValueError("must name origins: null and * would allow every page")
    match = _ORIGIN.fullmatch(origin)
    if match is None:
        raise ValueError(
            "must be origins such as https://app.example.com, separated by commas: "
            "http or https and a host, without user, path, query or fragment"
        )
    scheme, host, port = match["scheme"].lower(), _normalize_host(match["host"]), match["port"] or ""
    if port == "*":
        if host not in ("localhost", "127.0.0.1", "[::1]"):
            raise ValueError("must have a port number or no port: * is allowed for localhost, 127.0.0.1 and [::1] only")
        return f"{scheme}://{host}:*"
    port = port and str(int(port))
    if port and int(port) > 65535:
        raise ValueError("must have a port of at most 65535")
    return f"{scheme}://{host}" + (f":{port}" if port not in ("", _PORTS[scheme]) else "")


def compile_pattern(origin: str) -> re.Pattern[bytes]:
    """Returns the pattern of a normalized origin with a `*`, which never matches a dot. Use its `fullmatch` on the
    Origin header.

        compile_pattern("https://app-*.example.com").fullmatch(b"https://app-1.example.com")  # a match
    """
    host, port = (origin.removesuffix(":*"), r"(?::[0-9]{1,5})?") if origin.endswith(":*") else (origin, "")
    return re.compile((re.escape(host).replace(r"\*", "[a-z0-9_-]{1,63}") + port).encode())


def _normalize_host(host: str) -> str:
    try:
        if host.startswith("["):
            return f"[{IPv6Address(host[1:-1]).compressed}]"
        labels = _to_ascii(host).split(".")
        # Browsers parse a host whose last label is a number as an IPv4 address.
        if re.fullmatch(r"[0-9]+|0x[0-9a-f]*", labels[-1]):
            return str(IPv4Address(".".join(labels)))
    except ValueError:
        raise ValueError("must have a host name, or an IP address as browsers write it") from None
    wildcards = [index for index, label in enumerate(labels) if "*" in label]
    fixed = [label for label in labels if "*" not in label]
    if not all(map(_LABEL.fullmatch, fixed)) or len(".".join(labels)) > 253:
        raise ValueError("must have a host name of letters, digits and hyphens")
    if wildcards:
        domain = ".".join(labels[wildcards[0] + 1 :])
        if len(wildcards) > 1 or not _WILDCARD.fullmatch(labels[wildcards[0]]):
            raise ValueError("must have at most one *, within one label of the host")
        if "." not in domain or _PUBLIC_SUFFIX.fullmatch(domain):
            raise ValueError("must have a domain after the *, as in https://*.example.com")
    return ".".join(labels)


def _to_ascii(host: str) -> str:
    """Converts a host as browsers do (UTS 46, nontransitional). Python's own codec implements IDNA 2003, and turns ß
    into ss."""
    if host.isascii():
        return host.lower()
    # Imported on demand, because it takes 10 ms and 1 MB, and most services have no international host.
    import idna  # noqa: PLC0415

    labels = idna.uts46_remap(host, std3_rules=False, transitional=False).split(".")
    return ".".join(label if label.isascii() else f"xn--{label.encode('punycode').decode()}" for label in labels)

"""Origins of pages, as browsers write them in the Origin header (https://url.spec.whatwg.org/#host-serializing)."""

import re
from ipaddress import IPv4Address, IPv6Address

LOCAL = ("http://localhost:*", "http://127.0.0.1:*")
"""Any port of this machine: vite serves on 5173, Next.js on 3000, and on the next one if that is in use."""

_PORTS = {"http": "80", "https": "443"}
_ORIGIN = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]+\]|[^\[\]:/?#@\\\s]+)(?::(?P<port>[0-9]{0,5}|\*))?/?", re.IGNORECASE
)
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_WILDCARD = re.compile(r"[a-z0-9_-]{0,62}\*[a-z0-9_-]{0,62}")
# example.co.uk is a domain, co.uk is what a registry sells names under.
_REGISTRY = re.compile(r"(?:ac|co|com|edu|gov|ne|net|or|org)\.[a-z]{2}")


def normalize(origin: str) -> str:
    """The spelling that browsers send: lower case, no default port, international names in ASCII (xn--).

    One `*` may stand for a label of the host or a part of it, if a domain follows: `https://app-*.example.com`. A port
    may be `*` for localhost, 127.0.0.1 and [::1]. Raises ValueError for anything else; the message quotes nothing.
    """
    if origin in ("null", "*"):
        raise ValueError("must name origins: any page can have the origin null, and * means every page")
    match = _ORIGIN.fullmatch(origin)
    if match is None:
        raise ValueError(
            "must be origins such as https://app.example.com, separated by commas: "
            "http or https and a host, without user, path, query or fragment"
        )
    scheme, host, port = match["scheme"].lower(), _host(match["host"]), match["port"] or ""
    if port == "*":
        if host not in ("localhost", "127.0.0.1", "[::1]"):
            raise ValueError("must have a port or none: * for any port is for localhost, 127.0.0.1 and [::1]")
        return f"{scheme}://{host}:*"
    port = port and str(int(port))
    if port and int(port) > 65535:
        raise ValueError("must have a port of 65535 at most")
    return f"{scheme}://{host}" + (f":{port}" if port not in ("", _PORTS[scheme]) else "")


def pattern(origin: str) -> re.Pattern[bytes]:
    """What a normalized origin with a `*` matches: never across a dot."""
    host, any_port = (origin.removesuffix(":*"), r"(?::[0-9]{1,5})?") if origin.endswith(":*") else (origin, "")
    return re.compile((re.escape(host).replace(r"\*", "[a-z0-9_-]{1,63}") + any_port).encode())


def _host(host: str) -> str:
    try:
        if host.startswith("["):
            return f"[{IPv6Address(host[1:-1]).compressed}]"
        labels = _to_ascii(host).split(".")
        # A host whose last label is a number is an IPv4 address for a browser.
        if re.fullmatch(r"[0-9]+|0x[0-9a-f]*", labels[-1]):
            return str(IPv4Address(".".join(labels)))
    except ValueError:
        raise ValueError("must have a host name, or an IP address as browsers write it") from None
    wildcards = [place for place, label in enumerate(labels) if "*" in label]
    fixed = [label for label in labels if "*" not in label]
    if not all(map(_LABEL.fullmatch, fixed)) or len(".".join(labels)) > 253:
        raise ValueError("must have a host name of letters, digits and hyphens")
    if wildcards:
        domain = ".".join(labels[wildcards[0] + 1 :])
        if len(wildcards) > 1 or not _WILDCARD.fullmatch(labels[wildcards[0]]):
            raise ValueError("must have one * at most, for one label of the host")
        if "." not in domain or _REGISTRY.fullmatch(domain):
            raise ValueError("must have a domain after the *, as in https://*.example.com")
    return ".".join(labels)


def _to_ascii(host: str) -> str:
    """As browsers do it (UTS 46, nontransitional). The codec of the standard library writes ß as ss (IDNA 2003)."""
    if host.isascii():
        return host.lower()
    # 10 ms and 1 MB, which most services need not have.
    import idna  # noqa: PLC0415

    labels = idna.uts46_remap(host, std3_rules=False, transitional=False).split(".")
    return ".".join(label if label.isascii() else f"xn--{label.encode('punycode').decode()}" for label in labels)

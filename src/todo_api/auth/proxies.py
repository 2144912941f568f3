"""Reads the proxy and the certificate authorities for requests to the issuer from the environment: HTTP_PROXY,
HTTPS_PROXY, ALL_PROXY and NO_PROXY as curl does, SSL_CERT_FILE and SSL_CERT_DIR as httpx does.

httpx reads all proxy variables at once, and raises if any of them has a value that it does not support, such as IPv6 in
NO_PROXY or a SOCKS proxy. The issuer has one URL, so only the variables for this URL are read here.
"""

import os
import re
import ssl
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}
_PROXY = re.compile(
    r"(?:https?://)?(?:[^@/?#\s]*@)?(?:\[[0-9A-Fa-f:.]+\]|[^\[\]@:/?#\s]+)(?::(?P<port>[0-9]{1,5}))?/?", re.IGNORECASE
)


def proxy_for(url: str, environment: Mapping[str, str] = os.environ) -> str | None:
    """Returns the URL of the HTTP proxy for `url`, or None if the connection is direct.

    Raises ValueError; the message names the variable and never its value, because proxies carry passwords.
    """
    target = urlsplit(url)
    host, port = (target.hostname or "").rstrip("."), target.port or _PORTS[target.scheme]
    _, no_proxy = _read(environment, "no_proxy")
    if any(_matches(entry, host, port) for entry in re.split(r"[,\s]+", no_proxy.lower())):
        return None
    for name in (f"{target.scheme}_proxy", "all_proxy"):
        variable, value = _read(environment, name)
        if value:
            return _proxy(variable, value)
    return None


def certificates(environment: Mapping[str, str] = os.environ) -> ssl.SSLContext | None:
    """Returns a TLS context with the authorities of SSL_CERT_FILE or SSL_CERT_DIR, or None if neither is set.

    Raises ValueError; the message names the variable.
    """
    if file := environment.get("SSL_CERT_FILE"):
        try:
            return ssl.create_default_context(cafile=file)
        except OSError as error:
            fault = "holds no PEM certificates" if isinstance(error, ssl.SSLError) else error.strerror
            raise ValueError(f"SSL_CERT_FILE: {fault}. Set it to a file of PEM certificates, or unset it.") from None
    if directory := environment.get("SSL_CERT_DIR"):
        # OpenSSL accepts a list, and does not report a missing directory until the first handshake fails.
        if not any(Path(each).is_dir() for each in directory.split(os.pathsep)):
            raise ValueError("SSL_CERT_DIR: is not a directory. Set it to a directory of certificates, or unset it.")
        return ssl.create_default_context(capath=directory)
    return None


def _read(environment: Mapping[str, str], name: str) -> tuple[str, str]:
    """Returns name and value of the variable in lower case, or else in upper case. A blank value counts as unset."""
    for variable in (name, name.upper()):
        if value := environment.get(variable, "").strip():
            return variable, value
    return name, ""


def _proxy(variable: str, value: str) -> str:
    scheme, separator, _ = value.partition("://")
    if separator and scheme.lower() not in _PORTS:
        raise ValueError(
            f"{variable}: must be an HTTP proxy (http:// or https://), because SOCKS and others are not supported. "
            "Add the host of BETTER_AUTH_JWKS_URL to NO_PROXY if it is reached directly."
        )
    match = _PROXY.fullmatch(value)
    if match is None or not 0 < int(match["port"] or 80) < 65536:
        raise ValueError(
            f"{variable}: must be a URL such as http://proxy.example.com:3128, with an IPv6 address in brackets, "
            "and with @ : / ? # in a user or password written %40 %3A %2F %3F %23."
        )
    return value if separator else f"http://{value}"


def _matches(entry: str, host: str, port: int) -> bool:
    """Whether an entry of NO_PROXY matches the host: a domain with its subdomains, an address, a range of addresses, or
    `*`, with an optional port. Any other entry matches no host."""
    if entry == "*":
        return True
    match = re.fullmatch(r"(\[[^\]]*\]|[^:]*)(?::([0-9]{1,5}))?", entry)
    name, entry_port = (match[1], match[2]) if match else (entry, None)
    if entry_port is not None and int(entry_port) != port:
        return False
    try:
        address = ip_address(host)
    except ValueError:
        name = re.sub(r"^\*?\.", "", name).rstrip(".")
        return name != "" and (host == name or host.endswith(f".{name}"))
    try:
        return address in ip_network(name.strip("[]"), strict=False)
    except ValueError:
        return False

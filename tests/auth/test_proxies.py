"""Keys are fetched through the proxy that the environment names; an unusable proxy is rejected at the start."""

import asyncio
import http.client
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import pytest

from support.certificates import issue
from support.issuer import Issuer
from support.issuer import issuer as running_issuer
from todo_api.auth.jwks import IssuerUnavailableError, PublishedKeys
from todo_api.settings import SettingsError, load_settings

PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (*PROXY_VARIABLES, *map(str.upper, PROXY_VARIABLES), "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


@dataclass
class Proxy:
    """An HTTP proxy on the loopback. It connects to the issuer, whatever host the request names."""

    port: int
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    """Target and Proxy-Authorization of each request."""

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"


@contextmanager
def running_proxy(issuer: Issuer) -> Iterator[Proxy]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            running.requests.append((self.path, self.headers["Proxy-Authorization"]))
            upstream = http.client.HTTPConnection("127.0.0.1", issuer.port)
            upstream.request("GET", urlsplit(self.path).path)
            body = upstream.getresponse().read()
            upstream.close()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_CONNECT(self) -> None:
            running.requests.append((self.path, self.headers["Proxy-Authorization"]))
            self.send_error(502)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running = Proxy(server.server_port)
    thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield running
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with running_issuer() as issuer:
        yield issuer


@pytest.fixture
def proxy(issuer: Issuer) -> Iterator[Proxy]:
    with running_proxy(issuer) as running:
        yield running


def fetches_key(url: str, kid: str) -> bool:
    """Whether the key is found by a service whose settings are read from this environment."""

    async def find() -> bool:
        keys = PublishedKeys(url, ("EdDSA",))
        try:
            await keys.start()
            return await keys.find(kid) is not None
        finally:
            await keys.close()

    return asyncio.run(find())


def set_variables(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], proxy: Proxy, issuer: Issuer) -> None:
    monkeypatch.setenv("BETTER_AUTH_JWKS_URL", issuer.jwks_url)
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(proxy=proxy.address, port=issuer.port))


PROXIED = {
    "HTTP_PROXY": {"HTTP_PROXY": "http://{proxy}"},
    "http_proxy": {"http_proxy": "http://{proxy}"},
    "ALL_PROXY": {"ALL_PROXY": "http://{proxy}"},
    "all_proxy": {"all_proxy": "http://{proxy}"},
    "no scheme": {"HTTP_PROXY": "{proxy}"},
    "final slash": {"HTTP_PROXY": "http://{proxy}/"},
    "upper case scheme": {"HTTP_PROXY": "HTTP://{proxy}"},
    "white space around": {"HTTP_PROXY": " http://{proxy} \n"},
    "lower case wins": {"http_proxy": "http://{proxy}", "HTTP_PROXY": "socks5://hunter2"},
    "blank lower case": {"http_proxy": " ", "HTTP_PROXY": "http://{proxy}"},
    "SOCKS for everything else": {"HTTP_PROXY": "http://{proxy}", "ALL_PROXY": "socks5://127.0.0.1:1"},
    "SOCKS for https": {"HTTP_PROXY": "http://{proxy}", "HTTPS_PROXY": "socks5://127.0.0.1:1"},
    "NO_PROXY of IPv6 ranges": {"HTTP_PROXY": "http://{proxy}", "NO_PROXY": "localhost,fd07:b51a:cc66:f0::/64"},
    "no_proxy in brackets": {"HTTP_PROXY": "http://{proxy}", "no_proxy": "[::1]"},
    "NO_PROXY of another range": {"HTTP_PROXY": "http://{proxy}", "NO_PROXY": "10.0.0.0/8"},
    "NO_PROXY of another port": {"HTTP_PROXY": "http://{proxy}", "NO_PROXY": "127.0.0.1:1"},
    "NO_PROXY of an address's end": {"HTTP_PROXY": "http://{proxy}", "NO_PROXY": "0.0.1,.1,27.0.0.1"},
    "NO_PROXY blank": {"HTTP_PROXY": "http://{proxy}", "NO_PROXY": " , ,"},
    "NO_PROXY nonsense": {"HTTP_PROXY": "http://{proxy}", "NO_PROXY": "///,[,]:,http://x/,127.0.0.1/99,:1"},
}
DIRECT = {
    "no variables": {},
    "blank": {"HTTP_PROXY": "", "ALL_PROXY": " "},
    "HTTPS_PROXY alone": {"HTTPS_PROXY": "http://{proxy}"},
    "HTTPS_PROXY of SOCKS": {"HTTPS_PROXY": "socks5://127.0.0.1:1"},
    "NO_PROXY of the address": {"HTTP_PROXY": "http://{proxy}", "NO_PROXY": "127.0.0.1"},
    "no_proxy of the address": {"HTTP_PROXY": "http://{proxy}", "no_proxy": "127.0.0.1"},
    "NO_PROXY of address and port": {"HTTP_PROXY": "http://{proxy}", "NO_PROXY": "127.0.0.1:{port}"},
    "NO_PROXY of a range": {"HTTP_PROXY": "http://{proxy}", "NO_PROXY": "127.0.0.0/8"},
    "NO_PROXY of everything": {"HTTP_PROXY": "http://{proxy}", "NO_PROXY": "*"},
    "NO_PROXY in a list": {"HTTP_PROXY": "http://{proxy}", "NO_PROXY": "fd07:b51a:cc66:f0::/64,[::1], 127.0.0.1"},
    "NO_PROXY separated by spaces": {"HTTP_PROXY": "http://{proxy}", "NO_PROXY": "localhost 127.0.0.1"},
    "SOCKS and NO_PROXY": {"ALL_PROXY": "socks5://127.0.0.1:1", "NO_PROXY": "127.0.0.1"},
}


@pytest.mark.parametrize("variables", PROXIED.values(), ids=PROXIED)
def test_keys_are_fetched_through_the_proxy(
    issuer: Issuer, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    set_variables(monkeypatch, variables, proxy, issuer)
    assert load_settings().better_auth_jwks_url == issuer.jwks_url
    assert fetches_key(issuer.jwks_url, issuer.new_key().kid)
    assert proxy.requests == [(issuer.jwks_url, None)]


@pytest.mark.parametrize("variables", DIRECT.values(), ids=DIRECT)
def test_keys_are_fetched_without_the_proxy(
    issuer: Issuer, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    set_variables(monkeypatch, variables, proxy, issuer)
    assert load_settings().better_auth_jwks_url == issuer.jwks_url
    assert fetches_key(issuer.jwks_url, issuer.new_key().kid)
    assert proxy.requests == []


def test_proxy_resolves_the_issuers_name(issuer: Issuer, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://{proxy.address}")
    url = "http://issuer.invalid/api/auth/jwks"
    assert fetches_key(url, issuer.new_key().kid)
    assert proxy.requests == [(url, None)]


def test_proxy_gets_the_password_of_the_variable(issuer: Issuer, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://me:p%40ss@{proxy.address}")
    assert fetches_key(issuer.jwks_url, issuer.new_key().kid)
    assert proxy.requests == [(issuer.jwks_url, "Basic bWU6cEBzcw==")]


def test_https_issuer_is_reached_through_a_tunnel(
    issuer: Issuer, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.address}")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")

    async def start() -> None:
        keys = PublishedKeys("https://issuer.invalid/api/auth/jwks", ("EdDSA",))
        await keys.start()
        await keys.close()

    asyncio.run(start())
    assert proxy.requests == [("issuer.invalid:443", None)]


NO_PROXY = {
    "the domain": ("app.example.com", True),
    "its parent": ("example.com", True),
    "its parent with a dot": (".example.com", True),
    "its parent with a star": ("*.example.com", True),
    "upper case": ("APP.Example.COM", True),
    "a final dot": ("example.com.", True),
    "the port": ("app.example.com:443", True),
    "another port": ("app.example.com:80", False),
    "a subdomain": ("www.app.example.com", False),
    "the end of a label": ("ample.com", False),
    "an address": ("127.0.0.1", False),
    "a dot": (".", False),
}


@pytest.mark.parametrize(("value", "matches"), NO_PROXY.values(), ids=NO_PROXY)
def test_no_proxy_matches_hosts_as_curl_does(
    issuer: Issuer, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, value: str, matches: bool
) -> None:
    """The proxy is invalid, so the settings are rejected unless NO_PROXY matches the host."""
    monkeypatch.setenv("BETTER_AUTH_JWKS_URL", "https://app.example.com/jwks")
    monkeypatch.setenv("HTTPS_PROXY", "socks5://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", value)
    if matches:
        load_settings()
    else:
        with pytest.raises(SettingsError):
            load_settings()


@pytest.mark.parametrize("value", ["::1", "[::1]", "[::1]:443", "::/64", "0::1", "0:0:0:0:0:0:0:1"], ids=str)
def test_no_proxy_matches_ipv6_in_every_spelling(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("BETTER_AUTH_JWKS_URL", "https://[::1]/jwks")
    monkeypatch.setenv("HTTPS_PROXY", "socks5://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", value)
    load_settings()
    monkeypatch.setenv("BETTER_AUTH_JWKS_URL", "https://[2001:db8::1]/jwks")
    with pytest.raises(SettingsError):
        load_settings()


INVALID_PROXIES = {
    "SOCKS 5": "socks5://hunter2:hunter2@127.0.0.1:1080",
    "SOCKS 5, names resolved there": "socks5h://hunter2",
    "SOCKS 4": "socks4://hunter2",
    "FTP": "ftp://hunter2",
    "port too high": "http://hunter2:99999",
    "port zero": "http://hunter2:0",
    "port a name": "http://proxy:hunter2",
    "IPv6 without brackets": "http://fd07::1:3128",
    "IPv6 half in brackets": "http://[::1",
    "no host": "http://",
    "no host but a port": "http://:3128",
    "a space inside": "http://hunter2 x",
    "a path": "http://hunter2/path",
    "a bare slash in the password": "http://me:hunter/2@proxy:3128",
    "a bare at sign in the password": "http://me:hunter2@2@proxy:3128",
}


@pytest.mark.parametrize("value", INVALID_PROXIES.values(), ids=INVALID_PROXIES)
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"], ids=str)
def test_invalid_proxy_is_rejected_without_quoting_it(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    load_settings()
    monkeypatch.setenv("BETTER_AUTH_JWKS_URL", "https://app.example.com/api/auth/jwks")
    with pytest.raises(SettingsError) as rejected:
        load_settings()
    assert str(rejected.value).startswith(f"{variable}: ")
    assert "\n" not in str(rejected.value)
    assert "hunter" not in str(rejected.value)


@pytest.mark.parametrize("value", ["http://[::1]:3128", "[::1]:3128", "https://proxy:3128", "proxy", "http://a:b@c"])
def test_valid_proxy_is_supported_by_httpx(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", value)
    monkeypatch.setenv("BETTER_AUTH_JWKS_URL", "https://app.example.com/api/auth/jwks")
    load_settings()

    async def construct() -> None:
        await PublishedKeys("https://app.example.com/api/auth/jwks", ()).close()

    asyncio.run(construct())


class TestCertificates:
    URL = "https://app.example.com/api/auth/jwks"

    @pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"], ids=str)
    def test_missing_certificates_are_named(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
    ) -> None:
        monkeypatch.setenv(variable, str(tmp_path / "hunter2"))
        load_settings()
        monkeypatch.setenv("BETTER_AUTH_JWKS_URL", self.URL)
        with pytest.raises(SettingsError) as rejected:
            load_settings()
        assert str(rejected.value).startswith(f"{variable}: ")
        assert "\n" not in str(rejected.value)

    @pytest.mark.parametrize("content", ["", "hunter2"], ids=["an empty file", "another file"])
    def test_file_without_certificates_is_named(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str
    ) -> None:
        (tmp_path / "file").write_text(content)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "file"))
        monkeypatch.setenv("BETTER_AUTH_JWKS_URL", self.URL)
        with pytest.raises(SettingsError, match=r"^SSL_CERT_FILE: holds no PEM certificates"):
            load_settings()

    def test_blank_variables_are_ignored(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", "")
        monkeypatch.setenv("SSL_CERT_DIR", "")
        monkeypatch.setenv("BETTER_AUTH_JWKS_URL", self.URL)
        load_settings()

    def test_authority_of_ssl_cert_file_is_trusted(
        self, issuer: Issuer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        certificates = issue(tmp_path)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates.chain, certificates.key)
        issuer.stop()
        issuer.start(context)
        url = f"https://localhost:{issuer.port}/api/auth/jwks"
        key = issuer.new_key()
        with pytest.raises(IssuerUnavailableError):
            fetches_key(url, key.kid)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificates.authority))
        assert fetches_key(url, key.kid)

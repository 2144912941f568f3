"""ALLOWED_ORIGINS: accepted and rejected origins."""

import pytest

from fastapi_contract.middleware.origins import normalize
from todo_api.settings import SettingsError, load_settings

SAME = {
    "unchanged": ("https://app.example.com", "https://app.example.com"),
    "final slash": ("https://app.example.com/", "https://app.example.com"),
    "default port": ("https://app.example.com:443", "https://app.example.com"),
    "default port of http": ("http://app.example.com:80", "http://app.example.com"),
    "port of the other scheme": ("http://app.example.com:443", "http://app.example.com:443"),
    "empty port": ("https://app.example.com:", "https://app.example.com"),
    "port with zeros": ("https://app.example.com:08443", "https://app.example.com:8443"),
    "upper case": ("HTTPS://App.Example.COM", "https://app.example.com"),
    "international": ("https://bücher.example", "https://xn--bcher-kva.example"),
    "international in upper case": ("https://BÜCHER.example", "https://xn--bcher-kva.example"),
    "sharp s": ("https://straße.example", "https://xn--strae-oqa.example"),
    "emoji": ("https://i❤.ws", "https://xn--i-7iq.ws"),
    "ideographic full stop": ("https://app。example。com", "https://app.example.com"),
    "full-width letters": ("https://ＡＰＰ.example", "https://app.example"),
    "already in ASCII": ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
    "underscore": ("https://my_app.example.com", "https://my_app.example.com"),
    "one label": ("http://intranet", "http://intranet"),
    "IPv4": ("http://192.168.1.10:3000", "http://192.168.1.10:3000"),
    "IPv6": ("http://[::1]:3000", "http://[::1]:3000"),
    "IPv6 written long": ("http://[0:0:0:0:0:0:0:1]", "http://[::1]"),
    "IPv6 in upper case": ("https://[2001:DB8::1]", "https://[2001:db8::1]"),
    "wildcard": ("https://*.Example.com:443/", "https://*.example.com"),
    "wildcard at a host's end": ("https://my-app-*.vercel.app", "https://my-app-*.vercel.app"),
    "wildcard at a label's start": ("https://*-me.vercel.app", "https://*-me.vercel.app"),
    "wildcard within a label": ("https://my-*-me.vercel.app", "https://my-*-me.vercel.app"),
    "wildcard in the middle": ("https://app.*.example.com", "https://app.*.example.com"),
    "wildcard before an international name": ("https://*.bücher.example", "https://*.xn--bcher-kva.example"),
    "any port of localhost": ("http://localhost:*", "http://localhost:*"),
    "any port of ::1": ("http://[::1]:*", "http://[::1]:*"),
}

REJECTED = {
    "null": "null",
    "every origin": "*",
    "every host": "https://*",
    "every scheme": "*://app.example.com",
    "a whole domain": "https://*.com",
    "a whole domain before a name": "https://app.*.com",
    "a registry's domain": "https://*.co.uk",
    "the last label": "https://example.*",
    "two wildcards": "https://*.*.example.com",
    "two wildcards in a label": "https://*-*.example.com",
    "two stars": "https://**.example.com",
    "part of a domain": "https://*example.com",
    "an address": "http://192.168.1.*",
    "an address's middle": "http://192.168.*.1",
    "any port of a host": "https://app.example.com:*",
    "a user": "https://user@app.example.com",
    "a password": "https://user:hunter2@app.example.com",
    "a query": "https://app.example.com?x=1",
    "a query after a slash": "https://app.example.com/?x=1",
    "a fragment": "https://app.example.com#x",
    "a path": "https://app.example.com/app",
    "two slashes": "https://app.example.com//",
    "no scheme": "app.example.com",
    "no scheme but a port": "localhost:3000",
    "another scheme": "ftp://app.example.com",
    "no host": "https://",
    "no host but a port": "https://:443",
    "a port too high": "https://app.example.com:65536",
    "a port that is no number": "https://app.example.com:http",
    "an empty label": "https://app..example.com",
    "a final dot": "https://app.example.com.",
    "a leading hyphen": "https://-app.example.com",
    "a space": "https://app example.com",
    "a label of 64 characters": f"https://{'a' * 64}.example.com",
    "254 characters": "https://" + ".".join(["a" * 50] * 5),
    "a forbidden character": "https://app!.example.com",
    "a percent sign": "https://app%2eexample.com",
    "a backslash": "https:\\\\app.example.com",
    "IPv6 without brackets": "http://::1:3000",
    "invalid IPv6": "http://[::g]",
    "IPv6 with a zone": "http://[fe80::1%25eth0]",
    "IPv4 with three parts": "http://127.0.1",
    "IPv4 out of range": "http://127.0.0.256",
    "IPv4 as a number": "http://2130706433",
    "IPv4 in hexadecimal": "http://0x7f.0.0.0x1",
    "a right-to-left mark": "https://app\u202e.example.com",
}


class TestAllowedOrigins:
    @pytest.fixture(autouse=True)
    def clean_environment(self, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
        monkeypatch.chdir(tmp_path_factory.mktemp("empty"))
        for name in ("ALLOWED_ORIGINS", "ALLOWED_HEADERS", "DATABASE_URL"):
            monkeypatch.delenv(name, raising=False)

    @pytest.mark.parametrize(("written", "sent"), SAME.values(), ids=SAME)
    def test_origin_is_normalized_as_browsers_send_it(
        self, monkeypatch: pytest.MonkeyPatch, written: str, sent: str
    ) -> None:
        monkeypatch.setenv("ALLOWED_ORIGINS", f" {written} , https://b.example")
        assert load_settings().allowed_origins == (sent, "https://b.example")
        assert normalize(sent) == sent

    @pytest.mark.parametrize("origin", REJECTED.values(), ids=REJECTED)
    def test_origin_that_no_browser_sends_is_rejected(self, monkeypatch: pytest.MonkeyPatch, origin: str) -> None:
        monkeypatch.setenv("ALLOWED_ORIGINS", f"https://good.example,{origin}")
        with pytest.raises(SettingsError) as rejected:
            load_settings()
        assert str(rejected.value).startswith("ALLOWED_ORIGINS: must ")
        assert "\n" not in str(rejected.value)
        assert "hunter2" not in str(rejected.value)

    def test_localhost_is_allowed_by_default_with_the_embedded_database_only(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert load_settings().allowed_origins == ("http://localhost:*", "http://127.0.0.1:*")
        monkeypatch.setenv("DATABASE_URL", "postgresql://a:b@c/d")
        assert load_settings().allowed_origins == ("http://localhost:3000",)
        monkeypatch.setenv("ALLOWED_ORIGINS", "https://app.example.com")
        assert load_settings().allowed_origins == ("https://app.example.com",)
        monkeypatch.delenv("DATABASE_URL")
        assert load_settings().allowed_origins == ("https://app.example.com",)

    def test_allowed_headers_are_a_list_of_names(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ALLOWED_HEADERS", " X-Datadog-Trace-Id,b3 , !#$%&'*+-.^_`|~9,")
        assert load_settings().allowed_headers == ("X-Datadog-Trace-Id", "b3", "!#$%&'*+-.^_`|~9")

    @pytest.mark.parametrize(
        "value",
        ["*", "x y", "x:1", "x;y", "é", "x\ry", "(x)", "x/y", "x" * 101],
        ids=["star", "space", "colon", "semicolon", "not ASCII", "CR", "parentheses", "slash", "101 characters"],
    )
    def test_allowed_header_with_an_invalid_name_is_rejected(self, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
        monkeypatch.setenv("ALLOWED_HEADERS", f"b3,{value},b4")
        with pytest.raises(SettingsError, match=r"^ALLOWED_HEADERS: must be names of headers"):
            load_settings()

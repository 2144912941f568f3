"""The contract is served byte for byte, and the documentation pages work without internet access."""

import gzip
import hashlib
import re
from collections.abc import Callable

import pytest
import yaml

from support import ROOT
from support.service import Service


class TestContract:
    def test_contract_is_served_byte_for_byte(self, service: Service) -> None:
        served = service.client().get("/openapi.yaml")
        assert served.content == (ROOT / "openapi.yaml").read_bytes()
        assert served.headers["content-type"] == "application/yaml"

    def test_json_contract_equals_the_yaml(self, service: Service) -> None:
        assert service.client().get("/openapi.json").json() == yaml.safe_load((ROOT / "openapi.yaml").read_bytes())

    @pytest.mark.parametrize("path", ["/openapi.yaml", "/openapi.json"])
    def test_known_etag_is_304(self, service: Service, path: str) -> None:
        client = service.client()
        etag = client.get(path).headers["ETag"]
        for etags in (etag, f"W/{etag}", f'"x", {etag}', "*"):
            again = client.get(path, headers={"If-None-Match": etags})
            assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", etag)
        assert client.get(path, headers={"If-None-Match": '"x"'}).status_code == 200

    def test_file_of_the_service_is_served_byte_for_byte_and_revalidated(self, service: Service) -> None:
        client = service.client()
        served = client.get("/client.tgz")
        assert served.content == (ROOT / "generated/client.tgz").read_bytes()
        assert served.headers["content-type"] == "application/gzip"
        assert "content-encoding" not in served.headers
        assert served.headers["cache-control"] == "no-cache"
        assert client.get("/client.tgz", headers={"If-None-Match": served.headers["etag"]}).status_code == 304

    def test_version_of_the_contract_equals_the_one_of_the_service(self, service: Service) -> None:
        client = service.client()
        version = client.get("/openapi.json").json()["info"]["version"]
        assert client.get("/").json()["version"] == version


PAGES = ("/docs", "/redoc")


def urls(page: str) -> list[str]:
    """Return the URLs that a browser requests to show the page."""
    return re.findall(r'(?:<link [^>]*href|src)="([^"]+)"', page)


def assets(service: Service) -> list[str]:
    client = service.client()
    return sorted({url for page in PAGES for url in urls(client.get(page).text)})


class TestPages:
    @pytest.mark.parametrize("path", PAGES)
    def test_page_loads_nothing_from_another_host(self, service: Service, path: str) -> None:
        client = service.client()
        answer = client.get(path)
        policy = answer.headers["Content-Security-Policy"]
        assert {"default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"} <= set(policy.split("; "))
        assert "unsafe" not in policy
        page = answer.text
        assert len(urls(page)) >= 3
        for url in urls(page):
            assert url.startswith("/docs/assets/")
            assert client.get(url).status_code == 200
        assert "https://" not in page
        # Nothing that the policy would have to allow.
        assert not re.search(r"<script(?! src)|<style| style=| on[a-z]+=", page)

    @pytest.mark.parametrize("path", PAGES)
    def test_page_is_compressed_and_revalidated(self, service: Service, path: str) -> None:
        client = service.client()
        plain, coded = (client.get(path, headers={"Accept-Encoding": each}) for each in ("identity", "gzip"))
        assert (plain.content, plain.headers["ETag"]) == (coded.content, coded.headers["ETag"])
        assert (coded.headers["Content-Encoding"], coded.headers["Cache-Control"]) == ("gzip", "no-cache")
        for each in (plain, coded):
            assert "Accept-Encoding" in each.headers["Vary"]
        again = client.get(path, headers={"If-None-Match": plain.headers["ETag"]})
        assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", plain.headers["ETag"])

    def test_favicon_is_an_image(self, service: Service) -> None:
        icon = service.client().get("/favicon.ico")
        assert (icon.status_code, icon.headers["Content-Type"]) == (200, "image/svg+xml")
        assert icon.content.startswith(b"<svg ")


class TestAssets:
    def test_asset_is_named_by_its_hash_and_cached_for_ever(self, service: Service) -> None:
        client = service.client()
        assert len(assets(service)) == 6
        for url in assets(service):
            loaded = client.get(url)
            assert hashlib.sha256(loaded.content).hexdigest()[:16] in url
            assert loaded.headers["Cache-Control"] == "public, max-age=31536000, immutable"
            kind = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
            assert loaded.headers["Content-Type"] == kind[url.rpartition(".")[2]]

    @pytest.mark.parametrize(
        ("accept_encoding", "encoding"),
        [
            pytest.param("gzip", "gzip", id="gzip"),
            pytest.param("GZIP", "gzip", id="upper case"),
            pytest.param("x-gzip", "gzip", id="old name"),
            pytest.param("gzip, deflate, br, zstd", "gzip", id="list of a browser"),
            pytest.param("br;q=1.0 , gzip ; q=0.001", "gzip", id="minimum weight"),
            pytest.param("*", "gzip", id="wildcard"),
            pytest.param("identity;q=0.5, *;q=0.9", "gzip", id="wildcard over identity"),
            pytest.param("identity;q=0, gzip;q=0.1", "gzip", id="identity rejected"),
            pytest.param("", None, id="empty"),
            pytest.param("br", None, id="another coding"),
            pytest.param("identity", None, id="identity"),
            pytest.param("gzip;q=0", None, id="weight 0"),
            pytest.param("gzip;q=0.000, *", None, id="rejected by name"),
            pytest.param("*;q=0", None, id="wildcard rejected"),
            pytest.param("gzip;q=0.5, identity", None, id="identity preferred"),
            pytest.param("gzip;q=2", None, id="invalid weight"),
            pytest.param("notgzip", None, id="longer name"),
        ],
    )
    def test_asset_has_a_content_coding_that_the_client_accepts(
        self, service: Service, accept_encoding: str, encoding: str | None
    ) -> None:
        client = service.client(**{"Accept-Encoding": accept_encoding})
        url = assets(service)[0]
        get, head = client.get(url), client.head(url)
        assert get.headers.get("Content-Encoding") == encoding
        assert get.headers["Vary"].split(", ") == ["Accept-Encoding", "Origin"]
        assert hashlib.sha256(get.content).hexdigest()[:16] in url
        of_request = {"x-request-id", "date"}
        assert head.content == b""
        assert {(name, value) for name, value in head.headers.items() if name not in of_request} == {
            (name, value) for name, value in get.headers.items() if name not in of_request
        }

    def test_repeated_accept_encoding_is_one_list(self, service: Service) -> None:
        client = service.client()
        headers = [("Accept-Encoding", "br"), ("Accept-Encoding", "gzip;q=0"), ("Accept-Encoding", "*")]
        assert "Content-Encoding" not in client.get(assets(service)[0], headers=headers).headers

    def test_assets_are_compressed_to_less_than_a_third(
        self, service: Service, record_property: Callable[[str, object], None]
    ) -> None:
        sizes = {}
        for url in assets(service):
            loaded = service.client().get(url)
            sizes[url.partition("-")[2]] = (len(loaded.content), int(loaded.headers["Content-Length"]))
        record_property("assets, bytes as they are and as sent", sizes)
        assert all(sent < whole / 3 for whole, sent in sizes.values() if whole > 10_000)

    def test_asset_is_compressed_only_once(self, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        client = service.client()
        urls = assets(service)
        first = [client.get(url).content for url in urls]
        monkeypatch.delattr(gzip, "compress")
        assert [client.get(url).content for url in urls] == first

    def test_asset_with_another_hash_or_none_is_404(self, service: Service) -> None:
        client = service.client()
        for url in assets(service):
            name = url.partition("-")[2]
            for unknown in (name, f"-{name}", f"{'0' * 16}-{name}", f"{url.rpartition('/')[2]}x"):
                answer = client.get(f"/docs/assets/{unknown}")
                assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")
                assert answer.headers["Cache-Control"] == "no-store"

    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
    def test_other_method_of_an_asset_is_405(self, service: Service, method: str) -> None:
        answer = service.client().request(method, assets(service)[0])
        assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")

    def test_assets_request_nothing_of_another_host(self, service: Service) -> None:
        """Chromium logs an error for each URL that the Content-Security-Policy forbids, as it did for Redoc's logo."""
        for url in assets(service):
            content = service.client().get(url).text
            assert not re.findall(r"""\b(?:src|srcSet|poster):\s*["'`]https?:[^"'`]*|url\(["']?https?:[^)]*""", content)

    def test_redoc_logo_of_another_host_is_replaced(self, service: Service) -> None:
        """If this fails after an update of fastapi-offline, check in a browser which URLs the new script requests."""
        (url,) = (url for url in assets(service) if "redoc" in url)
        script = service.client().get(url).text
        assert "cdn.redoc" not in script
        assert script.count('alt:"redocly logo",onError:()=>t(!1),src:"data:,"') == 1

"""The contract is served as it was written, and the pages work without internet."""

import json
import re

import pytest
import yaml
from conftest import Service
from contract_watch import ROOT


class TestContract:
    def test_is_served_byte_for_byte(self, service: Service) -> None:
        served = service.client().get("/openapi.yaml")
        assert served.content == (ROOT / "openapi.yaml").read_bytes()
        assert served.headers["content-type"] == "application/yaml"

    def test_is_the_same_as_json(self, service: Service) -> None:
        assert service.client().get("/openapi.json").json() == yaml.safe_load((ROOT / "openapi.yaml").read_bytes())

    @pytest.mark.parametrize("path", ["/openapi.yaml", "/openapi.json"])
    def test_is_not_sent_again(self, service: Service, path: str) -> None:
        client = service.client()
        etag = client.get(path).headers["ETag"]
        for known in (etag, f"W/{etag}", f'"x", {etag}', "*"):
            again = client.get(path, headers={"If-None-Match": known})
            assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", etag)
        assert client.get(path, headers={"If-None-Match": '"x"'}).status_code == 200

    def test_has_the_version_that_the_service_tells(self, service: Service) -> None:
        client = service.client()
        version = client.get("/openapi.json").json()["info"]["version"]
        assert client.get("/").json()["version"] == version


class TestPages:
    @pytest.mark.parametrize("path", ["/docs", "/redoc"])
    def test_load_nothing_from_elsewhere(self, service: Service, path: str) -> None:
        client = service.client()
        answer = client.get(path)
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
        page = answer.text
        assets = re.findall(r'(?:src|href)="([^"]+)"', page)
        assert assets
        for asset in assets:
            assert asset.startswith("/docs/assets/")
            loaded = client.get(asset)
            assert loaded.status_code == 200
            assert len(loaded.content) > 1000
        assert "https://" not in page
        assert json.dumps("/openapi.json") in page or "'/openapi.json'" in page

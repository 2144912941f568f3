"""TLS follows the parameters of DATABASE_URL."""

import asyncio
import ssl
import struct
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from support.certificates import Certificates
from support.database_urls import AUTHORITY, AUTHORITY_AND_NAME, NEON, UNVERIFIED, arguments
from todo_api.database.url import DatabaseUrl


class TestHome:
    """If the URL names no certificates, those in ~/.postgresql are used, as by libpq."""

    @pytest.fixture
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("HOME", str(tmp_path))
        folder = tmp_path / ".postgresql"
        folder.mkdir()
        return folder

    def test_root_certificate_in_home_makes_sslmode_require_verify(self, folder: Path, issued: Certificates) -> None:
        (folder / "root.crt").write_bytes(issued.authority.read_bytes())
        assert arguments(f"{NEON}/neondb?sslmode=require")["ssl"] == AUTHORITY
        assert arguments(f"{NEON}/neondb?sslmode=verify-full")["ssl"] == AUTHORITY_AND_NAME

    def test_home_without_permission_is_ignored(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def forbid(path: Path) -> bool:
            raise PermissionError

        monkeypatch.setattr(Path, "is_file", forbid)
        assert arguments(f"{NEON}/neondb?sslmode=require")["ssl"] == UNVERIFIED

    def test_missing_home_is_ignored(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail() -> Path:
            raise RuntimeError

        monkeypatch.setattr(Path, "home", fail)
        assert arguments(f"{NEON}/neondb?sslmode=require")["ssl"] == UNVERIFIED


def tls_context(url: str) -> ssl.SSLContext:
    context: ssl.SSLContext = DatabaseUrl.parse(url).arguments()["ssl"]
    return context


def test_parameters_bound_the_tls_version() -> None:
    bounds = "ssl_min_protocol_version=TLSv1.2&ssl_max_protocol_version=TLSv1.2"
    bounded = tls_context(f"{NEON}/b?sslmode=require&{bounds}")
    default = tls_context(f"{NEON}/b?sslmode=require")
    assert (bounded.minimum_version, bounded.maximum_version) == (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2)
    assert (default.minimum_version, default.maximum_version) == (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


class TestTls:
    """Real handshakes. The server's certificate is for localhost, and the server rejects every login."""

    @asynccontextmanager
    async def server(self, issued: Certificates, *, direct: bool = False) -> Any:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(issued.chain, issued.key)
        context.set_alpn_protocols(["postgresql"])

        async def reject_login(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                if not direct:
                    await reader.readexactly(8)
                    writer.write(b"S")
                    await writer.start_tls(context)
                assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "postgresql"
                (length,) = struct.unpack("!I", await reader.readexactly(4))
                await reader.readexactly(length - 4)
                rejection = b"SFATAL\0C28000\0Mthe handshake is done\0\0"
                writer.write(b"E" + struct.pack("!I", len(rejection) + 4) + rejection)
                await writer.drain()
            except (OSError, EOFError):
                pass
            finally:
                writer.close()

        async with await asyncio.start_server(reject_login, "127.0.0.1", 0, ssl=context if direct else None) as server:
            yield server.sockets[0].getsockname()[1]

    def connect(self, issued: Certificates, host: str, parameters: str, *, direct: bool = False) -> None:
        async def run() -> None:
            async with self.server(issued, direct=direct) as port:
                url = f"postgresql://alex:hunter2@{host}:{port}/neondb?{parameters}"
                async with asyncio.timeout(30):
                    await asyncpg.connect(**DatabaseUrl.parse(url).arguments())

        asyncio.run(run())

    @pytest.mark.parametrize(
        ("host", "parameters"),
        [
            ("localhost", "sslmode=verify-full&sslrootcert={ours}"),
            ("localhost", "sslmode=verify-full&sslrootcert={ours}&channel_binding=require"),
            ("localhost", "sslmode=require&channel_binding=require&sslrootcert={ours}"),
            ("127.0.0.1", "sslmode=verify-ca&sslrootcert={ours}"),
            ("127.0.0.1", "sslmode=require&sslrootcert={ours}"),
            ("127.0.0.1", "sslmode=require"),
            ("127.0.0.1", "sslmode=require&ssl_max_protocol_version=TLSv1.2"),
        ],
    )
    def test_handshake_succeeds_if_the_certificate_satisfies_the_url(
        self, host: str, parameters: str, issued: Certificates
    ) -> None:
        with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError, match="the handshake is done"):
            self.connect(issued, host, parameters.format(ours=issued.authority))

    @pytest.mark.parametrize(
        ("host", "parameters"),
        [
            ("127.0.0.1", "sslmode=verify-full&sslrootcert={ours}"),
            ("127.0.0.1", "sslmode=verify-ca&channel_binding=require&sslrootcert={ours}"),
            ("localhost", "sslmode=verify-full&sslrootcert={others}"),
            ("localhost", "sslmode=verify-ca&sslrootcert={others}"),
            ("localhost", "sslmode=require&sslrootcert={others}"),
            # The system does not trust the authority.
            ("localhost", "sslmode=require&channel_binding=require"),
            ("localhost", "sslmode=verify-full"),
            ("localhost", "sslmode=verify-ca"),
            ("localhost", "sslrootcert=system"),
        ],
    )
    def test_handshake_fails_if_the_certificate_does_not_satisfy_the_url(
        self, host: str, parameters: str, issued: Certificates, others: Certificates
    ) -> None:
        with pytest.raises(ssl.SSLCertVerificationError):
            self.connect(issued, host, parameters.format(ours=issued.authority, others=others.authority))

    def test_sslnegotiation_direct_starts_with_the_handshake(self, issued: Certificates) -> None:
        parameters = f"sslmode=verify-full&sslrootcert={issued.authority}&sslnegotiation=direct"
        with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
            self.connect(issued, "localhost", parameters, direct=True)

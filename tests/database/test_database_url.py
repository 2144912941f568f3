"""DATABASE_URL is taken as Neon's console, libpq and SQLAlchemy spell it, and what can't be kept is refused by name."""

import asyncio
import ssl
import struct
from collections.abc import Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from support import certificates
from support.certificates import Certificates
from todo_api.database.url import DatabaseUrl, unpooled

DIRECT = "ep-cool-rain-a1b2c3.eu-central-1.aws.neon.tech"
POOLED = "ep-cool-rain-a1b2c3-pooler.eu-central-1.aws.neon.tech"

# What is asked of the server's certificate.
NOTHING = (ssl.CERT_NONE, False)
AUTHORITY = (ssl.CERT_REQUIRED, False)
AUTHORITY_AND_NAME = (ssl.CERT_REQUIRED, True)

SUPABASE = "aws-0-eu-central-1.pooler.supabase.com"
AZURE = "todo.postgres.database.azure.com"

DEFAULTS = {
    "host": [DIRECT],
    "port": [5432],
    "user": "alex",
    "password": "hunter2",
    "database": "neondb",
    "ssl": "prefer",
    "direct_tls": False,
    "target_session_attrs": "any",
}


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """libpq looks there for certificates, and so do we: none of the machine's."""
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("home")
        patch.setenv("HOME", str(home))
        yield home


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates.issue(tmp_path_factory.mktemp("issued"))


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Of another authority."""
    return certificates.issue(tmp_path_factory.mktemp("others"))


def arguments(url: str) -> dict[str, Any]:
    """What `asyncpg.connect` gets, with the context of TLS as what it asks for."""
    found = DatabaseUrl.parse(url).arguments()
    if isinstance(found["ssl"], ssl.SSLContext):
        found["ssl"] = (found["ssl"].verify_mode, found["ssl"].check_hostname)
    return found


def refused(url: str) -> str:
    with pytest.raises(ValueError, match=r".") as error:
        DatabaseUrl.parse(url).arguments()
    message = str(error.value)
    assert "hunter2" not in message
    return message


NEON = "postgresql://alex:hunter2@" + DIRECT


@pytest.mark.parametrize(
    ("url", "differences"),
    [
        # As Neon's console prints them.
        (
            f"postgresql://alex:hunter2@{POOLED}/neondb?sslmode=require&channel_binding=require",
            {"host": [POOLED], "ssl": AUTHORITY_AND_NAME, "statement_cache_size": 0},
        ),
        (f"{NEON}/neondb?sslmode=require&channel_binding=require", {"ssl": AUTHORITY_AND_NAME}),
        (
            f"postgresql://alex:hunter2@{POOLED}/neondb?sslmode=require",
            {"host": [POOLED], "ssl": NOTHING, "statement_cache_size": 0},
        ),
        (f"{NEON}/neondb?sslmode=require", {"ssl": NOTHING}),
        (
            f"{NEON}/neondb?sslmode=verify-full&sslrootcert=system&channel_binding=require",
            {"ssl": AUTHORITY_AND_NAME},
        ),
        (f"{NEON}/neondb?sslmode=require&connect_timeout=15", {"ssl": NOTHING, "timeout": 15}),
        (f"{NEON}/neondb?sslmode=require&pgbouncer=true", {"ssl": NOTHING, "statement_cache_size": 0}),
        # Other names of the scheme.
        (f"postgres://alex:hunter2@{DIRECT}/neondb", {}),
        (f"postgresql+asyncpg://alex:hunter2@{DIRECT}/neondb?ssl=require", {"ssl": NOTHING}),
        # What is asked of the server's certificate.
        (f"{NEON}/neondb", {}),
        (f"{NEON}/neondb?", {}),
        (f"{NEON}/neondb?sslmode=disable", {"ssl": False}),
        (f"{NEON}/neondb?sslmode=allow", {"ssl": "allow"}),
        (f"{NEON}/neondb?sslmode=prefer", {"ssl": "prefer"}),
        (f"{NEON}/neondb?sslmode=verify-ca", {"ssl": AUTHORITY_AND_NAME}),
        (f"{NEON}/neondb?sslmode=verify-full", {"ssl": AUTHORITY_AND_NAME}),
        (f"{NEON}/neondb?ssl=true", {"ssl": NOTHING}),
        (f"{NEON}/neondb?ssl=verify-full", {"ssl": AUTHORITY_AND_NAME}),
        (f"{NEON}/neondb?sslrootcert=system", {"ssl": AUTHORITY_AND_NAME}),
        (f"{NEON}/neondb?sslmode=require&sslrootcert={{authority}}", {"ssl": AUTHORITY}),
        (f"{NEON}/neondb?sslmode=verify-ca&sslrootcert={{authority}}", {"ssl": AUTHORITY}),
        (f"{NEON}/neondb?sslmode=verify-full&sslrootcert={{authority}}", {"ssl": AUTHORITY_AND_NAME}),
        # There is no channel binding in asyncpg; the name in the certificate is looked at instead.
        (f"{NEON}/neondb?channel_binding=require", {"ssl": AUTHORITY_AND_NAME}),
        (f"{NEON}/neondb?channel_binding=require&sslmode=prefer", {"ssl": AUTHORITY_AND_NAME}),
        (
            f"{NEON}/neondb?channel_binding=require&sslmode=verify-ca&sslrootcert={{authority}}",
            {"ssl": AUTHORITY_AND_NAME},
        ),
        (f"{NEON}/neondb?channel_binding=prefer&gssencmode=disable", {}),
        (f"{NEON}/neondb?sslmode=require&sslnegotiation=direct", {"ssl": NOTHING, "direct_tls": True}),
        (f"{NEON}/neondb?sslmode=require&sslcert={{chain}}&sslkey={{key}}", {"ssl": NOTHING}),
        # Where it is.
        (f"{NEON}:6543/neondb", {"port": [6543]}),
        (f"{NEON}/neondb?port=6543", {"port": [6543]}),
        ("postgresql://alex:hunter2@a,b:1,c/neondb", {"host": ["a", "b", "c"], "port": [5432, 1, 5432]}),
        ("postgresql://alex:hunter2@a,b/neondb?port=1", {"host": ["a", "b"], "port": [1, 1]}),
        ("postgresql://alex:hunter2@a:1,b:2/neondb?host=c,d", {"host": ["c", "d"], "port": [1, 2]}),
        ("postgresql://alex:hunter2@[::1]:1/neondb", {"host": ["::1"], "port": [1]}),
        ("postgresql://alex:hunter2@[fe80::1%25eth0]/neondb", {"host": ["fe80::1%eth0"]}),
        ("postgresql://alex:hunter2@/neondb?host=/run/postgresql", {"host": ["/run/postgresql"]}),
        ("postgresql://alex:hunter2@%2Frun%2Fpostgresql:1/neondb", {"host": ["/run/postgresql"], "port": [1]}),
        ("postgresql:///neondb?host=/run&port=1&user=alex&password=hunter2", {"host": ["/run"], "port": [1]}),
        # Who asks, and for what.
        (f"postgresql://alex:%C3%A4%40%3A%2F%3F%23%25&@{DIRECT}/neondb", {"password": "ä@:/?#%&"}),
        (f"postgresql://alex:a+b@{DIRECT}/neondb?application_name=c+d", {"password": "a+b", "name": "c+d"}),
        (f"postgresql://alex%20b:hunter2@{DIRECT}/neon%2Fdb", {"user": "alex b", "database": "neon/db"}),
        (f"postgresql://alex@{DIRECT}/neondb", {"password": None}),
        (f"postgresql://{DIRECT}", {"user": None, "password": None, "database": None}),
        (f"{NEON}/x?dbname=neondb", {}),
        (f"{NEON}/neondb?application_name=nightly%20job", {"name": "nightly job"}),
        (f"{NEON}/neondb?target_session_attrs=read-write", {"target_session_attrs": "read-write"}),
    ],
)
def test_becomes_arguments_of_asyncpg(url: str, differences: dict[str, Any], issued: Certificates) -> None:
    if name := differences.get("name"):
        differences = {"server_settings": {"application_name": name}, **differences}
        del differences["name"]
    url = url.format(authority=issued.authority, chain=issued.chain, key=issued.key)
    assert arguments(url) == {**DEFAULTS, **differences}


@pytest.mark.parametrize(
    ("url", "direct"),
    [
        (
            f"postgresql://alex:hunter2@{POOLED}/neondb?sslmode=require&channel_binding=require",
            f"{NEON}/neondb?sslmode=require&channel_binding=require",
        ),
        (
            f"postgresql+asyncpg://alex:hunter2@{POOLED}:5432/neondb",
            f"postgresql+asyncpg://alex:hunter2@{DIRECT}:5432/neondb",
        ),
        (f"postgresql://{POOLED}/neondb", f"postgresql://{DIRECT}/neondb"),
        (f"postgresql://alex:hunter2@{POOLED},b-pooler.c.neon.tech/x", f"{NEON},b.c.neon.tech/x"),
        # Other well-known poolers.
        (f"postgresql://a:b@{SUPABASE}:6543/x?sslmode=require", f"postgresql://a:b@{SUPABASE}:5432/x?sslmode=require"),
        (f"postgresql://a:b@{SUPABASE}:6543/x?pgbouncer=true", f"postgresql://a:b@{SUPABASE}:5432/x"),
        (f"postgresql://a:b@{SUPABASE}/x", f"postgresql://a:b@{SUPABASE}/x"),
        (f"postgresql://a:b@{AZURE}:6432/x", f"postgresql://a:b@{AZURE}:5432/x"),
        (
            "postgresql://a:b@ep-x-pooler.us-east-1.postgres.vercel-storage.com/x",
            "postgresql://a:b@ep-x.us-east-1.postgres.vercel-storage.com/x",
        ),
        # What has no pooler stays as it is, whatever it is called.
        (f"{NEON}/neondb?sslmode=require", f"{NEON}/neondb?sslmode=require"),
        ("postgresql://alex:hunter2@db-pooler.example.com/x", "postgresql://alex:hunter2@db-pooler.example.com/x"),
        # Nobody can tell where the database of a pooler is that is not Neon's.
        ("postgresql://alex:hunter2@pool.example.com:6432/x?pgbouncer=true", None),
        (f"postgresql:///neondb?host={POOLED}", None),
    ],
)
def test_of_neon_is_known_without_the_pooler_too(url: str, direct: str | None) -> None:
    assert unpooled(url) == direct


@pytest.mark.parametrize(
    ("host", "pooled"),
    [
        (POOLED, True),
        (POOLED.upper(), True),
        (f"{SUPABASE}:6543", True),
        (SUPABASE, True),
        (f"{AZURE}:6432", True),
        ("ep-x-pooler.us-east-1.postgres.vercel-storage.com", True),
        (DIRECT, False),
        (AZURE, False),
        ("db.abc.supabase.co", False),
        ("pooler.supabase.com.example.com", False),
        ("db-pooler.example.com", False),
    ],
)
def test_a_pooler_is_known_by_its_host(host: str, pooled: bool) -> None:
    assert DatabaseUrl.parse(f"postgresql://alex:hunter2@{host}/x").pooled is pooled


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("postgresql://alex:hunter2@a/x", "a:5432"),
        ("postgresql://alex:hunter2@a:1,b:2/x", "a:1, b:2"),
        ("postgresql://alex:hunter2@[::1]/x", "[::1]:5432"),
        ("postgresql:///x?host=/run/postgresql&port=1&password=hunter2", "/run/postgresql/.s.PGSQL.1"),
    ],
    ids=["host", "two hosts", "IPv6", "socket"],
)
def test_the_address_is_told_without_credentials(url: str, address: str) -> None:
    assert DatabaseUrl.parse(url).address == address


class TestRefusal:
    @pytest.mark.parametrize(
        ("parameters", "named"),
        [
            ("options=hunter2", "options"),
            ("options=-c%20statement_timeout%3D1", "options"),
            ("keepalives=hunter2", "keepalives"),
            ("tcp_user_timeout=1", "tcp_user_timeout"),
            ("service=hunter2", "service"),
            ("passfile=hunter2", "passfile"),
            ("krbsrvname=hunter2", "krbsrvname"),
            ("require_auth=hunter2", "require_auth"),
            ("load_balance_hosts=random", "load_balance_hosts"),
            ("hostaddr=127.0.0.1", "hostaddr"),
            ("prepared_statement_cache_size=0", "prepared_statement_cache_size"),
            ("nonsense=hunter2", "nonsense"),
            ("nonsense=hunter2&keepalives=1", "keepalives, nonsense"),
            ("sslmode=hunter2", "sslmode"),
            ("sslmode=", "sslmode"),
            ("sslmode", "sslmode"),
            ("sslmode=require&sslmode=require", "sslmode"),
            ("sslmode=require&ssl=require", "ssl"),
            ("ssl=hunter2", "ssl"),
            ("channel_binding=hunter2", "channel_binding"),
            ("channel_binding=require&sslmode=disable", "channel_binding=require"),
            ("channel_binding=require&sslmode=allow", "channel_binding=require"),
            ("gssencmode=require", "gssencmode"),
            ("sslmode=verify-full&sslrootcert=/hunter2", "sslrootcert"),
            ("sslmode=verify-full&sslrootcert=", "sslrootcert"),
            ("sslmode=verify-full&sslrootcert=" + "hunter2" * 100, "sslrootcert"),
            ("sslmode=require&sslrootcert=system", "sslrootcert=system"),
            ("sslcert={chain}&sslmode=prefer", "sslcert"),
            ("sslcert={chain}", "sslcert"),
            ("sslpassword=hunter2", "sslpassword"),
            ("sslmode=require&sslcert=hunter2", "sslcert"),
            ("sslmode=require&sslkey=hunter2", "sslkey"),
            ("sslmode=require&sslcrl=hunter2", "sslcrl"),
            ("sslmode=require&ssl_min_protocol_version=hunter2", "ssl_min_protocol_version"),
            (
                "sslmode=require&ssl_min_protocol_version=TLSv1.3&ssl_max_protocol_version=TLSv1.2",
                "ssl_min_protocol_version",
            ),
            ("sslnegotiation=hunter2", "sslnegotiation"),
            ("sslnegotiation=direct", "sslnegotiation=direct"),
            ("connect_timeout=hunter2", "connect_timeout"),
            ("connect_timeout=0", "connect_timeout"),
            ("target_session_attrs=hunter2", "target_session_attrs"),
            ("pgbouncer=hunter2", "pgbouncer"),
            ("port=hunter2", "port"),
            ("port=0", "port"),
            ("port=65536", "port"),
            ("port=1,2", "port"),
        ],
    )
    def test_names_the_parameter(self, parameters: str, named: str, issued: Certificates) -> None:
        message = refused(f"{NEON}/neondb?{parameters.format(chain=issued.chain)}")
        assert message.partition(":")[0] == named

    @pytest.mark.parametrize(
        ("url", "said"),
        [
            ("hunter2", "not a URL of PostgreSQL"),
            ("mysql://alex:hunter2@a/b", "not a URL of PostgreSQL"),
            ("postgresql+psycopg://alex:hunter2@a/b", "not a URL of PostgreSQL"),
            ("postgresql://alex:hunter2@a/b\n", "a blank or a line break"),
            ("postgresql://alex:hunter2@a/b\r\n", "a blank or a line break"),
            (" postgresql://alex:hunter2@a/b", "a blank or a line break"),
            ("postgresql://alex:hunter2@a/b\t", "a blank or a line break"),
            ("'postgresql://alex:hunter2@a/b'", "the URL stands in quotes"),
            ('"postgresql://alex:hunter2@a/b"', "the URL stands in quotes"),
            ("postgresql://alex:hunter2@a/b'", "the URL stands in quotes"),
            ("postgresql://alex:hunter2%4@a/b", "% must be written %25"),
            ("postgresql://alex:hunter2%4g@a/b", "% must be written %25"),
            ("postgresql://alex:hunter2%00@a/b", "% must be written %25"),
            ("postgresql://alex:hunter2@a/b%", "% must be written %25"),
            ("postgresql://alex:hunter2@a/b?application_name=100%", "% must be written %25"),
            ("postgresql://alex:hunter2ä@a/b", "not a URL of PostgreSQL"),
            ("postgresql://alex:hunter2@a:hunter2/b", "not a URL of PostgreSQL"),
            ("postgresql://alex:hunter2@a:65536/b", "port: "),
            ("postgresql://alex:hunter2@/b", "the host is missing"),
            ("postgresql://alex:hunter2@a,/b", "the host is missing"),
            ("postgresql://alex:hunter2%@a/b", "% must be written %25"),
            ("postgresql://alex:hunter2%zz@a/b", "% must be written %25"),
            ("postgresql://alex:hunter2%00options%00x@a/b", "% must be written %25"),
            ("postgresql://alex:hunter2%FF@a/b", "what is percent-encoded must be UTF-8"),
            ("postgresql://alex:hunter2@a/b?application_name=%FF", "what is percent-encoded must be UTF-8"),
        ],
    )
    def test_says_what_is_wrong(self, url: str, said: str) -> None:
        assert refused(url).startswith(said)

    @pytest.mark.parametrize(
        "password", ["1?hunter=two", "1?hunter=two&x=y", "1?hunter", "1#hunter", "1/hunter", "1@hunter", "1:hunter/"]
    )
    def test_does_not_take_what_follows_a_bare_character_for_a_name(self, password: str) -> None:
        assert "hunter" not in refused(f"postgresql://alex:{password}@{DIRECT}/neondb")
        assert "hunter" not in refused(f"postgresql://alex:{password}@{DIRECT}/neondb?nonsense=1")

    @pytest.mark.parametrize("password", ["1&hunter=two", "1&hunter", "1&hunter=two&hunter=two"])
    def test_of_a_password_among_the_parameters_neither(self, password: str) -> None:
        assert "hunter" not in refused(f"postgresql://alex@{DIRECT}/neondb?password={password}")

    @pytest.mark.parametrize(
        ("name", "named"),
        [
            ("a_b", "a_b"), ("a" * 40, "a" * 40), ("a" * 41, "a parameter"), ("A", "a parameter"),
            ("a1", "a parameter"), ("a%62", "a parameter"),
        ],
        ids=["letters", "40 letters", "41 letters", "upper case", "digit", "percent"],
    )  # fmt: skip
    def test_names_a_parameter_only_if_it_looks_like_one(self, name: str, named: str) -> None:
        assert refused(f"{NEON}/neondb?{name}=1").startswith(f"{named}: can't be honoured")
        assert refused(f"{NEON}/neondb?{name}").startswith(f"{named}: must be given once")

    def test_of_what_is_no_certificate(self, issued: Certificates, tmp_path: Path) -> None:
        (tmp_path / "hunter2").write_text("hunter2")
        for parameters in (
            f"sslmode=verify-full&sslrootcert={tmp_path}/hunter2",
            f"sslmode=require&sslcert={issued.chain}&sslkey={issued.authority}",
        ):
            assert refused(f"{NEON}/neondb?{parameters}").startswith("the certificates can't be used")

    @given(st.text(), st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="%")))
    @example("postgresql://a/b?sslmode=verify-full&sslrootcert=/" + "a" * 5000, "")
    @example("postgresql://a/b?port=" + "1" * 5000, "")
    def test_is_the_only_failure_and_quotes_nothing(self, text: str, rest: str) -> None:
        for url in (text, f"postgresql://alex:hunter2{rest}@{DIRECT}/b", f"{NEON}/b?password=hunter2{rest}"):
            try:
                parsed = DatabaseUrl.parse(url)
            except ValueError as error:
                assert "hunter2" not in str(error)  # noqa: PT017
            else:
                assert "hunter2" not in repr(parsed)


class TestHome:
    """libpq's own place for certificates is used where the URL names none."""

    @pytest.fixture
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("HOME", str(tmp_path))
        folder = tmp_path / ".postgresql"
        folder.mkdir()
        return folder

    def test_makes_require_look_at_the_certificate(self, folder: Path, issued: Certificates) -> None:
        (folder / "root.crt").write_bytes(issued.authority.read_bytes())
        assert arguments(f"{NEON}/neondb?sslmode=require")["ssl"] == AUTHORITY
        assert arguments(f"{NEON}/neondb?sslmode=verify-full")["ssl"] == AUTHORITY_AND_NAME

    def test_may_be_one_that_we_may_not_enter(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def forbid(path: Path) -> bool:
            raise PermissionError

        monkeypatch.setattr(Path, "is_file", forbid)
        assert arguments(f"{NEON}/neondb?sslmode=require")["ssl"] == NOTHING

    def test_may_be_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail() -> Path:
            raise RuntimeError

        monkeypatch.setattr(Path, "home", fail)
        assert arguments(f"{NEON}/neondb?sslmode=require")["ssl"] == NOTHING


def context(url: str) -> ssl.SSLContext:
    made: ssl.SSLContext = DatabaseUrl.parse(url).arguments()["ssl"]
    return made


def test_bounds_the_version_of_tls() -> None:
    bounds = "ssl_min_protocol_version=TLSv1.2&ssl_max_protocol_version=TLSv1.2"
    bounded, default = context(f"{NEON}/b?sslmode=require&{bounds}"), context(f"{NEON}/b?sslmode=require")
    assert (bounded.minimum_version, bounded.maximum_version) == (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2)
    assert (default.minimum_version, default.maximum_version) == (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


class TestTls:
    """With a real handshake. The server's certificate is for localhost, and it refuses whoever it hears after that."""

    @asynccontextmanager
    async def server(self, issued: Certificates, *, direct: bool = False) -> Any:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(issued.chain, issued.key)
        context.set_alpn_protocols(["postgresql"])

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                if not direct:
                    await reader.readexactly(8)
                    writer.write(b"S")
                    await writer.start_tls(context)
                assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "postgresql"
                (length,) = struct.unpack("!I", await reader.readexactly(4))
                await reader.readexactly(length - 4)
                refusal = b"SFATAL\0C28000\0Mthe handshake is done\0\0"
                writer.write(b"E" + struct.pack("!I", len(refusal) + 4) + refusal)
                await writer.drain()
            except (OSError, EOFError):
                pass
            finally:
                writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context if direct else None) as server:
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
    def test_takes(self, host: str, parameters: str, issued: Certificates) -> None:
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
            # The authority is none of the system's.
            ("localhost", "sslmode=require&channel_binding=require"),
            ("localhost", "sslmode=verify-full"),
            ("localhost", "sslmode=verify-ca"),
            ("localhost", "sslrootcert=system"),
        ],
    )
    def test_refuses(self, host: str, parameters: str, issued: Certificates, others: Certificates) -> None:
        with pytest.raises(ssl.SSLCertVerificationError):
            self.connect(issued, host, parameters.format(ours=issued.authority, others=others.authority))

    def test_may_come_first(self, issued: Certificates) -> None:
        parameters = f"sslmode=verify-full&sslrootcert={issued.authority}&sslnegotiation=direct"
        with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
            self.connect(issued, "localhost", parameters, direct=True)

"""DATABASE_URL is accepted in the forms of Neon's console, libpq and SQLAlchemy."""

from typing import Any

import pytest

from support.certificates import Certificates
from support.database_urls import AUTHORITY, AUTHORITY_AND_NAME, DIRECT, NEON, POOLED, UNVERIFIED, arguments
from todo_api.database.url import DatabaseUrl, unpooled

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


def short(url: str) -> str:
    """Returns a URL as the id of a test: without credentials, and with a short name for each long host."""
    names = {POOLED: "pooled", DIRECT: "direct", SUPABASE: "supabase", AZURE: "azure", "alex:hunter2@": ""}
    for long, name in names.items():
        url = url.replace(long, name)
    return url


URLS: list[tuple[str, dict[str, Any]]] = [
    # As Neon's console prints them.
    (
        f"postgresql://alex:hunter2@{POOLED}/neondb?sslmode=require&channel_binding=require",
        {"host": [POOLED], "ssl": AUTHORITY_AND_NAME, "statement_cache_size": 0},
    ),
    (f"{NEON}/neondb?sslmode=require&channel_binding=require", {"ssl": AUTHORITY_AND_NAME}),
    (
        f"postgresql://alex:hunter2@{POOLED}/neondb?sslmode=require",
        {"host": [POOLED], "ssl": UNVERIFIED, "statement_cache_size": 0},
    ),
    (f"{NEON}/neondb?sslmode=require", {"ssl": UNVERIFIED}),
    (
        f"{NEON}/neondb?sslmode=verify-full&sslrootcert=system&channel_binding=require",
        {"ssl": AUTHORITY_AND_NAME},
    ),
    (f"{NEON}/neondb?sslmode=require&connect_timeout=15", {"ssl": UNVERIFIED, "timeout": 15}),
    (f"{NEON}/neondb?sslmode=require&pgbouncer=true", {"ssl": UNVERIFIED, "statement_cache_size": 0}),
    # Other names of the scheme.
    (f"postgres://alex:hunter2@{DIRECT}/neondb", {}),
    (f"postgresql+asyncpg://alex:hunter2@{DIRECT}/neondb?ssl=require", {"ssl": UNVERIFIED}),
    # Verification of the server's certificate.
    (f"{NEON}/neondb", {}),
    (f"{NEON}/neondb?", {}),
    (f"{NEON}/neondb?sslmode=disable", {"ssl": False}),
    (f"{NEON}/neondb?sslmode=allow", {"ssl": "allow"}),
    (f"{NEON}/neondb?sslmode=prefer", {"ssl": "prefer"}),
    (f"{NEON}/neondb?sslmode=verify-ca", {"ssl": AUTHORITY_AND_NAME}),
    (f"{NEON}/neondb?sslmode=verify-full", {"ssl": AUTHORITY_AND_NAME}),
    (f"{NEON}/neondb?ssl=true", {"ssl": UNVERIFIED}),
    (f"{NEON}/neondb?ssl=verify-full", {"ssl": AUTHORITY_AND_NAME}),
    (f"{NEON}/neondb?sslrootcert=system", {"ssl": AUTHORITY_AND_NAME}),
    (f"{NEON}/neondb?sslmode=require&sslrootcert={{authority}}", {"ssl": AUTHORITY}),
    (f"{NEON}/neondb?sslmode=verify-ca&sslrootcert={{authority}}", {"ssl": AUTHORITY}),
    (f"{NEON}/neondb?sslmode=verify-full&sslrootcert={{authority}}", {"ssl": AUTHORITY_AND_NAME}),
    # asyncpg has no channel binding; the name in the certificate is checked instead.
    (f"{NEON}/neondb?channel_binding=require", {"ssl": AUTHORITY_AND_NAME}),
    (f"{NEON}/neondb?channel_binding=require&sslmode=prefer", {"ssl": AUTHORITY_AND_NAME}),
    (
        f"{NEON}/neondb?channel_binding=require&sslmode=verify-ca&sslrootcert={{authority}}",
        {"ssl": AUTHORITY_AND_NAME},
    ),
    (f"{NEON}/neondb?channel_binding=prefer&gssencmode=disable", {}),
    (f"{NEON}/neondb?sslmode=require&sslnegotiation=direct", {"ssl": UNVERIFIED, "direct_tls": True}),
    (f"{NEON}/neondb?sslmode=require&sslcert={{chain}}&sslkey={{key}}", {"ssl": UNVERIFIED}),
    # Host and port.
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
    # User, password, database and settings.
    (f"postgresql://alex:%C3%A4%40%3A%2F%3F%23%25&@{DIRECT}/neondb", {"password": "ä@:/?#%&"}),
    (f"postgresql://alex:a+b@{DIRECT}/neondb?application_name=c+d", {"password": "a+b", "name": "c+d"}),
    (f"postgresql://alex%20b:hunter2@{DIRECT}/neon%2Fdb", {"user": "alex b", "database": "neon/db"}),
    (f"postgresql://alex@{DIRECT}/neondb", {"password": None}),
    (f"postgresql://{DIRECT}", {"user": None, "password": None, "database": None}),
    (f"{NEON}/x?dbname=neondb", {}),
    (f"{NEON}/neondb?application_name=nightly%20job", {"name": "nightly job"}),
    (f"{NEON}/neondb?target_session_attrs=read-write", {"target_session_attrs": "read-write"}),
]


@pytest.mark.parametrize(("url", "differences"), URLS, ids=[short(url) for url, _ in URLS])
def test_url_becomes_arguments_of_asyncpg(url: str, differences: dict[str, Any], issued: Certificates) -> None:
    if name := differences.get("name"):
        differences = {"server_settings": {"application_name": name}, **differences}
        del differences["name"]
    url = url.format(authority=issued.authority, chain=issued.chain, key=issued.key)
    assert arguments(url) == {**DEFAULTS, **differences}


DIRECT_URLS = [
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
    # A host without a pooler is unchanged, whatever its name.
    (f"{NEON}/neondb?sslmode=require", f"{NEON}/neondb?sslmode=require"),
    ("postgresql://alex:hunter2@db-pooler.example.com/x", "postgresql://alex:hunter2@db-pooler.example.com/x"),
    # The direct URL of another pooler is not known.
    ("postgresql://alex:hunter2@pool.example.com:6432/x?pgbouncer=true", None),
    (f"postgresql:///neondb?host={POOLED}", None),
]


@pytest.mark.parametrize(("url", "direct"), DIRECT_URLS, ids=[short(url) for url, _ in DIRECT_URLS])
def test_direct_url_follows_from_the_url_of_a_known_pooler(url: str, direct: str | None) -> None:
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
    ids=lambda value: value if isinstance(value, str) else "pooled" if value else "direct",
)
def test_pooler_is_recognized_by_its_host(host: str, pooled: bool) -> None:
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
def test_address_contains_no_credentials(url: str, address: str) -> None:
    assert DatabaseUrl.parse(url).address == address

"""The message that rejects a DATABASE_URL names the faulty part, and contains no password."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from support.certificates import Certificates
from support.database_urls import DIRECT, NEON, rejection_message
from todo_api.database.url import DatabaseUrl


class TestRejectedUrl:
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
            pytest.param("sslmode=verify-full&sslrootcert=" + "hunter2" * 100, "sslrootcert", id="long sslrootcert"),
            ("sslmode=require&sslrootcert=system", "sslrootcert=system"),
            ("sslcert={chain}&sslmode=prefer", "sslcert"),
            ("sslcert={chain}", "sslcert"),
            ("sslpassword=hunter2", "sslpassword"),
            ("sslmode=require&sslcert=hunter2", "sslcert"),
            ("sslmode=require&sslkey=hunter2", "sslkey"),
            ("sslmode=require&sslcrl=hunter2", "sslcrl"),
            ("sslmode=require&ssl_min_protocol_version=hunter2", "ssl_min_protocol_version"),
            pytest.param(
                "sslmode=require&ssl_min_protocol_version=TLSv1.3&ssl_max_protocol_version=TLSv1.2",
                "ssl_min_protocol_version",
                id="minimum TLS version above the maximum",
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
    def test_message_names_the_rejected_parameter(self, parameters: str, named: str, issued: Certificates) -> None:
        message = rejection_message(f"{NEON}/neondb?{parameters.format(chain=issued.chain)}")
        assert message.partition(":")[0] == named

    @pytest.mark.parametrize(
        ("url", "expected"),
        [
            ("hunter2", "not a URL of PostgreSQL"),
            ("mysql://alex:hunter2@a/b", "not a URL of PostgreSQL"),
            ("postgresql+psycopg://alex:hunter2@a/b", "not a URL of PostgreSQL"),
            ("postgresql://alex:hunter2@a/b\n", "a blank or a line break"),
            ("postgresql://alex:hunter2@a/b\r\n", "a blank or a line break"),
            (" postgresql://alex:hunter2@a/b", "a blank or a line break"),
            ("postgresql://alex:hunter2@a/b\t", "a blank or a line break"),
            ("'postgresql://alex:hunter2@a/b'", "the URL is in quotes"),
            ('"postgresql://alex:hunter2@a/b"', "the URL is in quotes"),
            ("postgresql://alex:hunter2@a/b'", "the URL is in quotes"),
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
            ("postgresql://alex:hunter2%FF@a/b", "percent-encoded text must be UTF-8"),
            ("postgresql://alex:hunter2@a/b?application_name=%FF", "percent-encoded text must be UTF-8"),
        ],
        ids=[
            "no scheme", "other database", "other driver", "trailing line feed", "trailing CR LF", "leading blank",
            "trailing tab", "single quotes", "double quotes", "trailing quote", "escape of one digit", "escape not hex",
            "NUL", "bare % at the end", "bare % in a parameter", "not ASCII", "port not a number", "port too large",
            "no host", "empty second host", "bare % in the password", "escape with letters", "NUL between options",
            "password not UTF-8", "parameter not UTF-8",
        ],
    )  # fmt: skip
    def test_message_says_what_is_wrong_with_the_url(self, url: str, expected: str) -> None:
        assert rejection_message(url).startswith(expected)

    @pytest.mark.parametrize(
        "password", ["1?hunter=two", "1?hunter=two&x=y", "1?hunter", "1#hunter", "1/hunter", "1@hunter", "1:hunter/"]
    )
    def test_message_contains_no_part_of_a_password_with_reserved_characters(self, password: str) -> None:
        assert "hunter" not in rejection_message(f"postgresql://alex:{password}@{DIRECT}/neondb")
        assert "hunter" not in rejection_message(f"postgresql://alex:{password}@{DIRECT}/neondb?nonsense=1")

    @pytest.mark.parametrize("password", ["1&hunter=two", "1&hunter", "1&hunter=two&hunter=two"])
    def test_message_contains_no_part_of_a_password_in_the_parameters(self, password: str) -> None:
        assert "hunter" not in rejection_message(f"postgresql://alex@{DIRECT}/neondb?password={password}")

    @pytest.mark.parametrize(
        ("name", "named"),
        [
            ("a_b", "a_b"), ("a" * 40, "a" * 40), ("a" * 41, "a parameter"), ("A", "a parameter"),
            ("a1", "a parameter"), ("a%62", "a parameter"),
        ],
        ids=["letters", "40 letters", "41 letters", "upper case", "digit", "percent"],
    )  # fmt: skip
    def test_message_names_a_parameter_only_if_it_looks_like_a_name(self, name: str, named: str) -> None:
        assert rejection_message(f"{NEON}/neondb?{name}=1").startswith(f"{named}: not supported")
        assert rejection_message(f"{NEON}/neondb?{name}").startswith(f"{named}: must be given once")

    def test_file_without_a_certificate_is_rejected(self, issued: Certificates, tmp_path: Path) -> None:
        (tmp_path / "hunter2").write_text("hunter2")
        for parameters in (
            f"sslmode=verify-full&sslrootcert={tmp_path}/hunter2",
            f"sslmode=require&sslcert={issued.chain}&sslkey={issued.authority}",
        ):
            assert rejection_message(f"{NEON}/neondb?{parameters}").startswith("the certificates cannot be loaded")

    @given(st.text(), st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="%")))
    @example("postgresql://a/b?sslmode=verify-full&sslrootcert=/" + "a" * 5000, "")
    @example("postgresql://a/b?port=" + "1" * 5000, "")
    def test_any_text_is_accepted_or_rejected_without_showing_the_password(self, text: str, rest: str) -> None:
        for url in (text, f"postgresql://alex:hunter2{rest}@{DIRECT}/b", f"{NEON}/b?password=hunter2{rest}"):
            try:
                parsed = DatabaseUrl.parse(url)
            except ValueError as error:
                assert "hunter2" not in str(error)  # noqa: PT017
            else:
                assert "hunter2" not in repr(parsed)

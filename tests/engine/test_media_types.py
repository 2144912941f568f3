"""Content-Type and Accept headers, parsed as RFC 9110 defines them."""

import pytest

from fastapi_contract.validation.media_types import MAX_ACCEPT, choose_acceptable, parse_content_type

OFFERED = ["application/json", "text/csv", "text/plain"]


@pytest.mark.parametrize(
    ("header", "parsed"),
    [
        pytest.param(b"text/plain", ("text/plain", {}), id="no parameters"),
        pytest.param(b" Text/Plain ; CharSet=UTF-8 ;", ("text/plain", {b"charset": b"UTF-8"}), id="spaces and case"),
        pytest.param(b'a/b; c="d\\"; e=f"', ("a/b", {b"c": b'd"; e=f'}), id="quoted value"),
        pytest.param(b"a/b; c=1; c=1", ("a/b", {b"c": b"1"}), id="equal values"),
        pytest.param(b"a/b; c=utf-8; c=UTF-8", ("a/b", {b"c": b"utf-8"}), id="values of other case"),
        pytest.param(b"a/b; c=1; c=2", None, id="two values"),
        pytest.param(b"a/b, c/d", None, id="two media types"),
        pytest.param(b"a/b,", None, id="comma at the end"),
        pytest.param(b"a/b; c=", None, id="parameter without a value"),
        pytest.param(b"a", None, id="no subtype"),
        pytest.param(b"", None, id="empty"),
        pytest.param(b"a/b;" + b" " * 1024, None, id="too long"),
    ],
)
def test_content_type_is_parsed(header: bytes, parsed: object) -> None:
    assert parse_content_type(header) == parsed


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        pytest.param(b"", "application/json", id="no header"),
        pytest.param(b"*/*", "application/json", id="anything"),
        pytest.param(b"text/*", "text/csv", id="first of a kind"),
        pytest.param(b"text/plain", "text/plain", id="exact"),
        pytest.param(b"TEXT/CSV;header=present", "text/csv", id="case and parameters"),
        pytest.param(b"text/csv, text/plain", "text/csv", id="equal weights, first documented"),
        pytest.param(b"text/plain, text/csv;q=0.9", "text/plain", id="weights"),
        pytest.param(b"text/csv;q=0.1,*/*;q=0.2", "application/json", id="specific range decides"),
        pytest.param(b"*/*, application/json;q=0", "text/csv", id="not json"),
        pytest.param(b"text/html,application/xhtml+xml,*/*;q=0.8", "application/json", id="browser"),
        pytest.param(b"image/png", None, id="none"),
        pytest.param(b"*/*;q=0", None, id="nothing at all"),
        pytest.param(b"text/csv;q=2", "application/json", id="malformed weight is ignored"),
        pytest.param(b"csv", "application/json", id="malformed header is ignored"),
        pytest.param(b"image/png," + b" " * MAX_ACCEPT, "application/json", id="too long a header is ignored"),
    ],
)
def test_accept_header_chooses_a_media_type(accept: bytes, chosen: str | None) -> None:
    assert choose_acceptable(OFFERED, accept) == chosen

"""Request bodies of each supported media type, over HTTP, through the shortcut and past it."""

from collections.abc import Iterator
from types import ModuleType
from typing import Annotated, Any

import httpx
import pytest
from fastapi import File as FileParameter
from fastapi import Form

from fastapi_contract.contract import Contract, ContractError
from fastapi_contract.responses.negotiation import AcceptedMediaType
from fastapi_contract.validation.bodies import MAX_BODY, MAX_LINES
from fastapi_contract.validation.forms import MAX_MEMBERS
from fastapi_contract.validation.input_errors import MAX_ERRORS
from fastapi_contract.validation.multipart import MAX_HEADER, MAX_PARTS
from support.echo import CONTRACT, FORM, MULTIPART, NDJSON, app_of, parts, post, types_of_bodies
from support.generated import generate_models
from support.service import running


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    return generate_models(CONTRACT, tmp_path_factory.mktemp("bodies"))


@pytest.fixture(scope="module", params=[True, False], ids=["shortcut", "no-shortcut"])
def client(request: pytest.FixtureRequest, models: ModuleType) -> Iterator[httpx.Client]:
    app = app_of(models, types_of_bodies(models), shortcut=request.param)
    with running(app) as service, httpx.Client(base_url=service.url) as client:
        yield client


TEXT_FILE = 'name="file"; filename="a.txt"\r\nContent-Type: text/plain; charset=utf-8'


@pytest.mark.parametrize(
    ("path", "media_type", "body", "received"),
    [
        pytest.param("/json", "application/json", b'{"text":"a"}', "text='a'", id="json"),
        pytest.param("/json", None, b"", "None", id="no optional json"),
        pytest.param("/json", "text/plain", b"", "None", id="no optional json, another media type"),
        pytest.param("/patch", "application/merge-patch+json", b'{"text":"a"}', "text='a'", id="merge patch"),
        pytest.param("/form", FORM, b"count=1", "count=1", id="form"),
        pytest.param("/form", f"{FORM}; charset=UTF-8", b"count=1", "count=1", id="form with a charset"),
        pytest.param("/form", FORM.upper(), b"count=1", "count=1", id="media type in capitals"),
        pytest.param(
            "/form",
            FORM,
            b"labels=a+b&count=2&done=false&labels=%C3%A4&from=null&due=2026-12-31",
            "count=2, done=False, labels=['a b', 'ä'], from_=None, due=datetime.date(2026, 12, 31)",
            id="form of every type",
        ),
        pytest.param("/form", FORM, b"count=1&labels=", "count=1, labels=['']", id="form with an empty item"),
        pytest.param("/empty-form", MULTIPART, b"--b--\r\n", "", id="form without members"),
        pytest.param(
            "/upload",
            MULTIPART,
            parts((TEXT_FILE, b"x" * 10)),
            "file=10 bytes of a.txt, text/plain; charset=utf-8",
            id="file",
        ),
        pytest.param(
            "/upload",
            MULTIPART,
            parts(('name="file"; filename="..\\\\C:/a%22\xe4.bin"', b"x" * 10)),
            'file=10 bytes of a"ä.bin, application/octet-stream',
            id="file name with folders and escapes",
        ),
        pytest.param(
            "/upload",
            MULTIPART,
            parts(('name="file"', b"\0\xff\r\n--"), ('name="more"', b""), ('name="more"', b"2"), ('name="size"', b"3")),
            r"file=b'\x00\xff\r\n--', more=[b'', b'2'], size=3",
            id="files and a number",
        ),
        pytest.param(
            "/upload",
            MULTIPART,
            parts(
                ('name="file"', b"1"),
                ('name="note"\r\nContent-Type: application/json', b'{"text":"a"}'),
                ('name="notes"', b'{"text":"b"}'),
                ('name="notes"', b'{"text":"c"}'),
            ),
            "file=b'1', note=text='a', notes=[text='b', text='c']",
            id="objects in parts",
        ),
        pytest.param("/text", "text/plain", "ä {".encode(), "'ä {'", id="text"),
        pytest.param("/text", 'text/plain; charset="utf-8"', b"5", "'5'", id="text that is a number"),
        pytest.param("/binary", "application/octet-stream", b"\0\xff", r"b'\x00\xff'", id="binary"),
        pytest.param("/binary", "application/octet-stream", b"", "None", id="no optional binary"),
        pytest.param("/lines", NDJSON, b'{"text":"a"}\n{"text":"b"}\n', "[text='a', text='b']", id="lines"),
        pytest.param("/lines", NDJSON, b'{"text":"a"}\r\n{"text":"b"}\r\n', "[text='a', text='b']", id="lines with CR"),
        pytest.param("/lines", NDJSON, b' {"text":"\\n"} ', r"[text='\n']", id="one line without its end"),
        pytest.param("/lines", f"{NDJSON}; charset=utf-8", b'{"text":"a"}', "[text='a']", id="lines with a charset"),
        pytest.param(
            "/note-or-notes", NDJSON, b'{"text":"a"}\n' * 2, "[text='a', text='a']", id="json or lines, lines"
        ),
        pytest.param("/note-or-notes", "application/json", b'{"text":"a"}', "text='a'", id="json or lines, json"),
        pytest.param("/note-or-notes", NDJSON, b"", "None", id="no optional lines"),
        pytest.param("/choice", "application/json", b'{"text":"a"}', "text='a'", id="choice of json"),
        pytest.param("/choice", "text/plain", b'{"text":"a"}'[:10], '\'{"text":"a\'', id="choice of text"),
        pytest.param("/choice", FORM, b"count=1", "count=1", id="choice of a form"),
        pytest.param("/choice", "application/octet-stream", b"\xff", r"b'\xff'", id="choice of binary"),
    ],
)
def test_body_reaches_the_handler(
    client: httpx.Client, path: str, media_type: str | None, body: bytes, received: str
) -> None:
    response = post(client, path, media_type, body)
    assert response.json().get("received") == received, response.text


@pytest.mark.parametrize(
    ("path", "media_type", "body", "errors"),
    [
        pytest.param("/patch", "application/merge-patch+json", b"{}", ["required #/text"], id="merge patch"),
        pytest.param("/form", None, b"", ["required #"], id="no form"),
        pytest.param("/form", FORM, b"", ["required #"], id="empty form"),
        pytest.param("/form", FORM, b"count=0", ["too_small #/count"], id="bound"),
        pytest.param("/form", FORM, b"count=%2B1", ["type #/count"], id="number that is not canonical"),
        pytest.param("/form", FORM, b"count=1&count=2", ["repeated_parameter #/count"], id="repeated member"),
        pytest.param("/form", FORM, b"count=1&other=2", ["unknown_member #/other"], id="unknown member"),
        pytest.param("/form", FORM, b"count=1&from_=a", ["unknown_member #/from_"], id="name of Python"),
        pytest.param("/form", FORM, b"count=1&labels=a&labels=b&labels=c", ["too_many #/labels"], id="items"),
        pytest.param("/form", FORM, b"count=1&due=", ["format #/due"], id="empty date"),
        pytest.param("/upload", MULTIPART, b"--b--\r\n", ["required #/file"], id="no file"),
        pytest.param("/upload", MULTIPART, parts((TEXT_FILE, b"x" * 50_001)), ["too_long #/file"], id="long file"),
        pytest.param(
            "/upload",
            MULTIPART,
            parts(('name="file"', b"1"), ('name="file"', b"2")),
            ["repeated_parameter #/file"],
            id="two files",
        ),
        pytest.param(
            "/upload",
            MULTIPART,
            parts(('name="file"', b"1"), ('name="notes"', b'{"text":""}'), ('name="notes"', b'{"text":1}')),
            ["type #/notes/1/text"],
            id="object in a part",
        ),
        pytest.param("/text", "text/plain", b"123456", ["too_long #"], id="long text"),
        pytest.param("/text", "text/plain", b"\0", ["pattern #"], id="NUL in text"),
        pytest.param("/binary", "application/octet-stream", b"12345", ["too_long #"], id="long binary"),
        pytest.param("/lines", NDJSON, b"", ["required #"], id="no lines"),
        pytest.param("/lines", NDJSON, b'{"text":"a"}\n' * 4, ["too_many #"], id="too many lines"),
        pytest.param(
            "/note-or-notes", NDJSON, b"1\n" * (MAX_LINES + 1), ["too_many #"], id="more lines than by default"
        ),
        pytest.param("/lines", NDJSON, b'[{"text":"a"}]', ["type #/0"], id="list instead of lines"),
        pytest.param("/lines", NDJSON, b"null\n", ["type #/0"], id="null in a line"),
        pytest.param(
            "/lines",
            NDJSON,
            b'{"text":"abcdef"}\n{"text":"a"}\n{"text":1,"from_":2}',
            ["too_long #/0/text", "type #/2/text", "unknown_member #/2/from_"],
            id="members of lines",
        ),
        pytest.param("/choice", FORM, b"text=a", ["required #/count", "unknown_member #/text"], id="choice of a form"),
    ],
)
def test_invalid_body_is_422_with_the_place(
    client: httpx.Client, path: str, media_type: str | None, body: bytes, errors: list[str]
) -> None:
    response = post(client, path, media_type, body)
    assert response.status_code == 422, response.text
    found = [f"{error['code']} {error['pointer']}" for error in response.json()["errors"]]
    assert sorted(found) == errors


@pytest.mark.parametrize(
    ("path", "media_type", "body", "fault"),
    [
        pytest.param("/patch", "application/merge-patch+json", b'{"text":"a","text":"b"}', "JSON", id="merge patch"),
        pytest.param("/form", FORM, b"count=%ff", "a form", id="form that is not UTF-8"),
        pytest.param("/form", FORM, b"count=\xff", "a form", id="raw bytes in a form"),
        pytest.param("/form", FORM, b"a&" * MAX_MEMBERS, "a form", id="form with too many members"),
        pytest.param("/upload", MULTIPART, b"", None, id="no multipart"),
        pytest.param("/upload", MULTIPART, b"file=1", "a form", id="multipart without a boundary"),
        pytest.param("/upload", "multipart/form-data", parts(), "a form", id="media type without a boundary"),
        pytest.param("/upload", f"multipart/form-data; boundary={'b' * 300}", parts(), "a form", id="long boundary"),
        pytest.param("/upload", MULTIPART, parts((TEXT_FILE, b"1"))[:-8], "a form", id="incomplete multipart"),
        pytest.param("/upload", MULTIPART, parts(("x", b"1")), "a form", id="part without a name"),
        pytest.param(
            "/upload",
            MULTIPART,
            parts(('name="file"\r\nContent-Transfer-Encoding: base64', b"AA==")),
            "a form",
            id="encoded part",
        ),
        pytest.param(
            "/upload", MULTIPART, parts(('name="file"\r\nX-A: 1\r\nx-a: 2', b"1")), "a form", id="repeated header"
        ),
        pytest.param("/upload", MULTIPART, parts(('name="size"', b"\xff")), "a form", id="number that is not UTF-8"),
        pytest.param("/upload", MULTIPART, parts(('name="note"', b"{")), "a form", id="part that is not JSON"),
        pytest.param(
            "/upload", MULTIPART, parts(*[('name="a"', b"")] * (MAX_PARTS + 1)), "a form", id="too many parts"
        ),
        pytest.param(
            "/upload", MULTIPART, parts((f'name="{"a" * MAX_HEADER}"', b"")), "a form", id="long header of a part"
        ),
        pytest.param("/text", "text/plain", b"\xff", "text", id="text that is not UTF-8"),
        pytest.param("/lines", NDJSON, b'{"text":"a"}\n{"text":', "NDJSON: line 2", id="incomplete line"),
        pytest.param("/lines", NDJSON, b'{"text":1}\n{"a":1,"a":2}', "NDJSON: line 2", id="repeated name in a line"),
        pytest.param("/lines", NDJSON, b'{"text":"a"}\n\n{"text":"a"}', "NDJSON: line 2", id="empty line"),
        pytest.param("/lines", NDJSON, b'{"text":"a"}\n\n', "NDJSON: line 2", id="empty last line"),
        pytest.param("/lines", NDJSON, b"\r\n", "NDJSON: line 1", id="nothing but the end of a line"),
        pytest.param("/lines", NDJSON, b'{\n"text":"a"}', "NDJSON: line 1", id="object in two lines"),
        pytest.param("/lines", NDJSON, b'{"text":"a"}{"text":"a"}', "NDJSON: line 1", id="two objects in a line"),
        pytest.param("/lines", NDJSON, b'\xef\xbb\xbf{"text":"a"}', "NDJSON: line 1", id="byte order mark"),
        pytest.param("/lines", NDJSON, b'{"text":"a"}\n{"text":"\xff"}', "NDJSON: line 2", id="line that is not UTF-8"),
    ],
)
def test_malformed_body_is_400(
    client: httpx.Client, path: str, media_type: str, body: bytes, fault: str | None
) -> None:
    response = post(client, path, media_type, body)
    if fault is None:
        assert response.status_code == 422
        return
    problem = response.json()
    assert (problem["status"], problem["title"]) == (400, "Malformed body"), problem
    assert problem["detail"].startswith(f"The body is not {fault}: ")


def test_as_many_lines_as_by_default_are_accepted(client: httpx.Client) -> None:
    assert post(client, "/note-or-notes", NDJSON, b'{"text":"a"}\n' * MAX_LINES).status_code == 200


def test_errors_of_many_lines_are_limited(client: httpx.Client) -> None:
    """All lines before the first 100 errors are counted, and the problem has these."""
    response = post(client, "/note-or-notes", NDJSON, b'{"text":1}\n' * MAX_LINES)
    assert response.status_code == 422
    pointers = [error["pointer"] for error in response.json()["errors"]]
    assert pointers == [f"#/{index}/text" for index in range(MAX_ERRORS)]
    assert f"more than {MAX_ERRORS} places" in response.json()["detail"]


@pytest.mark.parametrize(
    ("path", "media_type", "accepted"),
    [
        pytest.param("/patch", "application/json", "application/merge-patch+json", id="json for merge patch"),
        pytest.param("/json", "application/merge-patch+json", "application/json", id="merge patch for json"),
        pytest.param("/form", "multipart/form-data; boundary=b", FORM, id="multipart for a form"),
        pytest.param("/lines", "application/json", NDJSON, id="json for lines"),
        pytest.param("/text", "text/html", "text/plain", id="html for text"),
        pytest.param("/text", "text/plain; charset=latin1", "text/plain", id="charset"),
        pytest.param("/text", "text/plain; charset=utf-8; charset=latin1", "text/plain", id="two charsets"),
        pytest.param("/text", None, "text/plain", id="no media type"),
        pytest.param("/text", "text/plain, application/json", "text/plain", id="list"),
        pytest.param("/text", "text/*", "text/plain", id="range"),
        pytest.param(
            "/choice",
            "image/png",
            f"application/json, text/plain, {FORM}, application/octet-stream",
            id="choice",
        ),
    ],
)
def test_another_media_type_is_415_and_names_the_accepted_ones(
    client: httpx.Client, path: str, media_type: str | None, accepted: str
) -> None:
    response = post(client, path, media_type, b"x")
    assert response.status_code == 415, response.text
    assert response.headers["Accept"] == accepted
    assert accepted.replace(", ", " or ") in response.json()["detail"]


@pytest.mark.parametrize(
    ("path", "media_type", "limit"),
    [
        pytest.param("/form", FORM, MAX_BODY, id="default"),
        pytest.param("/upload", MULTIPART, 100_000, id="request body"),
        pytest.param("/binary", "application/octet-stream", 8, id="media type"),
        pytest.param("/lines", NDJSON, 100_000, id="lines"),
        pytest.param("/choice", "text/plain", 10, id="one of several"),
        pytest.param("/choice", "application/json", MAX_BODY, id="another of several"),
    ],
)
@pytest.mark.parametrize("is_chunked", [False, True], ids=["with a length", "in chunks"])
def test_body_above_its_limit_is_413_and_names_the_limit(
    client: httpx.Client, path: str, media_type: str, limit: int, *, is_chunked: bool
) -> None:
    def chunks(size: int) -> Any:
        body = b"x" * size
        return iter([body[:5], body[5:]]) if is_chunked else body

    headers = {"Content-Type": media_type}
    assert client.post(path, content=chunks(limit), headers=headers).status_code != 413
    response = client.post(path, content=chunks(limit + 1), headers=headers)
    assert (response.status_code, f"larger than {limit} bytes" in response.json()["detail"]) == (413, True)


def test_every_operation_is_compiled(models: ModuleType) -> None:
    app = app_of(models, types_of_bodies(models), shortcut=True)
    operations = Contract.parse(CONTRACT.read_bytes()).operations.keys()
    assert app.middleware_stack.app.operations == operations  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("operation_id", "type_of_body"),
    [
        pytest.param("sendForm", "Note", id="another model"),
        pytest.param("sendText", "Note", id="model for text"),
        pytest.param("sendLines", "Note", id="one line"),
        pytest.param("sendChoice", "Note", id="one of several"),
    ],
)
def test_handler_with_another_type_stops_the_start(models: Any, operation_id: str, type_of_body: str) -> None:
    types = {**types_of_bodies(models), operation_id: getattr(models, type_of_body)}
    with pytest.raises(ContractError, match=operation_id):
        app_of(models, types, shortcut=True)


@pytest.mark.parametrize("marker", [Form(), FileParameter()], ids=["Form", "File"])
def test_form_that_fastapi_would_read_stops_the_start(models: Any, marker: Any) -> None:
    types = {**types_of_bodies(models), "sendForm": Annotated[models.Form, marker]}
    with pytest.raises(ContractError, match="sendForm reads its form by the contract: use the generated model"):
        app_of(models, types, shortcut=True)


def test_accepted_media_type_without_a_choice_stops_the_start(models: Any) -> None:
    types = {**types_of_bodies(models), "sendForm": AcceptedMediaType}
    with pytest.raises(ContractError, match="sendForm has no choice of media types: remove AcceptedMediaType"):
        app_of(models, types, shortcut=True)

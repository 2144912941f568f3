"""When a task is due, its priority and its labels: in each request that writes them, and each answer that has them."""

import unicodedata
import uuid
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from support.operations import CONTRACT, tasks

Send = Callable[[httpx.Client, str, dict[str, Any]], httpx.Response]

DAY, TIME = "2026-12-24", "2026-12-24T17:30:00.250000Z"
ALL: dict[str, Any] = {"due_date": None, "due_at": TIME, "priority": "urgent", "labels": ["Home", "a b", "\u00e9"]}
NONE: dict[str, Any] = {"due_date": None, "due_at": None, "priority": "normal", "labels": []}
MEMBERS = [*NONE]


def merge_patch(client: httpx.Client, url: str, body: dict[str, Any]) -> httpx.Response:
    return client.request("PATCH", url, json=body, headers={"Content-Type": "application/merge-patch+json"})


def in_a_batch(client: httpx.Client, url: str, body: dict[str, Any]) -> httpx.Response:
    """Returns the result of the command as the answer to a request, so that it can be compared."""
    path, _, number = url.rpartition("/")
    command = {"type": "update", "id": "a", "task_id": int(number), "changes": body}
    answer = client.post(f"{path}/batch", json={"commands": [command]})
    if answer.is_success:
        (result,) = answer.json()["results"]
        answer = httpx.Response(result["status"], json=result["task"])
    return answer


CHANGES: dict[str, Send] = {
    "PUT": lambda client, url, body: client.put(url, json=body),
    "PATCH": lambda client, url, body: client.patch(url, json=body),
    "merge patch": merge_patch,
    "batch": in_a_batch,
}
each_change = pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)


def members(answer: httpx.Response) -> dict[str, Any]:
    assert answer.is_success, answer.text
    return {name: answer.json()[name] for name in MEMBERS}


def errors(answer: httpx.Response) -> list[tuple[str, str]]:
    """The code and the last part of the place of each error."""
    assert answer.status_code == 422, answer.text
    return [(error["code"], error["pointer"].split("/", 1)[-1]) for error in answer.json()["errors"]]


def create(client: httpx.Client, user: str, **body: Any) -> httpx.Response:
    return client.post(tasks(user), json={"title": "x", **body})


@pytest.fixture
def url(client: httpx.Client, user: str) -> str:
    """Of a task with all members."""
    return str(create(client, user, **ALL).headers["Location"])


def test_created_task_has_its_members_or_the_defaults(client: httpx.Client, user: str) -> None:
    assert members(create(client, user)) == NONE
    assert members(create(client, user, **ALL)) == ALL
    assert members(create(client, user, due_date=DAY, due_at=None)) == {**NONE, "due_date": DAY}


@each_change
def test_absent_member_keeps_its_value(client: httpx.Client, url: str, change: Send) -> None:
    assert members(change(client, url, {"title": "y"})) == ALL
    assert members(change(client, url, {"priority": "low"})) == {**ALL, "priority": "low"}
    assert members(change(client, url, {"labels": []})) == {**ALL, "priority": "low", "labels": []}
    assert members(client.get(url)) == {**ALL, "priority": "low", "labels": []}


@each_change
def test_null_clears_a_due_member(client: httpx.Client, url: str, change: Send) -> None:
    assert members(change(client, url, {"due_date": None})) == ALL
    assert members(change(client, url, {"due_at": None})) == {**ALL, "due_at": None}


@each_change
@pytest.mark.parametrize("member", ["priority", "labels", "title", "completed"])
def test_null_of_a_member_that_is_always_set_is_422(client: httpx.Client, url: str, change: Send, member: str) -> None:
    assert [place.split("/")[-1] for _, place in errors(change(client, url, {member: None}))] == [member]


@each_change
@pytest.mark.parametrize(
    ("due", "other"),
    [(DAY, None), (DAY, "absent"), (None, TIME), ("absent", TIME)],
    ids=["day and null", "day", "null and time", "time"],
)
def test_one_due_member_clears_the_other(
    client: httpx.Client, url: str, change: Send, due: str | None, other: str | None
) -> None:
    sent = {name: value for name, value in (("due_date", due), ("due_at", other)) if value != "absent"}
    for before in {"due_date": DAY}, {"due_at": TIME}:
        client.patch(url, json=before)
        kept = {name: value if value != "absent" else None for name, value in (("due_date", due), ("due_at", other))}
        assert members(change(client, url, sent)) == {**ALL, **kept}


@each_change
def test_both_due_members_are_422_and_change_nothing(client: httpx.Client, url: str, change: Send) -> None:
    found = errors(change(client, url, {"due_date": DAY, "due_at": TIME, "title": "y"}))
    assert [(code, place.split("/")[-1]) for code, place in found] == [("invalid", "due_at")]
    assert client.get(url).json()["etag"] == '"1"'


def test_both_due_members_of_a_new_task_are_422(client: httpx.Client, user: str) -> None:
    assert errors(create(client, user, due_date=DAY, due_at=TIME)) == [("invalid", "due_at")]
    assert client.get(tasks(user)).json()["items"] == []


@pytest.mark.parametrize("day", ["0001-01-01", "2024-02-29", "9999-12-31"], ids=["first", "leap day", "last"])
def test_day_is_never_shifted(client: httpx.Client, user: str, day: str) -> None:
    created = create(client, user, due_date=day)
    assert members(client.get(created.headers["Location"])) == {**NONE, "due_date": day}


# --- labels


@pytest.mark.parametrize(
    ("member", "value", "code"),
    [
        pytest.param("due_at", "2026-12-24T17:30:00+01:00", "pattern", id="time that is not in UTC"),
        pytest.param("priority", None, "not_one_of", id="no priority"),
    ],
)
def test_member_in_another_form_is_422(client: httpx.Client, user: str, member: str, value: Any, code: str) -> None:
    answer = client.post(tasks(user), json={"title": "x", member: value})
    assert answer.status_code == 422
    assert {error["pointer"] for error in answer.json()["errors"]} == {f"#/{member}"}
    assert code in {error["code"] for error in answer.json()["errors"]}


@each_change
def test_labels_keep_their_order_and_case(client: httpx.Client, url: str, change: Send) -> None:
    for labels in ["b", "A", "\U0001f600", "c"], ["c", "\U0001f600", "A", "b"], ["a", "B"]:
        assert members(change(client, url, {"labels": labels}))["labels"] == labels
    assert members(client.get(url))["labels"] == ["a", "B"]


def test_labels_are_returned_in_normal_form(client: httpx.Client, user: str) -> None:
    sent = ["e\u0301", "\u212b", "\u1112\u1161\u11ab", "ﬁ"]
    created = create(client, user, labels=sent)
    assert members(created)["labels"] == [unicodedata.normalize("NFC", each) for each in sent] == ["é", "Å", "한", "ﬁ"]


@pytest.mark.parametrize(
    ("labels", "number"),
    [
        (["home", "work", "Home"], 2),
        (["\u00e9", "e\u0301"], 1),
        (["\u00c9", "x", "e\u0301"], 2),
        (["straße", "STRASSE", "STRAßE"], 2),
        (["ΑΣ", "ασ"], 1),
    ],
    ids=["case", "normal form", "case and normal form", "sharp s", "sigma"],
)
def test_second_label_that_is_the_same_is_422_at_its_place(
    client: httpx.Client, user: str, labels: list[str], number: int
) -> None:
    assert errors(create(client, user, labels=labels)) == [("duplicate_items", f"labels/{number}")]


def test_labels_that_only_look_alike_are_two(client: httpx.Client, user: str) -> None:
    labels = ["straße", "strasse", "e", "é", "K", "\uff2b", "a b", "a  b"]
    assert members(create(client, user, labels=labels))["labels"] == labels


def test_20_labels_are_accepted_and_21_are_not(client: httpx.Client, user: str) -> None:
    labels = [f"label {number}" for number in range(21)]
    assert members(create(client, user, labels=labels[:20]))["labels"] == labels[:20]
    assert errors(create(client, user, labels=labels)) == [("too_many", "labels")]


@pytest.mark.parametrize(
    ("label", "code"),
    [
        ("x" * 50, None),
        ("\U0001f600" * 50, None),
        # Longer than 50 only before it is in normal form: the contract counts what is sent.
        ("e\u0301" * 26, "too_long"),
        ("e\u0301" * 25, None),
        ("x" * 51, "too_long"),
        # Two characters in normal form.
        ("\u0958" * 25, None),
        ("\u0958" * 26, "too_long"),
    ],
    ids=["50", "50 emoji", "52 in 26 letters", "50 in 25 letters", "51", "50 in normal form", "52 in normal form"],
)
def test_label_has_at_most_50_characters(client: httpx.Client, user: str, label: str, code: str | None) -> None:
    answer = create(client, user, labels=["x", label])
    if code is None:
        assert members(answer)["labels"] == ["x", unicodedata.normalize("NFC", label)]
    else:
        assert errors(answer) == [(code, "labels/1")]
        assert answer.json()["errors"][0]["limit"] == 50


def test_all_errors_of_the_members_are_listed_at_once(client: httpx.Client, user: str) -> None:
    answer = create(client, user, due_date=DAY, due_at=TIME, labels=["a", "A", "\u0958" * 50])
    assert errors(answer) == [("invalid", "due_at"), ("duplicate_items", "labels/1"), ("too_long", "labels/2")]


@pytest.mark.parametrize(
    "label",
    ["", " a", "a ", "a\tb", "\u200b", "a\u00a0"],
    ids=["empty", "space before", "space after", "control character", "invisible", "no-break space after"],
)
def test_label_without_a_visible_beginning_and_end_is_422(client: httpx.Client, user: str, label: str) -> None:
    ((code, place),) = errors(create(client, user, labels=[label]))
    assert (code in {"blank", "too_short"}, place) == (True, "labels/0")


# --- other answers


@pytest.mark.parametrize(
    "body",
    [ALL, {"due_date": "0001-01-01"}, {"due_at": "9999-12-31T23:59:59.999999Z"}, {}],
    ids=["all", "first day", "last time", "none"],
)
def test_repeated_request_with_a_key_gets_an_equal_answer(
    client: httpx.Client, user: str, body: dict[str, Any]
) -> None:
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    sent = {"title": "x", **body}
    first, again = (client.post(tasks(user), json=sent, headers=headers) for _ in range(2))
    assert again.headers["Idempotency-Replayed"] == "true"
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert members(again) == {**NONE, **body}


@pytest.mark.parametrize(
    "other", [{"due_date": DAY}, {"due_at": TIME}, {"priority": "low"}, {"labels": ["a"]}], ids=MEMBERS
)
def test_used_key_with_another_member_is_422(client: httpx.Client, user: str, other: dict[str, Any]) -> None:
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    client.post(tasks(user), json={"title": "x"}, headers=headers)
    answer = client.post(tasks(user), json={"title": "x", **other}, headers=headers)
    assert answer.json()["type"] == "/problems/idempotency-key-reused"


def test_completion_with_a_key_returns_all_members(client: httpx.Client, url: str) -> None:
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    first, again = (client.patch(f"{url}/complete", json={"completed": True}, headers=headers) for _ in range(2))
    assert members(first) == members(again) == ALL


def test_restored_task_has_its_members(client: httpx.Client, url: str) -> None:
    client.delete(url)
    assert members(client.post(f"{url}/restore")) == ALL


def test_changes_and_lists_have_the_members(client: httpx.Client, user: str, url: str) -> None:
    task = client.get(url).json()
    assert client.get(f"{tasks(user)}/changes").json()["changed"] == [task]
    assert client.get(tasks(user)).json()["items"] == [task]


def test_every_writable_member_is_one_of_these(client: httpx.Client) -> None:
    schema = CONTRACT.document["components"]["schemas"]["TaskUpdate"]
    assert {*schema["properties"]} == {"title", "description", "completed", *MEMBERS}

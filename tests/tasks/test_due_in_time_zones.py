"""`due_before`, `due_after` and `overdue` count days by the clock of the time zone, also if it changes on that day."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from support.databases import fetch
from support.operations import tasks
from todo_api.tasks import queries

ADD = (
    "INSERT INTO task (user_id, title, due_at) SELECT $1, due_at::text, due_at FROM unnest($2::timestamptz[]) AS due_at"
)
ADD_DAYS = (
    "INSERT INTO task (user_id, title, due_date) SELECT $1, day::text, day FROM unnest($2::text[]::date[]) AS day"
)


def listed(client: httpx.Client, user: str, **query: Any) -> set[str]:
    page, found = client.get(tasks(user), params={"limit": 100, **query}), set()
    while True:
        assert page.status_code == 200
        found |= {task["title"] for task in page.json()["items"]}
        if "next" not in page.links:
            return found
        page = client.get(page.links["next"]["url"])


def titled(moment: datetime) -> str:
    """Returns the title of ADD: the time as PostgreSQL writes it."""
    return str(moment).replace("+00:00", "+00")


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("Europe/Berlin", "2026-03-29"),
        ("Europe/Berlin", "2026-10-25"),
        ("America/New_York", "2026-03-08"),
        ("America/New_York", "2026-11-01"),
        # The clock goes from midnight to one o'clock, and back to eleven o'clock of the day before.
        ("Africa/Cairo", "2026-04-24"),
        ("Africa/Cairo", "2026-10-29"),
        ("America/Havana", "2026-03-08"),
        ("America/Havana", "2026-11-01"),
        # The 30th was skipped.
        ("Pacific/Apia", "2011-12-29"),
        ("Pacific/Apia", "2011-12-30"),
        ("Pacific/Apia", "2011-12-31"),
        ("Pacific/Kiritimati", "2026-05-01"),
        ("Etc/GMT+12", "2026-05-01"),
        ("Asia/Kathmandu", "2026-05-01"),
        ("UTC", "2026-05-01"),
    ],
    ids=lambda value: value,
)
def test_day_begins_and_ends_by_the_clock_of_the_zone(
    client: httpx.Client, database_url: str, user: str, zone: str, day: str
) -> None:
    clock, asked = ZoneInfo(zone), date.fromisoformat(day)
    midnight = datetime.combine(asked, datetime.min.time(), UTC)
    quarters = [midnight + timedelta(minutes=15 * n) for n in range(-4 * 16, 4 * 40)]
    moments = [each - before for each in quarters for before in (timedelta(0), timedelta(microseconds=1))]
    fetch(database_url, ADD, user, moments)
    days = {titled(each): each.astimezone(clock).date() for each in moments}
    for name, expected in (
        ("due_before", {title for title, each in days.items() if each < asked}),
        ("due_after", {title for title, each in days.items() if each > asked}),
    ):
        assert expected
        assert listed(client, user, time_zone=zone, **{name: day}) == expected
    both = listed(
        client, user, time_zone=zone, due_after=asked - timedelta(1), due_before=asked + timedelta(1), sort="due"
    )
    assert both == {title for title, each in days.items() if each == asked}
    assert bool(both) == (day != "2011-12-30")


@pytest.mark.parametrize(
    ("zone", "now", "passed"),
    [
        ("UTC", "2026-05-01T23:59:59.999999Z", ["2026-04-30"]),
        ("UTC", "2026-05-02T00:00:00Z", ["2026-04-30", "2026-05-01"]),
        ("Pacific/Kiritimati", "2026-05-01T09:59:59.999999Z", ["2026-04-30"]),
        ("Pacific/Kiritimati", "2026-05-01T10:00:00Z", ["2026-04-30", "2026-05-01"]),
        ("Etc/GMT+12", "2026-05-02T11:59:59.999999Z", ["2026-04-30"]),
        ("Etc/GMT+12", "2026-05-02T12:00:00Z", ["2026-04-30", "2026-05-01"]),
        # At 22:00 in UTC, because the clock is set forward two months before, and in winter an hour later.
        ("Africa/Cairo", "2026-05-01T20:59:59.999999Z", ["2026-04-30"]),
        ("Africa/Cairo", "2026-05-01T21:00:00Z", ["2026-04-30", "2026-05-01"]),
        # The evening of the change has an hour twice.
        ("Africa/Cairo", "2026-10-29T21:59:59.999999Z", ["2026-04-30", "2026-05-01", "2026-05-02"]),
    ],
)
def test_task_of_a_day_is_overdue_when_the_day_has_ended_in_the_zone(
    client: httpx.Client,
    database_url: str,
    user: str,
    monkeypatch: pytest.MonkeyPatch,
    zone: str,
    now: str,
    passed: list[str],
) -> None:
    monkeypatch.setattr(queries, "utc_now", lambda: datetime.fromisoformat(now))
    days = ["2026-04-30", "2026-05-01", "2026-05-02", "2026-10-29", "2026-10-30"]
    fetch(database_url, ADD_DAYS, user, days)
    assert listed(client, user, overdue="true", time_zone=zone) == set(passed)
    assert listed(client, user, overdue="false", time_zone=zone) == set(days) - set(passed)


def test_task_of_a_time_is_overdue_after_it_in_each_zone(
    client: httpx.Client, database_url: str, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime(2026, 10, 25, 1, tzinfo=UTC)
    monkeypatch.setattr(queries, "utc_now", lambda: now)
    moments = [now - timedelta(seconds=1), now, now + timedelta(seconds=1)]
    fetch(database_url, ADD, user, moments)
    for zone in "UTC", "Europe/Berlin", "Pacific/Kiritimati", "Etc/GMT+12":
        assert listed(client, user, overdue="true", time_zone=zone) == {titled(moments[0])}
        assert listed(client, user, overdue="false", time_zone=zone) == {titled(each) for each in moments[1:]}


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Etc/GMT+12"])
def test_first_and_last_day_and_time_of_the_calendar_are_filtered_and_sorted(
    client: httpx.Client, user: str, zone: str
) -> None:
    first, last = "0001-01-01", "9999-12-31"
    members = [
        {"due_at": f"{first}T00:00:00Z"},
        {"due_date": first},
        {"due_date": "0001-01-02"},
        {"due_date": "9999-12-30"},
        {"due_date": last},
        {"due_at": f"{last}T23:59:59.999999Z"},
    ]
    sent = [str(each) for each in members]
    for each in members:
        created = client.post(tasks(user), json={"title": str(each), **each})
        assert created.status_code == 201
        assert created.json().items() >= each.items()
    for sort, in_order in (("due", sent), ("-due", sent[::-1])):
        page = client.get(tasks(user), params={"limit": 1, "sort": sort})
        found = page.json()["items"]
        while "next" in page.links:
            page = client.get(page.links["next"]["url"])
            found += page.json()["items"]
        assert [task["title"] for task in found] == in_order
    of_days = set(sent[1:5])
    cases: list[tuple[dict[str, str], set[str]]] = [
        ({"due_before": first}, set()),
        ({"due_after": first}, of_days - {sent[1]}),
        ({"due_before": last}, of_days - {sent[4]}),
        ({"due_after": last}, set()),
        ({"overdue": "true"}, {sent[1], sent[2]}),
        ({"overdue": "false"}, {sent[3], sent[4]}),
    ]
    for query, expected in cases:
        assert listed(client, user, time_zone=zone, **query) & of_days == expected, query
    if zone == "UTC":
        assert listed(client, user, due_after=last) == listed(client, user, due_before=first) == set()


@pytest.mark.parametrize(
    "zone",
    [
        "Europe/Atlantis", "europe/berlin", "EUROPE/BERLIN", "utc", "posixrules", "posix/Europe/Berlin",
        "right/Europe/Berlin", "localtime", "Factory/", "tzdata.zi", "zone.tab", "leapseconds", "zones", "Europe",
        "Europe/", "/Europe/Berlin", "../etc/passwd", "Europe/../UTC", "/etc/localtime", "UTC+1", "+01:00", "Berlin",
        " UTC", "UTC ", "", "Z", "U" * 64, "U" * 65,
    ],
)  # fmt: skip
def test_unknown_time_zone_is_422(client: httpx.Client, user: str, zone: str) -> None:
    rejected = client.get(tasks(user), params={"time_zone": zone, "overdue": "true"})
    assert rejected.status_code == 422
    assert [error["parameter"] for error in rejected.json()["errors"]] == ["time_zone"]
    assert client.get(tasks(user), params={"time_zone": zone}).status_code == 422

"""What a list is filtered and sorted by, from the query of a request."""

import importlib.resources
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from functools import cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from pydantic import MISSING
from todo_contract import models

from fastapi_contract.problems import ValidationFailed
from fastapi_contract.validation.input_errors import InputError

NEWEST = "-created_at"
"""The order without `sort`."""
_PAGE = {"cursor", "offset", "limit", "include_total"}
"""The parameters that choose a page of the same list."""

BEGIN = time()
END = time.max.replace(fold=1)
"""Of a day. If the clock is set back before midnight, the day ends at the second time."""


class Filters(NamedTuple):
    """Which tasks a list has, in which order. A filter that is None or empty selects all."""

    completed: bool | None = None
    labels: tuple[str, ...] = ()
    """All of them."""
    priorities: tuple[str, ...] = ()
    """Any of them."""
    due_after: date | None = None
    due_before: date | None = None
    overdue: bool | None = None
    zone: ZoneInfo = ZoneInfo("UTC")
    """By whose clock days are counted."""
    updated_since: datetime | None = None
    words: str | None = None
    sort: str = NEWEST

    def moment(self, day: date, clock: time) -> datetime:
        """Returns in UTC when a clock of the zone shows this time of a day."""
        try:
            return datetime.combine(day, clock, self.zone).astimezone(UTC)
        except OverflowError:
            # Of the years 1 and 9999 a part is outside what Python and the contract can express.
            return datetime.combine(day, clock, UTC)

    def today(self, now: datetime) -> date:
        return now.astimezone(self.zone).date()


def filters_of(query: models.ListTasksParametersQuery) -> Filters:
    """Returns the filters of a query. Raises ValidationFailed for an unknown time zone."""
    if not query.model_fields_set - _PAGE:
        return NO_FILTERS
    given = {name: value for name, value in query if value is not MISSING}
    return Filters(
        completed=given.get("completed"),
        labels=tuple(given.get("label", ())),
        priorities=tuple(given.get("priority", ())),
        due_after=given.get("due_after"),
        due_before=given.get("due_before"),
        overdue=given.get("overdue"),
        zone=_zone(query.time_zone),
        updated_since=given.get("updated_since"),
        words=given.get("q"),
        sort=query.sort,
    )


def scope_of(query: models.ListTasksParametersQuery) -> str:
    """Returns a text of the filters and the order, to which a cursor belongs."""
    given: Mapping[str, Any] = {name: getattr(query, name) for name in query.model_fields_set - _PAGE}
    return "&".join(f"{name}={given[name]!r}" for name in sorted(given))


NO_FILTERS = Filters()


@cache
def _zones() -> frozenset[str]:
    """The names of the IANA database, which may be absent from a system, and have other files beside them there."""
    return frozenset(importlib.resources.files("tzdata").joinpath("zones").read_text().split())


def _zone(name: str) -> ZoneInfo:
    if name not in _zones():
        fault = "Is not the name of a time zone. Send one of the IANA database, such as Europe/Berlin."
        raise ValidationFailed([InputError("invalid", fault, parameter="time_zone")])
    return ZoneInfo(name)

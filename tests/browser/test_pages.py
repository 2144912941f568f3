"""The pages in a browser: on a phone and a desk, light and dark, with the keyboard, and without internet."""

import json
import re
from typing import Any

import pytest

from support import ROOT
from support.chromium import Chromium
from support.operations import tasks
from support.service import Service

VISIT, TRY_OUT, WALK = (f"tests/browser/{name}.mjs" for name in ("visit", "try_out", "walk"))
SCREENSHOTS = ROOT / "reports/screenshots/pages"
OWN = ["/", "/problems", "/problems/task-changed", "/problems/not-found"]
READY = {"/docs": ".opblock", "/redoc": "[data-section-id]"}
"""What is there when the script of a page has shown the contract."""
WINDOWS = [(width, scheme) for width in (390, 1280) for scheme in ("light", "dark")]


def brightness(color: str) -> float:
    """Return that of `rgb(…)`, from 0 to 255."""
    red, green, blue = map(int, re.findall(r"\d+", color)[:3])
    return 0.299 * red + 0.587 * green + 0.114 * blue


def visit(path: str, width: int, scheme: str) -> dict[str, Any]:
    name = f"{path.strip('/').replace('/', '-') or 'home'}-{width}-{scheme}.png"
    ready, screenshot = READY.get(path, "main h1"), str(SCREENSHOTS / name)
    return {
        "path": path, "width": width, "scheme": scheme, "ready": ready, "screenshot": screenshot, "isOwn": path in OWN
    }  # fmt: skip


@pytest.mark.parametrize("path", [*OWN, *READY])
def test_page_is_shown_well_in_each_window(chromium: Chromium, service: Service, path: str) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    visits = [visit(path, *window) for window in WINDOWS]

    found = chromium.run(VISIT, {"url": service.url, "visits": visits})

    assert len(found) == len(WINDOWS)
    for each in found:
        assert each["messages"] == []
        assert each["elsewhere"] == []
        assert each["overflow"] <= 0
        assert each["lang"] == "en"
        assert each["viewport"] == "width=device-width, initial-scale=1"
        assert each["title"]
        assert each["violations"] == []
        # Redoc has light colors only.
        is_dark = each["scheme"] == "dark" and path != "/redoc"
        assert (brightness(each["background"]) < 64) == is_dark
        assert (brightness(each["text"]) > 128) == is_dark


def test_request_from_the_documentation_lists_tasks_after_a_reload(
    chromium: Chromium, service: Service, user: str
) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    title = service.client(user).post(tasks(user), json={"title": "Buy milk"}).json()["title"]
    shots = [[str(SCREENSHOTS / f"docs-answer-{width}-dark.png"), width] for width in (390, 1280)]
    request = {"operation": "listTasks", "parameters": {"user_id": user}, "screenshots": shots}

    found = chromium.run(TRY_OUT, {"url": service.url, "token": service.token(user), **request})

    assert (found["status"], [task["title"] for task in found["answer"]["items"]]) == (200, [title])
    assert found["messages"] == []
    filled = dict(found["filled"])
    # Required ones first.
    assert found["filled"][0] == ["user_id", "pZ4nT0aVJvXc9dK2mQ7rLw1sYb8hUeGf"]
    # Optional ones have their defaults: the examples of all together are no request that makes sense.
    assert (filled["limit"], filled["cursor"], filled["q"]) == ("50", "", "")


def test_request_from_the_documentation_sends_the_example_of_a_body(
    chromium: Chromium, service: Service, user: str
) -> None:
    request: dict[str, Any] = {"operation": "createTask", "parameters": {"user_id": user}, "screenshots": []}

    found = chromium.run(TRY_OUT, {"url": service.url, "token": service.token(user), **request})

    assert (json.loads(found["filledBody"]), dict(found["filled"])["Idempotency-Key"]) == ({"title": "Buy milk"}, "")
    assert (found["status"], found["answer"]["title"], found["messages"]) == (201, "Buy milk", [])


def test_keyboard_links_and_a_change_of_the_color_scheme_work(chromium: Chromium, service: Service) -> None:
    found = chromium.run(WALK, {"url": service.url, "paths": OWN})

    for each in found["keyboard"].values():
        assert [one["href"] for one in each["reached"] if one["href"]] == each["links"]
        assert all(one["outline"] >= 2 for one in each["reached"])
    assert found["opened"] == f"{service.url}/docs#/tasks/patchTask"
    light, dark, again = map(brightness, found["backgrounds"])
    assert (light > 192, dark < 64, again > 192) == (True, True, True)
    assert found["messages"] == []

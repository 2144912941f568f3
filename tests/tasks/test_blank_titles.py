"""A title without a visible character is rejected, and every regex engine agrees on the contract's pattern."""

import json
import re
import subprocess
import unicodedata
from typing import Any

import httpx
import pytest
from jsonschema_rs import Draft202012Validator
from pydantic import TypeAdapter, ValidationError
from todo_contract import models

from support.node import NODE
from support.operations import CONTRACT

TITLE = CONTRACT.document["components"]["schemas"]["Title"]

INVISIBLE = [
    *range(0x01, 0x21), *range(0x7F, 0xA1), 0xAD, 0x1680, 0x180E, *range(0x2000, 0x2010), *range(0x2028, 0x2030),
    *range(0x205F, 0x2070), 0x3000, 0xFEFF,
]  # fmt: skip
VISIBLE = [0x21, 0xA1, 0x0301, 0x2010, 0x2027, 0x2030, 0x2070, 0x3001, 0xFFFD, 0x1F600]

code_point = {"ids": lambda number: f"U+{number:04X}"}


@pytest.mark.parametrize("number", INVISIBLE, **code_point)  # type: ignore[arg-type]
def test_title_of_an_invisible_character_is_422(client: httpx.Client, user: str, number: int) -> None:
    tasks = f"/api/{user}/tasks"
    task = client.post(tasks, json={"title": "x"}).json()["id"]
    for title in (chr(number), chr(number) * 200, f" {chr(number)}\u3000"):
        for rejected in (
            client.post(tasks, json={"title": title}),
            client.put(f"{tasks}/{task}", json={"title": title}),
        ):
            assert (rejected.status_code, rejected.json()["errors"][0]["pointer"]) == (422, "#/title")


@pytest.mark.parametrize("number", VISIBLE, **code_point)  # type: ignore[arg-type]
def test_title_of_a_visible_character_is_stored_as_sent(client: httpx.Client, user: str, number: int) -> None:
    tasks = f"/api/{user}/tasks"
    for title in (chr(number), f"\u3000{chr(number)}\u200b", f"\u2028{chr(number)}\ufeff"):
        created = client.post(tasks, json={"title": title})
        assert (created.status_code, created.json()["title"]) == (201, title)
        changed = client.put(f"{tasks}/{created.json()['id']}", json={"title": title})
        assert (changed.status_code, changed.json()["title"]) == (200, title)


def test_invisible_characters_are_those_of_unicode() -> None:
    """White space, and the control and format characters that are invisible in every script."""
    spaces = {number for number in range(1, 0x110000) if chr(number).isspace()}
    assert spaces <= {*INVISIBLE}
    assert {unicodedata.category(chr(number)) for number in {*INVISIBLE} - spaces} == {"Cc", "Cf", "Cn"}


def rejected_by_pydantic() -> set[int]:
    adapter: TypeAdapter[Any] = TypeAdapter(models.Title)

    def is_valid(text: str) -> bool:
        try:
            adapter.validate_python(text)
        except ValidationError:
            return False
        return True

    return {number for number in CHARACTERS if not is_valid(chr(number))}


def rejected_by_python() -> set[int]:
    return {number for number in CHARACTERS if not re.search(TITLE["pattern"], chr(number))}


def rejected_by_jsonschema_rs() -> set[int]:
    validator = Draft202012Validator(TITLE)
    return {number for number in CHARACTERS if not validator.is_valid(chr(number))}


def rejected_by_ecmascript(flags: str) -> set[int]:
    program = f"""
        const pattern = new RegExp({json.dumps(TITLE["pattern"])}, "{flags}"), rejected = [];
        for (let n = 0; n < 0x11000; n++)
            if ((n < 0xD800 || n > 0xDFFF) && !pattern.test(String.fromCodePoint(n))) rejected.push(n);
        console.log(JSON.stringify(rejected));
    """
    return set(json.loads(subprocess.run([NODE, "-e", program], capture_output=True, check=True, timeout=60).stdout))


# The Basic Multilingual Plane and the next 4,096 characters, without surrogates.
CHARACTERS = [number for number in range(0x11000) if not 0xD800 <= number <= 0xDFFF]


@pytest.mark.parametrize(
    "rejected",
    [
        pytest.param(rejected_by_pydantic, id="pydantic"),
        pytest.param(rejected_by_python, id="Python"),
        pytest.param(rejected_by_jsonschema_rs, id="jsonschema_rs"),
        pytest.param(lambda: rejected_by_ecmascript(""), id="ECMAScript"),
        pytest.param(lambda: rejected_by_ecmascript("u"), id="ECMAScript with flag u"),
    ],
)
def test_pattern_rejects_the_same_characters_in_every_engine(rejected: Any) -> None:
    assert rejected() == {0, *INVISIBLE}

"""The rules of a task's members that JSON Schema cannot express."""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi_contract.problems import ValidationFailed
from fastapi_contract.validation.input_errors import InputError

MAX_LABEL = 50
"""Characters of a label. In normal form it may have more than in the request."""


def checked(values: Mapping[str, Any], pointer: str = "#") -> dict[str, Any]:
    """Returns the members of a request as they are stored: labels in normal form, and due on a day or at a time.

    Setting one of `due_date` and `due_at` clears the other one. `pointer` is the place of the members in the body.
    Raises ValidationFailed.
    """
    stored, errors = dict(values), []
    if stored.get("due_date") is not None:
        if stored.get("due_at") is not None:
            detail = "due_date and due_at cannot be combined. Send only one of them."
            errors.append(InputError("invalid", detail, pointer=f"{pointer}/due_at"))
        stored["due_at"] = None
    elif stored.get("due_at") is not None:
        stored["due_date"] = None
    if "labels" in stored:
        stored["labels"] = [normalized(label) for label in stored["labels"]]
        errors += _label_errors(stored["labels"], f"{pointer}/labels")
    if errors:
        raise ValidationFailed(errors)
    return stored


def checked_label(label: str, pointer: str) -> str:
    """Returns a label of a request as it is stored. `pointer` is its place in the body. Raises ValidationFailed."""
    stored = normalized(label)
    if errors := _too_long(stored, pointer):
        raise ValidationFailed(errors)
    return stored


def normalized(label: str) -> str:
    return label if label.isascii() else unicodedata.normalize("NFC", label)


def key_of(label: str) -> str:
    """Returns what is equal for labels that are the same: `label_key` in SQL, which maps each character to one."""
    return "".join(character.lower()[0] for character in normalized(label))


def _label_errors(labels: Sequence[str], pointer: str) -> list[InputError]:
    errors, seen = [], set()
    for number, label in enumerate(labels):
        key = key_of(label)
        if key in seen:
            detail = "Is there already. Labels that differ only in case are the same."
            errors.append(InputError("duplicate_items", detail, pointer=f"{pointer}/{number}"))
        errors += _too_long(label, f"{pointer}/{number}")
        seen.add(key)
    return errors


def _too_long(label: str, pointer: str) -> list[InputError]:
    detail = f"Must have at most {MAX_LABEL} characters."
    error = InputError("too_long", detail, limit=MAX_LABEL, pointer=pointer)
    return [error] if len(label) > MAX_LABEL else []

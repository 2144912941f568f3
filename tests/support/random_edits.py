"""Random edits of a contract, as a tree and as text. The same seed makes the same edit."""

import copy
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

from fastapi_contract.openapi.openapi_objects import METHODS, OBJECTS
from fastapi_contract.openapi.supported import UNSUPPORTED

FIELDS = sorted({name.rstrip("!*") for fields in (*OBJECTS.values(), *UNSUPPORTED.values()) for name in fields} - {""})
SCALARS = [
    None,
    True,
    False,
    0,
    -1,
    1,
    2**70,
    1.5,
    1e300,
    "",
    "x",
    "object",
    "array",
    "null",
    "#",
    "/a/{b}",
    "2XX",
    "é",
]
CONTAINERS: list[Any] = [[], {}, [[]], [None], {"": None}, {"type": "string"}, {"$ref": "#/components/schemas/Task"}]
SCHEMAS: list[Any] = [
    {},
    {"type": ["string", "null"], "default": None},
    {"type": ["integer", "string"], "maximum": 5, "maxLength": 5},
    {"enum": [1, "a", None, True, 1.5]},
    {"enum": [1, 2]},
    {"const": {"a": [1]}},
    {"type": "string", "format": "date"},
    {"type": "string", "format": "uuid", "default": "x"},
    {"type": "number", "multipleOf": 0.1, "exclusiveMinimum": 0},
    {"type": "integer", "format": "int64", "minimum": -(2**63)},
    {"type": "array", "items": {"$ref": "#/components/schemas/Title"}, "uniqueItems": True},
    {"type": "array", "items": {"type": ["integer", "null"]}, "maxItems": 3},
    {"type": "array"},
    {"type": "object", "additionalProperties": {"$ref": "#/components/schemas/Task"}},
    {"type": "object", "additionalProperties": {"type": "integer"}, "propertyNames": {"pattern": "^a"}},
    {"type": "object", "properties": {"again": {"$ref": "#/components/schemas/Task"}}},
    {"type": "object", "properties": {"again": {"$ref": "#/components/schemas/TaskCreate"}}, "required": ["other"]},
    {"$ref": "#/components/schemas/Task"},
    {"$ref": "#/components/schemas/TaskUpdate", "minProperties": 2, "description": "Beside."},
    {"$ref": "#/components/schemas/Task/properties/id"},
    {"$ref": "#/paths/~1/get"},
    {"allOf": [{"$ref": "#/components/schemas/Task"}, {"type": "object", "required": ["x"]}]},
    {"allOf": [{"$ref": "#/components/schemas/TaskCreate"}]},
    {"anyOf": [{"$ref": "#/components/schemas/Task"}, {"type": "null"}]},
    {"anyOf": [{"type": "integer"}, {"type": "string"}], "default": 5},
    {"oneOf": [{"$ref": "#/components/schemas/Task"}, {"$ref": "#/components/schemas/Health"}]},
    {
        "oneOf": [{"$ref": "#/components/schemas/TaskCreate"}, {"$ref": "#/components/schemas/TaskUpdate"}],
        "discriminator": {"propertyName": "title", "mapping": {"a": "#/components/schemas/TaskCreate"}},
    },
    {"readOnly": True, "writeOnly": True, "deprecated": True, "title": "x", "$comment": "y", "x-z": [None]},
]
PARAMETERS: list[Any] = [
    {"name": name, "in": where, "required": required, "schema": schema}
    for name, where in [("check", "query"), ("page-size", "query"), ("X-Page", "header"), ("class", "cookie")]
    for required in (True, False)
    for schema in SCHEMAS
]
SNIPPETS = [
    "&a ",
    "*a",
    "<<: *a",
    "!!int ",
    "- ",
    ": ",
    "? ",
    "| ",
    "> ",
    "'",
    '"',
    "[",
    "]",
    "{",
    "}",
    ",",
    "#",
    "%",
    "@",
    "~",
]
SNIPPETS += [
    "\t",
    "\n",
    " ",
    "  ",
    "---\n",
    "...\n",
    "\x00",
    "\x7f",
    "\ufeff",
    "é",
    "no",
    "0o17",
    ".inf",
    "2026-12-31",
    "\\",
]


def edited(source: bytes, document: str, seed: int) -> bytes:
    """Returns the contract with one to three random edits: of its text if `seed` is odd, otherwise of its values.

    `source` is the contract in YAML, and `document` the same in JSON.
    """
    chance = random.Random(seed)  # noqa: S311 (Not for secrets.)
    if seed % 2:
        return _edited_text(source.decode(), chance).encode()
    root = json.loads(document)
    for _ in range(chance.choice([1, 1, 2, 3])):
        _edit_value(root, chance)
    return json.dumps(root).encode()


def _edited_text(text: str, chance: random.Random) -> str:
    for _ in range(chance.choice([1, 1, 2, 3])):
        lines = text.splitlines(keepends=True)
        here, there = chance.randrange(len(lines)), chance.randrange(len(lines))
        match chance.randrange(8):
            case 0:
                del lines[here : here + chance.choice([1, 1, 2, 5])]
            case 1:
                lines.insert(there, lines[here])
            case 2:
                lines[here], lines[there] = lines[there], lines[here]
            case 3:
                lines[here] = chance.choice([" ", "  ", "    "]) + lines[here]
            case 4:
                lines[here] = lines[here].removeprefix("  ")
            case 5:
                at = chance.randrange(len(lines[here]))
                lines[here] = lines[here][:at] + chance.choice(SNIPPETS) + lines[here][at:]
            case 6:
                at = chance.randrange(len(lines[here]))
                lines[here] = lines[here][:at] + lines[here][at + 1 :]
            case _:
                name, colon, _ = lines[here].partition(":")
                lines[here] = f"{name}{colon} {chance.choice(SNIPPETS + FIELDS)}\n"
        text = "".join(lines) or "\n"
    return text


def _edit_value(document: Any, chance: random.Random) -> None:
    places = list(_places(document))
    (parent, key), (other_parent, other_key) = chance.choice(places), chance.choice(places)
    other = copy.deepcopy(other_parent[other_key])
    edits: list[Callable[[], object]] = [
        lambda: parent.pop(key),
        lambda: parent.__setitem__(key, other),
        lambda: parent.__setitem__(key, copy.deepcopy(chance.choice([*SCALARS, *CONTAINERS]))),
        lambda: parent.__setitem__(key, {"$ref": f"#{chance.choice(_pointers(document))}"}),
        lambda: _insert(parent[key], chance.choice(FIELDS), other, chance),
        lambda: _insert(parent[key], chance.choice(FIELDS), chance.choice([*SCALARS, *CONTAINERS]), chance),
        lambda: _insert(parent, chance.choice([*FIELDS, "copy", "x-copy"]), parent[key], chance),
        lambda: parent.__setitem__(key, _changed(parent[key], chance)),
    ]
    if chance.random() < 0.5:
        edits = [
            lambda: _replace(document, ("schema", "items", "additionalProperties"), chance.choice(SCHEMAS), chance),
            lambda: chance.choice(_objects(document, "properties", "schemas")).__setitem__(
                chance.choice(["title", "task", "Task", "TaskCreate", "TaskUpdate", "Cursor", "Limit", "from"]),
                copy.deepcopy(chance.choice(SCHEMAS)),
            ),
            lambda: chance.choice(_schemas(document)).update(copy.deepcopy(chance.choice(SCHEMAS))),
            lambda: chance.choice(_objects(document, *METHODS)).update(
                parameters=[copy.deepcopy(chance.choice(PARAMETERS))]
            ),
            lambda: chance.choice(_objects(document, *METHODS)).update(
                security=chance.choice([[], [{}], [{"bearerAuth": []}, {}], [{"bearerAuth": ["a"]}]])
            ),
            lambda: chance.choice(_objects(document, *METHODS)).update(
                requestBody={"$ref": f"#/components/requestBodies/{chance.choice(['TaskCreate', 'TaskCompletion'])}"}
            ),
        ]
    chance.choice(edits)()


def _objects(document: Any, *keys: str) -> list[Any]:
    return [parent[key] for parent, key in _places(document) if key in keys and isinstance(parent[key], dict)] or [{}]


def _schemas(document: Any) -> list[Any]:
    """The schemas that have a name."""
    return [
        schema
        for group in _objects(document, "properties", "schemas")
        for schema in group.values()
        if isinstance(schema, dict)
    ] or [{}]


def _replace(document: Any, keys: tuple[str, ...], value: Any, chance: random.Random) -> None:
    places = [(parent, key) for parent, key in _places(document) if key in keys]
    if places:
        parent, key = chance.choice(places)
        parent[key] = copy.deepcopy(value)


def _insert(target: Any, name: str, value: Any, chance: random.Random) -> None:
    if isinstance(target, dict):
        target[name] = copy.deepcopy(value)
    elif isinstance(target, list):
        target.insert(chance.randrange(len(target) + 1), copy.deepcopy(value))


def _changed(value: Any, chance: random.Random) -> Any:
    if isinstance(value, str):
        return chance.choice(
            [value + "x", value[:-1], value.upper(), value.replace("/", "~"), value + "{x}", f"^[{value}"]
        )
    if isinstance(value, int | float):
        return chance.choice([value + 1, -value, str(value), [value]])
    return [value]


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yields the parent and the key of each value."""
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from _places(value[key])


def _pointers(value: Any, pointer: str = "") -> list[str]:
    found = [pointer]
    if isinstance(value, dict):
        for key, each in value.items():
            found += _pointers(each, f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, list):
        for index, each in enumerate(value):
            found += _pointers(each, f"{pointer}/{index}")
    return found

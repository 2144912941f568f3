"""Derives values from a JSON Schema: those just inside its bounds, and those just outside, each with its error."""

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

Resolve = Callable[[Any], Any]

FORMATS: dict[str, tuple[list[str], list[str]]] = {
    "date": (
        ["2026-12-31", "2024-02-29", "0001-01-01", "9999-12-31"],
        ["0", "2026-02-30", "2026-12-31T00:00:00", "2026-1-1", "20261231", "2026-W01-1", "0000-01-01", " 2026-12-31",
         "2026-12-31\n", "\uff12026-12-31", ""],
    ),
    "date-time": (
        ["2026-12-31T23:59:59Z", "2026-12-31T18:30:00.123456+05:30", "2026-12-31t18:30:00z"],
        ["5", "2026-12-31", "2026-12-31T00:00:00", "2026-12-31 00:00:00Z", "2026-12-31T00:00Z", "2026-12-31T24:00:00Z",
         "2026-12-31T23:59:60Z", "2026-02-30T00:00:00Z", "2026-12-31T00:00:00+0530", "2026-12-31T00:00:00.1234567Z",
         "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "2026-12-31T00:00:00+24:00", "1e3"],
    ),
    "time": (
        ["10:30:00Z", "23:59:59.5+02:00"],
        ["5", "10:30", "10:30:00", "24:00:00Z", "10:30:60Z", "10:30Z", "10:30:00 Z", "10:30:00+0200"],
    ),
    "uuid": (
        ["2eb8aa08-aa98-11ea-b4aa-73b441d16380", "00000000-0000-0000-0000-000000000000"],
        ["{2eb8aa08-aa98-11ea-b4aa-73b441d16380}", "2eb8aa08aa9811eab4aa73b441d16380",
         "urn:uuid:2eb8aa08-aa98-11ea-b4aa-73b441d16380", "2eb8aa08-aa98-11ea-b4aa-73b441d1638g"],
    ),
    "email": (["name@example.com", "a+b@c.de"], ["name", "a@", "@b.c", "A <a@b.c>", " a@b.c", "a@b.c\n", "a..b@c.d"]),
    "uri": (["https://example.com/a?b#c", "http://a", "urn:a:b"], ["a", "//a/b", "http://a b", "http://[::1", ""]),
    "uri-reference": (["/a", "http://a", ""], ["a b", "\\"]),
    "ipv4": (["192.0.2.1"], ["1.2.3", "256.1.1.1", "01.2.3.4", "1.2.3.4/8", "::1"]),
    "ipv6": (["::1", "2001:db8::0001"], ["::1%eth0", "1::2::3", "[::1]", "1.2.3.4"]),
    "hostname": (["example.com", "a"], ["a_b", "-a", "a..b", "", "a b", "a" * 64]),
    "decimal": (["0", "-12.50", "100000000000000000000.01"], ["1e3", "+1", "01", ".5", "5.", "NaN", " 1", "1_0", ""]),
    "byte": (["SGVsbG8=", ""], ["SGVsbG8", "SGVsbG8=\n", "S-Vs", "QR==", "%"]),
    "password": (["secret"], []),
    "duration": (["P1DT12H"], ["1", "P", "1D"]),
}  # fmt: skip
"""Texts of each format, and values that are none."""

_OF_ANOTHER_TYPE: dict[str, list[Any]] = {
    "string": [0, 1, True, [], {}],
    "integer": ["1", True, 1.0, 1.5, [], 2**64, -(2**70)],
    "number": ["0.5", True, []],
    "boolean": ["true", 0, 1, "yes"],
    "array": [{}, "a", 1],
    "object": [[], "a", 1],
}
_TEXTS = "abcdefghij"
_CANDIDATES: list[Callable[[int], str]] = [
    lambda n: (_TEXTS * n)[:n], lambda n: "AB12"[:n], lambda n: "1" * n, lambda n: "\U0001f600" * n,
]  # fmt: skip
_STRANGE: list[Callable[[int], str]] = [
    lambda n: " " * n, lambda n: "\0" * n, lambda n: "!" * n, lambda n: "\u4e00" * n,
]  # fmt: skip


class Wrong(NamedTuple):
    """A value just outside, and its only error."""

    value: Any
    path: tuple[str | int, ...]
    code: str
    limit: float | None = None


def kinds_of(schema: Any) -> list[str]:
    kinds = schema.get("type", [])
    return [kinds] if isinstance(kinds, str) else list(kinds)


def right(schema: Any, resolve: Resolve) -> list[Any]:
    """Values just inside, of which there is at least one."""
    schema = resolve(schema)
    if "const" in schema:
        return [schema["const"]]
    if "enum" in schema:
        return list(schema["enum"])
    for union in ("oneOf", "anyOf"):
        if union in schema:
            return [value for branch in schema[union] for value in right(branch, resolve)]
    values = [value for kind in kinds_of(schema) for value in _RIGHT[kind](schema, resolve)]
    return values if kinds_of(schema) else [{"any": [1, None, "x"]}, None, 0.5, "text"]


def wrong(schema: Any, resolve: Resolve) -> list[Wrong]:
    """Values just outside."""
    schema = resolve(schema)
    if "const" in schema or "enum" in schema:
        others: list[Any] = ["none of them", True, []]
        return [Wrong(value, (), "not_one_of") for value in others]
    for union in ("oneOf", "anyOf"):
        if union in schema:
            return list(_wrong_union(schema[union], resolve))
    kinds = kinds_of(schema)
    bounded = [each for kind in kinds if kind in _WRONG for each in _WRONG[kind](schema, resolve)]
    return bounded + [Wrong(value, (), code) for value, code in _of_no_type(kinds)]


def _of_no_type(kinds: list[str]) -> Iterator[tuple[Any, str]]:
    others = [value for kind in kinds for value in _OF_ANOTHER_TYPE.get(kind, [])]
    for value in [*others, None] if kinds else []:
        if not any(_is(value, kind) for kind in kinds):
            yield value, "type"


_PYTHON: dict[str, tuple[type, ...]] = {
    "null": (type(None),),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "string": (str,),
    "array": (list,),
    "object": (dict,),
}


def _is(value: Any, kind: str) -> bool:
    return type(value) in _PYTHON[kind]


def _fits(schema: Any, text: str) -> bool:
    return "pattern" not in schema or re.search(schema["pattern"], text) is not None


def _right_strings(schema: Any, resolve: Resolve) -> list[Any]:
    if schema.get("format") in FORMATS:
        texts = [text for text in FORMATS[schema["format"]][0] if _fits(schema, text)]
        return [text for text in texts if schema.get("minLength", 0) <= len(text) <= schema.get("maxLength", 1000)]
    lengths = [schema.get("minLength", 0), schema.get("maxLength", 4)]
    made = [make(length) for length in lengths for make in _CANDIDATES]
    # A pattern may be narrower than all of these.
    return [text for text in made if len(text) in lengths and _fits(schema, text)] or list(schema.get("examples", ()))


def _wrong_strings(schema: Any, resolve: Resolve) -> Iterator[Wrong]:
    if schema.get("format") in FORMATS:
        yield from [Wrong(text, (), "format") for text in FORMATS[schema["format"]][1]]
        return
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    if least > 0:
        yield Wrong(_TEXTS[: least - 1], (), "too_short", least)
    if most is not None:
        yield Wrong("x" * (most + 1), (), "too_long", most)
    for make in _STRANGE:
        text = make(max(least, 1))
        if not _fits(schema, text):
            yield Wrong(text, (), schema.get("x-pattern-error", {}).get("code", "pattern"))


def _bounds(schema: Any) -> tuple[float | None, float | None]:
    """The least and the greatest value."""
    step = schema.get("multipleOf", 1 if "integer" in kinds_of(schema) else 0.5)
    least, most = schema.get("minimum"), schema.get("maximum")
    if "exclusiveMinimum" in schema:
        least = schema["exclusiveMinimum"] + step
    if "exclusiveMaximum" in schema:
        most = schema["exclusiveMaximum"] - step
    if schema.get("format") in {"int32", "int64"}:
        width = int(schema["format"][3:])
        least = -(2 ** (width - 1)) if least is None else least
        most = 2 ** (width - 1) - 1 if most is None else most
    return least, most


def _right_numbers(schema: Any, resolve: Resolve) -> list[Any]:
    found = [bound for bound in _bounds(schema) if bound is not None]
    return found or ([0, -7, 2**53] if "integer" in kinds_of(schema) else [0, 0.5, -1e300, 3])


def _wrong_numbers(schema: Any, resolve: Resolve) -> Iterator[Wrong]:
    least, most = _bounds(schema)
    step = schema.get("multipleOf", 1)
    if least is not None:
        yield Wrong(least - step, (), "too_small", schema.get("exclusiveMinimum", least))
    if most is not None:
        yield Wrong(most + step, (), "too_large", schema.get("exclusiveMaximum", most))
    if "multipleOf" in schema:
        value = (least or 0) + step / 2
        yield Wrong(int(value) if "integer" in kinds_of(schema) else value, (), "multiple_of", step)
    if "integer" in kinds_of(schema) and most is None:
        yield Wrong(2**63, (), "too_large", 2**63 - 1)
        yield Wrong(-(2**80), (), "too_small", -(2**63)) if least is None else Wrong(2**80, (), "too_large", 2**63 - 1)


def _right_arrays(schema: Any, resolve: Resolve) -> list[Any]:
    least, most = schema.get("minItems", 0), schema.get("maxItems", 2)
    if schema.get("uniqueItems"):
        items = _distinct(schema.get("items", {}), resolve, most)
        return [items[:count] for count in {least, min(most, len(items))} if count <= len(items)]
    items = right(schema.get("items", {}), resolve)
    return [[items[index % len(items)] for index in range(count)] for count in {least, most}]


def _distinct(schema: Any, resolve: Resolve, count: int) -> list[Any]:
    """At most `count` values. Texts differ in more than case."""
    texts = [f"{number}x" for number in range(count)] if kinds_of(resolve(schema)) == ["string"] else []
    fitting = [text for text in texts if _is_text_of(resolve(schema), text)]
    found: list[Any] = []
    for value in [*right(schema, resolve), *fitting]:
        if value not in found and (not isinstance(value, str) or value.lower() not in found):
            found.append(value)
    return found[:count]


def _is_text_of(schema: Any, text: str) -> bool:
    is_any = not schema.keys() & {"enum", "const", "format"}
    return is_any and schema.get("minLength", 0) <= len(text) <= schema.get("maxLength", 1000) and _fits(schema, text)


def _wrong_arrays(schema: Any, resolve: Resolve) -> Iterator[Wrong]:
    item = right(schema.get("items", {}), resolve)[0]
    least, most = schema.get("minItems", 0), schema.get("maxItems")
    if least > 0 and not (schema.get("uniqueItems") and least > 2):
        yield Wrong([item] * (least - 1), (), "too_few", least)
    if most is not None:
        is_unique = schema.get("uniqueItems")
        items = _distinct(schema.get("items", {}), resolve, most + 1) if is_unique else [item] * (most + 1)
        if len(items) > most:
            yield Wrong(items, (), "too_many", most)
    if schema.get("uniqueItems") and least <= 2 <= (2 if most is None else most):
        yield Wrong([item, item], (), "duplicate_items")
    if least <= 1 <= (1 if most is None else most):
        for each in wrong(schema.get("items", {}), resolve):
            yield each._replace(value=[each.value], path=(0, *each.path))


def _whole(schema: Any, resolve: Resolve) -> dict[str, Any]:
    """An object with all its members."""
    return {
        name: right(member, resolve)[0]
        for name, member in schema.get("properties", {}).items()
        if not resolve(member).get("readOnly")
    }


def _right_objects(schema: Any, resolve: Resolve) -> list[Any]:
    whole = _whole(schema, resolve)
    if "properties" not in schema and isinstance(schema.get("additionalProperties"), dict):
        return [{}, {"a": right(schema["additionalProperties"], resolve)[0]}]
    values: list[Any] = [whole]
    for name in whole:
        values += [{**whole, name: value} for value in right(schema["properties"][name], resolve)[1:]]
    if len(required := schema.get("required", [])) >= schema.get("minProperties", 0):
        values.append({name: whole[name] for name in required if name in whole})
    return values


def _wrong_objects(schema: Any, resolve: Resolve) -> Iterator[Wrong]:
    whole, additional = _whole(schema, resolve), schema.get("additionalProperties")
    for name, member in schema.get("properties", {}).items():
        if resolve(member).get("readOnly"):
            yield Wrong({**whole, name: right(member, resolve)[0]}, (name,), "read_only")
            continue
        for each in wrong(member, resolve):
            yield each._replace(value={**whole, name: each.value}, path=(name, *each.path))
        if name in schema.get("required", ()):
            yield Wrong({key: value for key, value in whole.items() if key != name}, (name,), "required")
    if additional is False:
        yield Wrong({**whole, "from_": 1}, ("from_",), "unknown_member")
    elif additional:
        for each in wrong(additional, resolve):
            yield each._replace(value={**whole, "more": each.value}, path=("more", *each.path))
    if "propertyNames" in schema and "maxLength" in schema["propertyNames"]:
        most = schema["propertyNames"]["maxLength"]
        yield Wrong({"n" * (most + 1): right(additional, resolve)[0]}, ("n" * (most + 1),), "too_long", most)
    if schema.get("minProperties", 0) > len(schema.get("required", ())):
        yield Wrong({}, (), "too_few", schema["minProperties"])


def _wrong_union(branches: list[Any], resolve: Resolve) -> Iterator[Wrong]:
    kinds = [kind for branch in branches for kind in kinds_of(resolve(branch))]
    for branch in branches:
        for each in wrong(branch, resolve):
            # A value of another branch's type is meant for that branch.
            if each.path or not any(_is(each.value, kind) for kind in kinds if kind not in kinds_of(resolve(branch))):
                yield each


_RIGHT: dict[str, Callable[[Any, Resolve], list[Any]]] = {
    "string": _right_strings,
    "integer": _right_numbers,
    "number": _right_numbers,
    "boolean": lambda *_: [True, False],
    "null": lambda *_: [None],
    "array": _right_arrays,
    "object": _right_objects,
}
_WRONG: dict[str, Callable[[Any, Resolve], Iterator[Wrong]]] = {
    "string": _wrong_strings,
    "integer": _wrong_numbers,
    "number": _wrong_numbers,
    "array": _wrong_arrays,
    "object": _wrong_objects,
}

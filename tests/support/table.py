"""Compares the columns and constraints of a table with the schemas of the contract.

The table `task` has the rows of the schema `Task`, and the JSON bodies of the operations that answer with it set its
columns. A table without a schema of its name is not compared.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from functools import partial, reduce
from itertools import cycle, islice
from operator import getitem
from typing import Any

import asyncpg
from jsonschema_rs import Draft202012Validator
from sqlmodel import SQLModel

import todo_api.app
from support.beyond_schema import RULES
from support.operations import CONTRACT, CREATED_BY, OPERATIONS
from support.schema_values import right, wrong

Schema = dict[str, Any]

HIDDEN: dict[str, set[str]] = {"task": {"version", "change", "deleted_at", "external_id"}}
"""The columns that no response has of a row, by table, beside the owner of a row."""
COMPUTED: dict[str, set[str]] = {"task": {"etag"}}
"""The members that statements compute from columns, by table."""


def schema_name(table: str) -> str:
    return "".join(part.capitalize() for part in table.split("_"))


assert todo_api.app, "imports all tables"
TABLES = [each for each in SQLModel.metadata.tables if schema_name(each) in CONTRACT.document["components"]["schemas"]]


def shapes_of(table: str) -> list[str]:
    """The schemas whose properties are columns of a table."""
    answer = {"$ref": f"#/components/schemas/{schema_name(table)}"}
    bodies = [
        resolve(CONTRACT.document, each.spec["requestBody"])["content"].get("application/json", {}).get("schema", {})
        for each in OPERATIONS
        if "requestBody" in each.spec
        for success in each.successes
        if each.responses[str(success)].get("content", {}).get("application/json", {}).get("schema") == answer
    ]
    return [schema_name(table), *dict.fromkeys(body["$ref"].rpartition("/")[2] for body in bodies if "$ref" in body)]


INTEGERS = {"smallint": 16, "integer": 32, "bigint": 64}
ALPHABETS = (
    "".join(map(chr, range(0x21, 0x7F))),
    # Four bytes each, in an order that does not compress, so that a long text would not fit into an index.
    "".join(chr(0x10000 + n * 7919 % 0x100000) for n in range(5000)),
    " x",
    " ",
    "\0",
)
FORMATS = {
    "date": ("date", ("0001-01-01", "2024-02-29", "9999-12-31")),
    "date-time": (
        "timestamp with time zone",
        ("0001-01-01T00:00:00Z", "2026-11-22T09:30:00.123456Z", "9999-12-31T23:59:59.999999Z"),
    ),
    "uuid": ("uuid", ("2eb8aa08-aa98-11ea-b4aa-73b441d16380",)),
}
"""The column type of each format, and values."""

COLUMNS = """
    SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute
    WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped
"""
CHECKS = """
    SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE conrelid = $1::text::regclass AND contype = 'c'
"""
# NOT NULL is read from the columns, and unique constraints from their indexes.
OTHERS = """
    SELECT pg_get_constraintdef(oid), conname FROM pg_constraint
    WHERE conrelid = $1::text::regclass AND contype NOT IN ('c', 'n', 'u')
    UNION SELECT pg_get_indexdef(indexrelid), NULL FROM pg_index
    WHERE indrelid = $1::text::regclass AND indisunique AND NOT indisprimary
"""
TRIGGERS = "SELECT tgname FROM pg_trigger WHERE tgrelid = $1::text::regclass AND NOT tgisinternal"
UNALTERED = "SELECT 1"
PRIMARY_KEY = "PRIMARY KEY (id)"
PARENT = re.compile(rf"FOREIGN KEY \(({'|'.join(CREATED_BY)})\) REFERENCES ")
"""To the thing that contains the row. Operations on a path without that thing are 404."""
INSERT = "INSERT INTO {0} OVERRIDING SYSTEM VALUE SELECT * FROM json_populate_record(NULL::{0}, $1)"


def resolve(document: Schema, node: Schema) -> Schema:
    while "$ref" in node:
        node = reduce(getitem, node["$ref"].removeprefix("#/").split("/"), document)
    return node


def read(document: Schema, schema: Schema) -> tuple[set[str], bool, list[Any], list[Any]]:
    """Return the column types that fit a schema, whether null is allowed, valid values, and invalid values."""
    schema = resolve(document, schema)
    variants = [resolve(document, variant) for variant in schema.get("anyOf", [schema])]
    nullable = {"type": "null"} in variants
    kinds = [variant for variant in variants if variant != {"type": "null"}]
    types, values = describe(kinds[0]) if len(kinds) == 1 else (set(), [])
    if len(kinds) == 1 and kinds[0].get("type") == "array":
        within = partial(resolve, document)
        types = {f"{kind}[]" for kind in read(document, kinds[0].get("items", {}))[0]}
        values = right(kinds[0], within) + [each.value for each in wrong(kinds[0], within)] if types else []
    validator = Draft202012Validator({**schema, "components": document["components"]})
    inside = [value for value in [*values, None] if validator.is_valid(value)]
    return types, nullable, inside, [value for value in values if value not in inside]


def describe(schema: Schema) -> tuple[set[str], list[Any]]:
    match schema:
        case {"enum": [*members]}:
            return {f"character varying({max(map(len, members))})"}, [*members, ""]
        case {"type": "boolean"}:
            return {"boolean"}, [False, True]
        case {"type": "integer", "minimum": minimum, "maximum": maximum}:
            types = {name for name, bits in INTEGERS.items() if max(-minimum - 1, maximum) < 2 ** (bits - 1)}
            return types, [minimum, maximum, minimum - 1, maximum + 1]
        case {"type": "string", "format": kind} if kind in FORMATS:
            return {FORMATS[kind][0]}, [*FORMATS[kind][1]]
        case {"type": "string", "maxLength": maximum}:
            minimum = schema.get("minLength", 0)
            lengths = [length for length in (minimum, maximum, minimum - 1, maximum + 1) if length >= 0]
            texts = ["".join(islice(cycle(alphabet), length)) for length in lengths for alphabet in ALPHABETS]
            return {f"character varying({maximum})"}, texts
    return set(), []


def differences(
    url: str, alteration: str = UNALTERED, document: Schema = CONTRACT.document, table: str = "task"
) -> list[str]:
    """Return the differences between the contract and a table after an alteration, which is rolled back."""

    async def run() -> list[str]:
        connection = await asyncpg.connect(url)
        try:
            await connection.transaction().start()
            if alteration != UNALTERED:
                # A trigger does not let the columns that it names be altered.
                for name in await connection.fetch(TRIGGERS, table):
                    await connection.execute(f'DROP TRIGGER "{name[0]}" ON {table}')
            await connection.execute(alteration)
            columns, checks, others = [await connection.fetch(query, table) for query in (COLUMNS, CHECKS, OTHERS)]
            differences = [*differences_of_columns(table, columns, document), *differences_of_others(others)]
            # The rows of the parents, and the values of hidden columns, are not there.
            for definition, name in others:
                if PARENT.match(definition):
                    await connection.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')
            for column in HIDDEN.get(table, ()):
                await connection.execute(f"ALTER TABLE {table} ALTER COLUMN {column} DROP NOT NULL")
            return differences or [
                line async for line in differences_of_values(connection, table, dict(checks), document)
            ]
        finally:
            await connection.close()

    return asyncio.run(run())


def differences_of_columns(table: str, rows: list[asyncpg.Record], document: Schema) -> Iterator[str]:
    schemas, owner = document["components"]["schemas"], schema_name(table)
    members = schemas[owner]["properties"]
    columns = {name: (kind, not_null) for name, kind, not_null in rows}
    for name in columns.keys() - members.keys() - HIDDEN.get(table, set()) - {"user_id"}:
        yield (
            f"{name} is not a property of {owner}: add it to openapi.yaml, drop the column, "
            "or add it to HIDDEN in tests/support/table.py"
        )
    for name, schema in members.items():
        if name in COMPUTED.get(table, ()):
            continue
        types, nullable, _, _ = read(document, schema)
        must = name in schemas[owner]["required"] and not nullable
        kind, not_null = columns.get(name, (None, None))
        if kind not in types:
            required = " or ".join(sorted(types)) or "no known type"
            yield f"{name} is {kind or 'no column'}, the contract requires {required}: add a migration"
        elif not_null != must:
            yield f"{name} must {'not ' if must else ''}be nullable: add a migration"
    for shape in shapes_of(table):
        for name in schemas[shape]["properties"].keys() - members.keys():
            yield f"{shape}.{name} is not a property of {owner}: add it there, or name its column in this test"
        for name, schema in schemas[shape]["properties"].items():
            if name not in COMPUTED.get(table, ()) and not read(document, schema)[2]:
                yield f"{shape}.{name} has no test values: give it bounds, or add its type to describe()"


def differences_of_others(rows: list[asyncpg.Record]) -> Iterator[str]:
    definitions = {row[0] for row in rows}
    if PRIMARY_KEY not in definitions:
        yield "id is not the primary key: add a migration"
    for definition in definitions - {PRIMARY_KEY}:
        if not PARENT.match(definition):
            yield f"the contract promises no response for {definition}: drop it, or add a response and a case here"


async def differences_of_values(
    connection: asyncpg.Connection, table: str, checks: dict[str, str], document: Schema
) -> AsyncIterator[str]:
    schemas, owner, shapes = document["components"]["schemas"], schema_name(table), shapes_of(table)
    bounds = {
        (shape, name): read(document, schema)[2:]
        for shape in shapes
        for name, schema in schemas[shape]["properties"].items()
        if name not in COMPUTED.get(table, ())
    }
    row = {"user_id": "a"} | {name: _simplest(bounds[owner, name][0]) for of, name in bounds if of == owner}
    for (shape, name), (inside, _) in bounds.items():
        for value in inside:
            if error := await insertion_error(connection, table, row | {name: value}):
                yield f"{shape}.{name} may be {value!r:.40}, but: {error}. Add a migration, or change openapi.yaml"
    members = [{name: value} for (shape, name), (_, outside) in bounds.items() if shape == owner for value in outside]
    for invalid in [*members, *(rule.broken for rule in RULES.values() if rule.broken.keys() <= row.keys())]:
        # PostgreSQL reports one constraint at a time: drop it, so that the next one can be reported.
        while isinstance(error := await insertion_error(connection, table, row | invalid), asyncpg.CheckViolationError):
            del checks[error.constraint_name]
            await connection.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{error.constraint_name}"')
    for name, definition in checks.items():
        yield (
            f"{name} {definition} rejects nothing that the contract rejects: drop it, add its values to describe(), "
            "or, if it is about several members, what breaks it to RULES in tests/support/beyond_schema.py"
        )


def _simplest(values: list[Any]) -> Any:
    """Null if it is allowed, because a rule about several members does not apply to those that are null."""
    return None if None in values else values[0]


async def insertion_error(connection: asyncpg.Connection, table: str, row: Schema) -> asyncpg.PostgresError | None:
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute(INSERT.format(table), json.dumps(row))
    except asyncpg.PostgresError as error:
        return error
    finally:
        await transaction.rollback()
    return None

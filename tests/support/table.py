"""Compares the columns and constraints of the table with the schemas of the contract."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from functools import reduce
from itertools import cycle, islice
from operator import getitem
from typing import Any

import asyncpg
from jsonschema_rs import Draft202012Validator

from fastapi_contract.contract import Contract
from support import ROOT

Schema = dict[str, Any]

CONTRACT = Contract.read(ROOT / "openapi.yaml")
ON_TASKS = [operation for operation in CONTRACT.operations.values() if "tasks" in operation.spec["tags"]]
BODIES = [operation.spec["requestBody"] for operation in ON_TASKS if "requestBody" in operation.spec]
SHAPES = ["Task", *(body["$ref"].rpartition("/")[2] for body in BODIES)]
"""The schemas whose properties are columns."""

INTEGERS = {"smallint": 16, "integer": 32, "bigint": 64}
ALPHABETS = (
    "".join(map(chr, range(0x21, 0x7F))),
    # Four bytes each, in an order that does not compress, so that a long text would not fit into an index.
    "".join(chr(0x10000 + n * 7919 % 0x100000) for n in range(5000)),
    " x",
    " ",
    "\0",
)
MOMENTS = ("0001-01-01T00:00:00Z", "2026-11-22T09:30:00.123456Z", "9999-12-31T23:59:59.999999Z")

COLUMNS = """
    SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute
    WHERE attrelid = 'task'::regclass AND attnum > 0 AND NOT attisdropped
"""
CHECKS = """
    SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'task'::regclass AND contype = 'c'
"""
# NOT NULL is read from the columns, and unique constraints from their indexes.
OTHERS = """
    SELECT pg_get_constraintdef(oid) FROM pg_constraint
    WHERE conrelid = 'task'::regclass AND contype NOT IN ('c', 'n', 'u')
    UNION SELECT pg_get_indexdef(indexrelid) FROM pg_index
    WHERE indrelid = 'task'::regclass AND indisunique AND NOT indisprimary
"""
UNALTERED = "SELECT 1"
PRIMARY_KEY = "PRIMARY KEY (id)"
INSERT = "INSERT INTO task OVERRIDING SYSTEM VALUE SELECT * FROM json_populate_record(NULL::task, $1)"


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
        case {"type": "string", "format": "date-time"}:
            return {"timestamp with time zone"}, [*MOMENTS]
        case {"type": "string", "maxLength": maximum}:
            minimum = schema.get("minLength", 0)
            lengths = [length for length in (minimum, maximum, minimum - 1, maximum + 1) if length >= 0]
            texts = ["".join(islice(cycle(alphabet), length)) for length in lengths for alphabet in ALPHABETS]
            return {f"character varying({maximum})"}, texts
    return set(), []


def differences(url: str, alteration: str = UNALTERED, document: Schema = CONTRACT.document) -> list[str]:
    """Return the differences between the contract and the table after an alteration, which is rolled back."""

    async def run() -> list[str]:
        connection = await asyncpg.connect(url)
        try:
            await connection.transaction().start()
            await connection.execute(alteration)
            columns, checks, others = [await connection.fetch(query) for query in (COLUMNS, CHECKS, OTHERS)]
            differences = [*differences_of_columns(columns, document), *differences_of_others(others)]
            return differences or [line async for line in differences_of_values(connection, dict(checks), document)]
        finally:
            await connection.close()

    return asyncio.run(run())


def differences_of_columns(rows: list[asyncpg.Record], document: Schema) -> Iterator[str]:
    schemas = document["components"]["schemas"]
    members = schemas["Task"]["properties"]
    columns = {name: (kind, not_null) for name, kind, not_null in rows}
    for name in columns.keys() - members.keys():
        yield f"{name} is not a property of Task: add it to openapi.yaml, or drop the column"
    for name, schema in members.items():
        types, nullable, _, _ = read(document, schema)
        must = name in schemas["Task"]["required"] and not nullable
        kind, not_null = columns.get(name, (None, None))
        if kind not in types:
            required = " or ".join(sorted(types)) or "no known type"
            yield f"{name} is {kind or 'no column'}, the contract requires {required}: add a migration"
        elif not_null != must:
            yield f"{name} must {'not ' if must else ''}be nullable: add a migration"
    for shape in SHAPES:
        for name in schemas[shape]["properties"].keys() - members.keys():
            yield f"{shape}.{name} is not a property of Task: add it there, or name its column in this test"
        for name, schema in schemas[shape]["properties"].items():
            if not read(document, schema)[2]:
                yield f"{shape}.{name} has no test values: give it bounds, or add its type to describe()"


def differences_of_others(rows: list[asyncpg.Record]) -> Iterator[str]:
    definitions = {row[0] for row in rows}
    if PRIMARY_KEY not in definitions:
        yield "id is not the primary key: add a migration"
    for definition in definitions - {PRIMARY_KEY}:
        yield f"the contract promises no response for {definition}: drop it, or add a response and a case in this test"


async def differences_of_values(
    connection: asyncpg.Connection, checks: dict[str, str], document: Schema
) -> AsyncIterator[str]:
    schemas = document["components"]["schemas"]
    bounds = {
        (shape, name): read(document, schema)[2:]
        for shape in SHAPES
        for name, schema in schemas[shape]["properties"].items()
    }
    row = {name: bounds["Task", name][0][0] for name in schemas["Task"]["properties"]}
    for (shape, name), (inside, _) in bounds.items():
        for value in inside:
            if error := await insertion_error(connection, row | {name: value}):
                yield f"{shape}.{name} may be {value!r:.40}, but: {error}. Add a migration, or change openapi.yaml"
    for (shape, name), (_, outside) in bounds.items():
        for value in outside if shape == "Task" else ():
            # PostgreSQL reports one constraint at a time: drop it, so that the next one can be reported.
            while isinstance(
                error := await insertion_error(connection, row | {name: value}), asyncpg.CheckViolationError
            ):
                del checks[error.constraint_name]
                await connection.execute(f'ALTER TABLE task DROP CONSTRAINT "{error.constraint_name}"')
    for name, definition in checks.items():
        yield f"{name} {definition} rejects nothing that the contract rejects: drop it, or add its values to describe()"


async def insertion_error(connection: asyncpg.Connection, row: Schema) -> asyncpg.PostgresError | None:
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute(INSERT, json.dumps(row))
    except asyncpg.PostgresError as error:
        return error
    finally:
        await transaction.rollback()
    return None

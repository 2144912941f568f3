"""From any schema of a body: values just inside are taken and come back unchanged, values just outside are 422 at their
place, through the shortcut and past it."""

import json
from collections.abc import Iterator
from datetime import datetime
from types import ModuleType
from typing import Any

import httpx
import pytest
import yaml
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from fastapi_contract import problems
from fastapi_contract.contract import Contract
from fastapi_contract.responses.answers import model_of, successes_of
from fastapi_contract.router import ContractRouter
from fastapi_contract.shortcut import Shortcut
from support.generated import generate_models
from support.schema_values import FORMATS, right, wrong
from support.service import running

CASES = 100


# --- schemas


def _bounded(least: st.SearchStrategy[Any], low: str, high: str) -> st.SearchStrategy[Any]:
    """Any of two bounds, or both."""
    return st.tuples(least, st.integers(0, 4), st.sampled_from([(low,), (high,), (low, high), ()])).map(
        lambda drawn: {name: drawn[0] + (drawn[1] if name == high else 0) for name in drawn[2]}
    )


TEXTS = st.one_of(
    _bounded(st.integers(0, 3), "minLength", "maxLength").map(lambda bounds: {"type": "string", **bounds}),
    st.sampled_from([{"pattern": "^[a-z]+$"}, {"pattern": "^[A-Z]{2}[0-9]{2}$"}]).map(
        lambda pattern: {"type": "string", "minLength": 1, "maxLength": 4, **pattern}
    ),
    st.sampled_from(sorted(FORMATS)).map(lambda name: {"type": "string", "format": name}),
)
NUMBERS = st.one_of(
    st.tuples(
        _bounded(st.integers(-5, 5), "minimum", "maximum"),
        st.sampled_from([{}, {"format": "int32"}, {"format": "int64"}]),
    ).map(lambda drawn: {"type": "integer", **drawn[0], **drawn[1]}),
    _bounded(st.integers(-5, 5), "exclusiveMinimum", "exclusiveMaximum")
    .filter(lambda bounds: len(bounds) < 2)
    .map(lambda bounds: {"type": "integer", **bounds}),
    _bounded(st.sampled_from([0, 0.5, -2.5]), "minimum", "maximum").map(lambda bounds: {"type": "number", **bounds}),
    st.sampled_from([{"type": "integer", "minimum": 0, "multipleOf": 4}, {"type": "number", "multipleOf": 0.25}]),
)
SCALARS = st.one_of(
    TEXTS,
    NUMBERS,
    st.just({"type": "boolean"}),
    st.sampled_from(
        [{"enum": ["a", "b"]}, {"type": "string", "enum": ["no", "on"]}, {"enum": [1, 2]},
         {"type": "integer", "enum": [3]}, {"const": "x"}, {"type": "string", "const": "x"}]
    ),
)  # fmt: skip


def nullable(schemas: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A schema that does not allow null, in each spelling of "or null"."""

    def spelt(schema: Any, spelling: str) -> Any:
        if spelling == "type" and isinstance(schema.get("type"), str) and not {"enum", "const"} & schema.keys():
            return {**schema, "type": [schema["type"], "null"]}
        return {"oneOf" if spelling == "oneOf" else "anyOf": [schema, {"type": "null"}]}

    others = schemas.filter(lambda schema: None not in right(schema, lambda node: node))
    return st.builds(spelt, others, st.sampled_from(["type", "anyOf", "oneOf"]))


def arrays(schemas: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    bounds = _bounded(st.integers(0, 2), "minItems", "maxItems")
    return st.builds(lambda items, drawn: {"type": "array", "items": items, **drawn}, schemas, bounds)


NAMES = ["name", "from", "page-size", "a/b~c", "2fa"]


def objects(schemas: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    def made(members: dict[str, Any], count: int, closed: Any) -> Any:
        return {"type": "object", "properties": members, "required": sorted(members)[:count], **closed}

    closed = st.sampled_from([{"additionalProperties": False}, {}])
    return st.builds(
        made, st.dictionaries(st.sampled_from(NAMES), schemas, min_size=1, max_size=3), st.integers(0, 2), closed
    )


def tagged(schemas: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Objects that differ by one member, with a discriminator and without."""

    def made(members: list[Any], union: str, *, discriminator: bool) -> Any:
        branches = [
            {
                "type": "object",
                "required": ["kind", "value"],
                "properties": {"kind": {"type": "string", "const": tag}, "value": member},
                "additionalProperties": False,
            }
            for tag, member in zip("xyz", members, strict=False)
        ]
        return {union: branches, **({"discriminator": {"propertyName": "kind"}} if discriminator else {})}

    return st.builds(
        made,
        st.lists(schemas, min_size=2, max_size=3),
        st.sampled_from(["oneOf", "anyOf"]),
        discriminator=st.booleans(),
    )


def nested(schemas: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    maps = schemas.map(
        lambda each: {
            "type": "object",
            "additionalProperties": each,
            "propertyNames": {"type": "string", "maxLength": 4},
        }
    )
    return st.one_of(arrays(schemas), objects(schemas), maps, tagged(schemas), nullable(schemas))


UNIONS = st.sampled_from([{"anyOf": [{"type": "string", "maxLength": 3}, {"type": "integer", "minimum": 1}]}])
UNIQUE = st.just({"type": "array", "items": {"type": "string", "maxLength": 4}, "uniqueItems": True})
SCHEMAS = st.recursive(st.one_of(SCALARS, nullable(SCALARS), UNIONS, UNIQUE), nested, max_leaves=4)


FIXED: list[Any] = [
    {"type": "object", "properties": {"from": {"type": "string"}}},
    {"type": "object", "properties": {"id": {"type": "integer", "readOnly": True}, "name": {"type": "string"}}},
    {},
]


def drawn_schemas() -> list[Any]:
    drawn: list[Any] = []

    @settings(
        max_examples=CASES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(SCHEMAS)
    def draw(schema: Any) -> None:
        drawn.append(schema)

    draw()
    return [*drawn, *FIXED]


# --- a service with an operation for each schema, which returns what it gets


def named(schema: Any, components: dict[str, Any], prefix: str) -> Any:
    """Moves the branches with a discriminator to components, because a discriminator needs names."""
    if not isinstance(schema, dict):
        return schema
    schema = {
        key: {name: named(each, components, f"{prefix}{index}") for index, (name, each) in enumerate(value.items())}
        if key == "properties"
        else [named(each, components, f"{prefix}{index}") for index, each in enumerate(value)]
        if key in {"oneOf", "anyOf"}
        else named(value, components, f"{prefix}X")
        for key, value in schema.items()
    }
    if "discriminator" in schema:
        union = "oneOf" if "oneOf" in schema else "anyOf"
        names = [f"{prefix}Branch{index}" for index in range(len(schema[union]))]
        components.update(zip(names, schema[union], strict=True))
        refs = [f"#/components/schemas/{name}" for name in names]
        schema[union] = [{"$ref": ref} for ref in refs]
        schema["discriminator"]["mapping"] = dict(zip("xyz", refs, strict=False))
    return schema


def contract_of(schemas: list[Any]) -> dict[str, Any]:
    components: dict[str, Any] = {}
    paths = {}
    for index, schema in enumerate(schemas):
        name = f"Case{index}"
        value = named(schema, components, name)
        components[name] = {"type": "object", "required": ["value"], "properties": {"value": value}}
        content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}
        paths[f"/{index}"] = {
            "post": {
                "operationId": f"case{index}",
                "requestBody": {"required": True, "content": content},
                "responses": {"200": {"description": "The body.", "content": content}},
            }
        }
    return {
        "openapi": "3.1.0",
        "info": {"title": "cases", "version": "1.0.0"},
        "paths": paths,
        "components": {"schemas": components},
    }


@pytest.fixture(scope="module")
def schemas() -> list[Any]:
    return drawn_schemas()


@pytest.fixture(scope="module")
def contract(schemas: list[Any]) -> Contract:
    return Contract.parse(yaml.safe_dump(contract_of(json.loads(json.dumps(schemas)))).encode())


@pytest.fixture(scope="module")
def models(contract: Contract, tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    folder = tmp_path_factory.mktemp("generated")
    (folder / "cases.yaml").write_bytes(contract.source)
    return generate_models(folder / "cases.yaml", folder)


def app_of(contract: Contract, models: ModuleType, *, shortcut: bool) -> FastAPI:
    router = ContractRouter(contract, models)
    contract.bound.clear()
    for operation in contract.operations.values():
        model = model_of(contract, operation, successes_of(contract, operation)[0], models)

        async def echo(body: Any) -> Any:
            return body

        echo.__annotations__ = {"body": model, "return": model}
        router.operation(operation.id)(echo)
    app = FastAPI(openapi_url=None)
    app.router.routes.extend(route.of(app, contract.paths) for route in router.routes)  # type: ignore[attr-defined]
    problems.install(app, problems.problem_response, contract.allowed_methods, {})
    if shortcut:
        compiled = Shortcut(app.build_middleware_stack(), app)
        assert compiled.operations == contract.operations.keys()
        app.middleware_stack = compiled
    return app


@pytest.fixture(scope="module", params=[True, False], ids=["shortcut", "no-shortcut"])
def client(request: pytest.FixtureRequest, contract: Contract, models: ModuleType) -> Iterator[httpx.Client]:
    with (
        running(app_of(contract, models, shortcut=request.param)) as service,
        httpx.Client(base_url=service.url) as client,
    ):
        yield client


def pointer(path: tuple[str | int, ...]) -> str:
    return "#/value" + "".join("/" + str(token).replace("~", "~0").replace("/", "~1") for token in path)


def same(sent: Any, returned: Any) -> bool:
    """Whether two values are the same; a date-time may be written in another way."""
    if isinstance(sent, dict) and isinstance(returned, dict):
        return sent.keys() == returned.keys() and all(same(sent[name], returned[name]) for name in sent)
    if isinstance(sent, list) and isinstance(returned, list):
        return len(sent) == len(returned) and all(map(same, sent, returned))
    if isinstance(sent, str) and sent in {*FORMATS["date-time"][0], *FORMATS["time"][0]}:
        return instant(sent) == instant(returned)
    return bool(sent == returned) and isinstance(sent, bool) == isinstance(returned, bool)


def instant(text: str) -> datetime:
    text = text.upper()
    return datetime.fromisoformat(text if "T" in text else f"2000-01-01T{text}")


def test_values_just_inside_come_back_unchanged(client: httpx.Client, schemas: list[Any]) -> None:
    count = 0
    for index, schema in enumerate(schemas):
        for value in right(schema, lambda node: node):
            answer = client.post(f"/{index}", json={"value": value})
            assert answer.status_code == 200, (schema, value, answer.text)
            assert same(value, answer.json()["value"]), (schema, value, answer.text)
            count += 1
    assert count > 2 * len(schemas)


def test_values_just_outside_are_422_at_their_place(client: httpx.Client, schemas: list[Any]) -> None:
    count = 0
    for index, schema in enumerate(schemas):
        for value, path, code, limit in [*wrong(schema, lambda node: node)]:
            answer = client.post(f"/{index}", json={"value": value})
            assert answer.status_code == 422, (schema, value, answer.text)
            [error] = answer.json()["errors"]
            expected = {"code": code, "pointer": pointer(path), "limit": limit}
            assert {"limit": None, **error, **expected} == {"limit": None, **error}, (
                schema,
                value,
                error,
                expected,
            )
            count += 1
    assert count > 4 * len(schemas)


def test_python_name_of_a_member_does_not_pass_for_it(client: httpx.Client, schemas: list[Any]) -> None:
    """The object is open, so `from_` is an unknown member, and not `from`."""
    answer = client.post(f"/{schemas.index(FIXED[0])}", json={"value": {"from_": "x"}})
    assert (answer.status_code, answer.json()) == (200, {"value": {}})


def test_integer_beyond_64_bits_passes_only_where_anything_does(client: httpx.Client, schemas: list[Any]) -> None:
    answer = client.post(f"/{schemas.index(FIXED[2])}", json={"value": 10**100})
    assert (answer.status_code, answer.json()) == (200, {"value": 10**100})


def test_missing_value_is_422(client: httpx.Client, schemas: list[Any]) -> None:
    for index in range(len(schemas)):
        [error] = client.post(f"/{index}", json={}).json()["errors"]
        assert error == {"code": "required", "detail": "Is required.", "pointer": "#/value"}

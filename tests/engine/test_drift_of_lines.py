"""Differences between a body of NDJSON, whose schema is that of a line, and the list that a handler takes."""

from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import Body

from fastapi_contract.contract import Contract
from fastapi_contract.generation.generated import digest
from support.generated import generate_models
from support.one_operation import content, differences, document, handler_with, parsed, ref

NDJSON = "application/x-ndjson"
LIST: Any = list
"""mypy does not know the models."""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("lines")
    path = folder / "openapi.yaml"
    path.write_bytes(contract({}).source)
    return generate_models(path, folder)


def contract(others: dict[str, Any], schema: Any = None) -> Contract:
    media = {NDJSON: {"schema": schema or ref("Leaf"), "x-max-items": 10}, **others}
    body = {"required": True, "content": media}
    return parsed(document({}, {"requestBody": body, "responses": {"204": {"description": "Done."}}}))


def found(models: Any, kind: Any, *, is_fresh: bool = True, **arguments: Any) -> list[str]:
    compared = contract(**{"others": {}, **arguments})
    lines = differences(
        compared, models, handler_with(value=kind), digest(compared.document) if is_fresh else "another"
    )
    return [line.partition(": ")[2] for line in lines]


PLACE = f"send / body / {NDJSON}"


@pytest.mark.parametrize(
    "kind_of",
    [
        pytest.param(lambda models: LIST[models.Leaf], id="list"),
        pytest.param(lambda models: Annotated[LIST[models.Leaf], Body()], id="marked list"),
        pytest.param(lambda models: Annotated[LIST[models.Leaf], Body(max_length=10)], id="the same bound"),
    ],
)
def test_list_of_lines_is_no_difference(models: Any, kind_of: Any) -> None:
    assert found(models, kind_of(models)) == []


def test_wider_lines_are_no_difference(models: Any) -> None:
    assert found(models, Annotated[list[int], Body()], schema={"type": "integer", "minimum": 1}) == []


@pytest.mark.parametrize(
    ("kind_of", "difference"),
    [
        pytest.param(
            lambda models: models.Leaf,
            f'{PLACE} / type: openapi.yaml says "array", the code "object". Use list[models.Leaf] in send().',
            id="one line",
        ),
        pytest.param(
            lambda models: Annotated[LIST[models.Twig], Body()],
            f'{PLACE} / items / kind / enum: openapi.yaml says ["leaf"], the code ["twig"]. '
            "Use list[models.Leaf] in send().",
            id="lines of another model",
        ),
        pytest.param(
            lambda models: Annotated[LIST[models.Leaf], Body(max_length=5)],
            f"{PLACE} / maxItems: openapi.yaml says 10, the code 5. Use list[models.Leaf] in send().",
            id="another bound",
        ),
    ],
)
def test_another_type_than_a_list_of_lines_is_named(models: Any, kind_of: Any, difference: str) -> None:
    assert difference in found(models, kind_of(models))


def test_stale_list_of_lines_is_named_by_its_lines(models: Any) -> None:
    kind = Annotated[LIST[models.Word], Body()]
    assert found(models, kind, is_fresh=False, schema=ref("Word")) == [
        "it was generated from another openapi.yaml. Run ./codegen.sh."
    ]
    changed = contract({}, ref("Word"))
    changed.document["components"]["schemas"]["Word"]["maxLength"] = 10
    (line,) = differences(changed, models, handler_with(value=kind), "another")
    assert f"{PLACE} / maxLength: openapi.yaml says 10, the code 20. Run ./codegen.sh." in line


@pytest.mark.parametrize(
    ("kind_of", "difference"),
    [
        pytest.param(lambda models: models.Twig | LIST[models.Leaf], "", id="both"),
        pytest.param(
            lambda models: models.Twig | models.Leaf,
            f'{PLACE}: openapi.yaml says "list[models.Leaf]", the code "models.Twig or models.Leaf". '
            "Add it to the type of the parameter in send().",
            id="one line",
        ),
    ],
)
def test_lines_beside_another_media_type_are_a_branch(models: Any, kind_of: Any, difference: str) -> None:
    others = content(ref("Twig"))["content"]
    assert found(models, Annotated[kind_of(models), Body()], others=others) == [difference] * bool(difference)


def test_inline_schema_of_a_line_has_a_model(tmp_path: Path) -> None:
    compared = contract({}, {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}})
    path = tmp_path / "openapi.yaml"
    path.write_bytes(compared.source)
    models: Any = generate_models(path, tmp_path)
    kind = Annotated[LIST[models.SendRequest], Body()]
    assert differences(compared, models, handler_with(value=kind), digest(compared.document)) == []

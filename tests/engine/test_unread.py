"""A member of a request that no code reads is found, and nothing else is reported."""

import importlib
import sys
from pathlib import Path

import pytest

from fastapi_contract.comparison.unread import unread

MODELS = """
from pydantic import BaseModel, Field

class Filters(BaseModel):
    done: bool = False
    label: str = ""
    from_: str = Field("", alias="from")
"""

HANDLERS = """
import json
from fastapi_contract.router import ContractRouter
import {package}.queries as queries
from {package}.models import Filters

async def handler(filters: Filters) -> object:
    {body}
"""


@pytest.mark.parametrize(
    ("body", "query", "names"),
    [
        pytest.param("return filters.done", "", ["label", "from"], id="some are read"),
        pytest.param("return [filters.done, filters.label, filters.from_]", "", [], id="all are read"),
        pytest.param("return filters.done if filters is not None else 0", "", ["label", "from"], id="compared"),
        pytest.param("return filters.done if filters else 0", "", ["label", "from"], id="condition"),
        pytest.param("return None", "", [], id="placeholder"),
        pytest.param("return filters if filters.done else 0", "", [], id="returned"),
        pytest.param("return filters.done or filters.model_dump()", "", [], id="dict"),
        pytest.param("return filters.done or json.dumps(filters)", "", [], id="passed elsewhere"),
        pytest.param("return [filters.done, Filters(filters)]", "", [], id="passed to a class of the folder"),
        pytest.param("return queries.run(filters.done, filters)", "filters.label", ["from"], id="passed on"),
        pytest.param("return queries.run(1, filters=filters)", "filters.label", ["done", "from"], id="passed by name"),
        pytest.param(
            "return queries.run(1, filters)", "getattr(filters, 'label')", ["done", "from"], id="read by text"
        ),
        pytest.param("return queries.run(1, filters)", "filters.model_dump()", [], id="dict of what is passed on"),
        pytest.param("return [filters.done, queries.missing(filters)]", "", [], id="unknown function"),
    ],
)
def test_members_that_no_code_reads_are_found(
    body: str, query: str, names: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = f"unread_{tmp_path.name}"
    folder = tmp_path / package
    folder.mkdir()
    (folder / "models.py").write_text(MODELS)
    (folder / "queries.py").write_text(
        f"def run(done: object, filters: object) -> object:\n    return {query or 'done'}\n"
    )
    (folder / "handlers.py").write_text(HANDLERS.format(package=package, body=body))
    monkeypatch.syspath_prepend(tmp_path)
    handlers = importlib.import_module(f"{package}.handlers")

    assert list(unread(handlers.handler, "filters", handlers.Filters)) == names

    for module in [name for name in sys.modules if name.partition(".")[0] == package]:
        del sys.modules[module]

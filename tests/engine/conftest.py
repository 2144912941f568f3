"""What is generated from the contract of a test module, its constant CONTRACT."""

from pathlib import Path
from types import ModuleType

import pytest

from support.generated import generate_answers, generate_models


@pytest.fixture(scope="module")
def contract(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("contract") / "openapi.yaml"
    path.write_text(request.module.CONTRACT)
    return path


@pytest.fixture(scope="module")
def models(contract: Path) -> ModuleType:
    return generate_models(contract, contract.parent)


@pytest.fixture(scope="module")
def answers(contract: Path, models: ModuleType) -> ModuleType:
    return generate_answers(contract, models, contract.parent)

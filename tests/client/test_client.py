"""The installed client, in Node: against the running service, and a proxy in front of it that loses answers."""

from pathlib import Path

import pytest

from support.node import run
from support.service import SECRET, Service

FILES = sorted(file.stem.removesuffix(".test") for file in Path(__file__).parent.glob("*.test.ts"))


@pytest.mark.parametrize("name", FILES)
def test_client_passes_its_tests_in_node(name: str, service: Service, frontend: Path, user: str) -> None:
    env = {"BASE_URL": service.url, "SECRET": SECRET, "USER_PREFIX": user}
    result = run(frontend / f"{name}.test.ts", cwd=frontend, env=env)
    assert result.returncode == 0, result.stdout + result.stderr

"""The frontend's recipes run unchanged, against Better Auth in production mode and the service."""

from pathlib import Path

import pytest

from support import ROOT
from support.better_auth_server import api_for, better_auth
from support.node import run

RECIPES = Path("tests/better_auth")
DOCUMENTS = [ROOT / "README.md", ROOT / "docs/better-auth.md"]


def test_recipes_work_with_better_auth_in_production(database_url: str) -> None:
    with better_auth(production=True) as issuer, api_for(issuer, database_url) as api:
        environment = {"BETTER_AUTH_URL": issuer.url, "NEXT_PUBLIC_API_URL": api.url}
        result = run(RECIPES / "recipes.test.ts", env=environment)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("recipe", ["auth.ts", "auth-client.ts", "route.ts", "server-todo.ts", "todo.ts"])
def test_documentation_has_the_recipe_word_for_word(recipe: str) -> None:
    shown = "".join(each.read_text() for each in DOCUMENTS)
    assert (ROOT / RECIPES / recipe).read_text() in shown

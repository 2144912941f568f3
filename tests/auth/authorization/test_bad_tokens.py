"""Invalid tokens are rejected with 401."""

import pytest

from support.service import Service
from support.tokens import BAD_TOKEN, BAD_TOKENS, GOOD, make_token


class TestBadToken:
    """One operation is enough: test_authorization.py tests that every operation uses the same check."""

    @pytest.mark.parametrize("token", BAD_TOKENS.values(), ids=BAD_TOKENS)
    def test_bad_token_is_401(self, service: Service, token: str) -> None:
        rejected = service.client().get("/api/SUBJECT/tasks", headers={"Authorization": f"Bearer {token}"})
        assert (rejected.status_code, rejected.headers["WWW-Authenticate"], rejected.json()["type"]) == BAD_TOKEN
        assert len(token) < 3 or token not in rejected.text

    @pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", pytest.param("Bearer ", id="two spaces")])
    def test_valid_token_is_accepted_with_any_spelling_of_the_scheme(self, service: Service, scheme: str) -> None:
        headers = {"Authorization": f"{scheme} {make_token(GOOD)}"}
        assert service.client().get("/api/SUBJECT/tasks", headers=headers).status_code == 200

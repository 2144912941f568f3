"""The service as it is before any handler is written: each operation answers from the examples of the contract."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from todo_contract import models, operations

import todo_api.app
from fastapi_contract.router import ContractRouter
from support.operations import CONTRACT
from support.service import Service, running, settings_for


@contextmanager
def running_mock(*, shortcut: bool = True) -> Iterator[Service]:
    """Serve it, without a database. The guards of the service's routers are called."""
    unhandled = [ContractRouter(CONTRACT, models, each.security, operations) for each in todo_api.app.ROUTERS]
    settings = settings_for("postgresql://127.0.0.1:1/unused")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(todo_api.app, "ROUTERS", unhandled)
        app = todo_api.app.create_app(settings, shortcut=shortcut, mode="mock")
    with running(app) as service:
        yield service

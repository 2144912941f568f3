"""Service information, liveness and readiness. These operations require no token."""

from typing import Annotated

from fastapi import Query, Request
from todo_contract import models

from todo_api import contract
from todo_api.database.problems import DatabaseUnavailable
from todo_api.services import services

router = contract.router()

ReadinessQuery = Annotated[models.GetReadinessParametersQuery, Query()]


@router.operation("getServiceInfo")
async def get_service_info(request: Request) -> models.ServiceInfo:
    app = request.app
    return models.ServiceInfo(
        name="todo-api",
        version=app.version,
        contract=f"{app.root_path}/openapi.yaml",
        documentation=f"{app.root_path}/docs",
    )


@router.operation("getHealth")
async def get_health() -> models.Health:
    return models.Health(status="ok")


@router.operation("getReadiness")
async def get_readiness(query: ReadinessQuery, request: Request) -> models.Readiness:
    database = services(request.scope).database
    if not await database.ready(check=query.check):
        raise DatabaseUnavailable(database.retry_after)
    return models.Readiness(status="ready")

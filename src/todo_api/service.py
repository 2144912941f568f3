"""Service information, liveness and readiness. These operations require no token."""

from pathlib import Path
from typing import Annotated

from fastapi import Query, Request
from todo_contract import models, operations

from fastapi_contract.pages.layout import PAGE_HEADERS
from fastapi_contract.responses.negotiation import AcceptedMediaType
from todo_api import contract
from todo_api.database.problems import DatabaseUnavailable
from todo_api.services import services

router = contract.router()

_HOME = Path(__file__).with_name("service.html")

ReadinessQuery = Annotated[models.GetReadinessParametersQuery, Query()]


@router.operation("getServiceInfo")
async def get_service_info(media_type: AcceptedMediaType, request: Request) -> operations.GetServiceInfo:
    app = request.app
    info = models.ServiceInfo(
        name="todo-api",
        version=app.version,
        contract=f"{app.root_path}/openapi.yaml",
        documentation=f"{app.root_path}/docs",
    )
    if media_type == "application/json":
        return operations.GetServiceInfo200Json(info)
    page = operations.GetServiceInfo200Html(app.state.layout.render(_HOME, "/", url=_url(request)))
    page.headers.update(PAGE_HEADERS)
    return page


def _url(request: Request) -> str:
    """The URL of the service as the browser has it, which a proxy may serve over TLS. Only its sender sees it."""
    scheme = request.headers.get("x-forwarded-proto", request.url.scheme)
    return f"{'https' if scheme == 'https' else 'http'}://{request.url.netloc}{request.app.root_path}"


@router.operation("getHealth")
async def get_health() -> models.Health:
    return models.Health(status="ok")


@router.operation("getReadiness")
async def get_readiness(query: ReadinessQuery, request: Request) -> models.Readiness:
    database = services(request.scope).database
    if not await database.ready(check=query.check):
        raise DatabaseUnavailable(database.retry_after)
    return models.Readiness(status="ready")

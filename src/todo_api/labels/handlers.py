"""Handlers of the label operations: load, act, return."""

from typing import Annotated

from fastapi import Query
from pydantic import MISSING
from todo_contract import models, operations

from fastapi_contract.entity_tags import matches, tags
from todo_api import contract
from todo_api.auth.bearer import Owner, bearer, owns_url
from todo_api.database.dependency import DbSession
from todo_api.labels import queries
from todo_api.tasks import rules
from todo_api.tasks.dependencies import IfNoneMatch

router = contract.router(bearerAuth=[bearer, owns_url])
list_url = router.contract.operations["listLabels"].url

ListLabelsQuery = Annotated[models.ListLabelsParametersQuery, Query()]
RenameLabelQuery = Annotated[models.RenameLabelParametersQuery, Query()]
DeleteLabelQuery = Annotated[models.DeleteLabelParametersQuery, Query()]


@router.operation("listLabels")
async def list_labels(
    query: ListLabelsQuery, owner: Owner, session: DbSession, if_none_match: IfNoneMatch = None
) -> operations.ListLabels:
    page = await queries.list_page(
        session,
        owner,
        limit=query.limit,
        after=None if query.after is MISSING else query.after,
        known=None if if_none_match is None else tags(if_none_match, weak=True),
    )
    if if_none_match is not None and matches(if_none_match, page.etag):
        return operations.ListLabels304(etag=page.etag)
    next_after = page.labels[-1].name if page.has_more else None
    link = next_after and f'<{list_url(user_id=owner, limit=query.limit, after=next_after)}>; rel="next"'
    return operations.ListLabels200(
        models.LabelPage(items=page.labels, next_after=next_after), etag=page.etag, link=link
    )


@router.operation("renameLabel")
async def rename_label(
    query: RenameLabelQuery, change: models.LabelUpdate, owner: Owner, session: DbSession
) -> models.LabelChange:
    name = rules.checked_label(change.name, "#/name")
    return models.LabelChange(tasks=await queries.rename(session, owner, query.label, name))


@router.operation("deleteLabel")
async def delete_label(query: DeleteLabelQuery, owner: Owner, session: DbSession) -> models.LabelChange:
    return models.LabelChange(tasks=await queries.remove(session, owner, query.label))

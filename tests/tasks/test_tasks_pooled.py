"""Each task operation through PgBouncer, as without it."""

import pytest
from test_tasks import (
    TestCreateTask,
    TestDeleteTask,
    TestGetTask,
    TestListTasks,
    TestToggleTaskCompletion,
    TestUpdatedAt,
    TestUpdateTask,
    task,
)

from support.service import Service

__all__ = [
    "TestCreateTask",
    "TestDeleteTask",
    "TestGetTask",
    "TestListTasks",
    "TestToggleTaskCompletion",
    "TestUpdateTask",
    "TestUpdatedAt",
    "task",
]


@pytest.fixture(scope="module")
def service(pooled_service: Service) -> Service:
    return pooled_service

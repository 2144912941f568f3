"""Compares the rows of labels, which triggers write, with the tasks."""

from support.migrations import connected

_WRONG = """
    WITH label AS (
        SELECT DISTINCT user_id, label_key(name) AS key, created_at, id AS task_id, completed
        FROM task, unnest(labels) AS name WHERE deleted_at IS NULL AND user_id LIKE $1
    ), counted AS (
        SELECT user_id, key, count(*) AS tasks, count(*) FILTER (WHERE completed) AS completed
        FROM label GROUP BY user_id, key
    ), has AS (
        SELECT user_id, key::text, created_at, task_id, completed FROM task_label WHERE user_id LIKE $1
    ), in_use AS (
        SELECT user_id, key::text, tasks, completed FROM task_label_count WHERE user_id LIKE $1
    )
    SELECT line FROM (
        SELECT 'task without a row: ' || other::text FROM (TABLE label EXCEPT TABLE has) AS other
        UNION ALL SELECT 'row without a task: ' || other::text FROM (TABLE has EXCEPT TABLE label) AS other
        UNION ALL SELECT 'count of tasks: ' || other::text FROM (TABLE counted EXCEPT TABLE in_use) AS other
        UNION ALL SELECT 'count without tasks: ' || other::text FROM (TABLE in_use EXCEPT TABLE counted) AS other
        UNION ALL SELECT 'name of another label: ' || name FROM task_label_count
            WHERE user_id LIKE $1 AND label_key(name) <> key
    ) AS found (line)
"""


async def wrong_labels(url: str, users: str = "%") -> list[str]:
    """Returns a line for each row that differs from the tasks, of users that are LIKE `users`."""
    async with connected(url) as connection:
        return [line for (line,) in await connection.fetch(_WRONG, users)]

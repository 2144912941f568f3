"""A database in which one user has many tasks, beside those of many others."""

from support.databases import execute
from todo_api.database import migrate

OWNER = "with-many-tasks"

# A fifth of the tasks is open; three quarters are due, half of these before today. What triggers would write, row by
# row, is written at once.
FILL = """
    SET statement_timeout = 0;
    ALTER TABLE task DISABLE TRIGGER USER;

    INSERT INTO task (
        user_id, title, description, completed, created_at, updated_at, change, due_date, due_at, priority, labels
    )
    SELECT
        owner,
        'Task ' || n || CASE WHEN n % 3 = 0 THEN ' milk' ELSE '' END || CASE WHEN n % 4 = 0 THEN ' bread' ELSE '' END
            || CASE WHEN n % 12 = 7 THEN ' oat' ELSE '' END || CASE WHEN n % 11 = 5 THEN ' rye' ELSE '' END
            || CASE WHEN n <= {tasks} / 20 THEN ' ancient' ELSE '' END,
        CASE WHEN n % 2 = 0 THEN 'ring word' || n % 997 || ' and word' || n % 1009 || ', later word' || n % 1013 END,
        n::bigint * 7919 % 100 >= 20,
        created_at,
        created_at + interval '1 day',
        n,
        CASE WHEN n % 4 IN (0, 1) THEN (now() + days * interval '1 day')::date END,
        CASE WHEN n % 4 = 2 THEN now() + days * interval '1 day' + n % 1440 * interval '1 minute' END,
        ('{{normal,low,high,urgent}}'::text[])[1 + CASE WHEN n % 8 < 5 THEN 0 ELSE n % 8 - 4 END],
        array_remove(ARRAY[
            CASE WHEN n % 10 < 3 THEN 'Work' END, CASE WHEN n % 5 = 0 THEN 'home' END,
            CASE WHEN n % 1000 = 7 THEN 'rare' END
        ], NULL)
    FROM (
        SELECT n, '{owner}' AS owner FROM generate_series(1, {tasks}) AS n
        UNION ALL SELECT n, 'user-' || n % 1000 FROM generate_series(1, {tasks} / 10) AS n
    ) AS tasks,
    LATERAL (
        SELECT n::bigint * 104729 % 600 - 300, '2026-01-01Z'::timestamptz + (n - {tasks} / 2) * interval '1 second'
    ) AS chosen (days, created_at);

    INSERT INTO task_list (user_id, change, tasks, completed)
    SELECT user_id, max(change), count(*), count(*) FILTER (WHERE completed) FROM task GROUP BY user_id;

    INSERT INTO task_label (user_id, key, created_at, task_id, completed)
    SELECT user_id, label_key(label), created_at, id, completed FROM task, unnest(labels) AS label;

    ALTER TABLE task ENABLE TRIGGER USER;
"""


def fill(url: str, tasks: int) -> None:
    """Creates the tables, with this number of tasks of OWNER and a tenth as many of 1,000 others. The last migration
    writes their words, which is faster than its trigger."""
    migrate.upgrade(url, revision="0003")
    execute(url, FILL.format(owner=OWNER, tasks=tasks))
    migrate.upgrade(url)
    execute(url, "VACUUM ANALYZE task, task_list, task_label, task_search")

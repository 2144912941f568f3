"""Add what conditional requests, changes and idempotency keys need: versions and tombstones of tasks, one row for each
user's list, and kept answers.

Online: every step locks a table for an instant only, and may be run again after it was interrupted. While it runs, and
until all processes are new, writes of old processes move the row of the list by triggers. The same triggers keep the
row right when a person changes tasks in psql.
"""

from typing import Any

from alembic import op
from sqlalchemy import text

revision = "0002"
down_revision = "0001"

USERS_A_STEP = 100
"""Users whose tasks one transaction counts."""

# The index gives its name to the table. After an interruption the name is that of the table, which ALTER INDEX would
# rename as well.
RENAME_INDEX = """
    DO $$ BEGIN
        IF (SELECT relkind FROM pg_class WHERE oid = to_regclass('task_list')) = 'i' THEN
            ALTER INDEX task_list RENAME TO task_newest_1;
        END IF;
    END $$
"""
COLUMNS = """
    ALTER TABLE task
        ADD COLUMN IF NOT EXISTS version integer NOT NULL DEFAULT 1,
        ADD COLUMN IF NOT EXISTS change bigint NOT NULL DEFAULT 0,
        ADD COLUMN IF NOT EXISTS deleted_at timestamptz
"""
TASK_LIST = """
    CREATE TABLE IF NOT EXISTS task_list (
        user_id varchar(255) PRIMARY KEY,
        change bigint NOT NULL,
        tasks integer NOT NULL,
        completed integer NOT NULL,
        forgotten bigint NOT NULL DEFAULT 0
    )
"""
KEPT_ANSWER = """
    CREATE TABLE IF NOT EXISTS kept_answer (
        user_id varchar(255) NOT NULL,
        operation varchar(64) NOT NULL,
        key varchar(255) NOT NULL,
        request bytea NOT NULL,
        answer jsonb,
        created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (user_id, operation, key)
    )
"""
KEPT_ANSWER_INDEX = "CREATE INDEX IF NOT EXISTS kept_answer_created ON kept_answer (created_at)"

# A list that is not counted yet is counted before the row is written: then `more_tasks` is the difference.
FUNCTION = """
    CREATE OR REPLACE FUNCTION move_task_list() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        owner varchar := CASE TG_OP WHEN 'DELETE' THEN OLD.user_id ELSE NEW.user_id END;
        more_tasks integer := 0;
        more_completed integer := 0;
        moved bigint;
    BEGIN
        IF TG_WHEN = 'AFTER' THEN
            UPDATE task_list SET forgotten = greatest(forgotten, OLD.change) WHERE user_id = owner;
            RETURN NULL;
        END IF;
        IF TG_OP <> 'INSERT' AND OLD.deleted_at IS NULL THEN
            more_tasks := -1;
            more_completed := -OLD.completed::integer;
        END IF;
        IF TG_OP <> 'DELETE' AND NEW.deleted_at IS NULL THEN
            more_tasks := more_tasks + 1;
            more_completed := more_completed + NEW.completed::integer;
        END IF;
        UPDATE task_list
            SET change = change + 1, tasks = tasks + more_tasks, completed = completed + more_completed
            WHERE user_id = owner
            RETURNING change INTO moved;
        IF NOT FOUND THEN
            INSERT INTO task_list AS list (user_id, change, tasks, completed)
                SELECT owner, 1, count(*) + more_tasks, count(*) FILTER (WHERE completed) + more_completed
                FROM task WHERE user_id = owner AND deleted_at IS NULL
                ON CONFLICT (user_id) DO UPDATE
                    SET change = list.change + 1, tasks = list.tasks + more_tasks,
                        completed = list.completed + more_completed
                RETURNING change INTO moved;
        END IF;
        IF TG_OP = 'DELETE' THEN
            UPDATE task_list SET forgotten = greatest(forgotten, moved) WHERE user_id = owner;
            RETURN OLD;
        END IF;
        NEW.change := moved;
        IF TG_OP = 'UPDATE' THEN
            NEW.version := OLD.version + 1;
        END IF;
        RETURN NEW;
    END $$
"""
# The conditions exclude the writes of this code, which move the row themselves; they cost no call of the function.
TRIGGERS = {
    "task_inserted": "BEFORE INSERT ON task FOR EACH ROW WHEN (NEW.change = 0)",
    "task_updated": "BEFORE UPDATE ON task FOR EACH ROW WHEN (NEW.change = OLD.change)",
    "task_removed": "BEFORE DELETE ON task FOR EACH ROW WHEN (OLD.deleted_at IS NULL)",
    # Later than the statement, because that of this code moves the row, too.
    "task_forgotten": "AFTER DELETE ON task FOR EACH ROW WHEN (OLD.deleted_at IS NOT NULL)",
}
# A row that a trigger has made in between is right already.
FILL = """
    WITH RECURSIVE users (user_id, number) AS (
        (SELECT user_id, 1 FROM task WHERE user_id > :last ORDER BY user_id LIMIT 1)
        UNION ALL
        SELECT next.user_id, number + 1 FROM users, LATERAL (
            SELECT task.user_id FROM task WHERE task.user_id > users.user_id ORDER BY task.user_id LIMIT 1
        ) AS next WHERE number < :users
    ), filled AS (
        INSERT INTO task_list (user_id, change, tasks, completed)
            SELECT user_id, 0, count(*), count(*) FILTER (WHERE completed)
            FROM task JOIN users USING (user_id) WHERE deleted_at IS NULL GROUP BY user_id
            ON CONFLICT (user_id) DO NOTHING
    )
    SELECT max(user_id) FROM users
"""
INDEXES = {
    "task_newest": "(user_id, created_at, id) WHERE deleted_at IS NULL",
    "task_newest_completed": "(user_id, completed, created_at, id) WHERE deleted_at IS NULL",
    "task_change": "(user_id, change, id)",
    "task_deleted": "(user_id, deleted_at) WHERE deleted_at IS NOT NULL",
}
OLD_INDEXES = {
    "task_newest_1": "(user_id, created_at, id)",
    "task_list_completed": "(user_id, completed, created_at, id)",
}


def upgrade() -> None:
    op.execute(RENAME_INDEX)
    op.execute(COLUMNS)
    op.execute(TASK_LIST)
    op.execute(KEPT_ANSWER)
    op.execute(KEPT_ANSWER_INDEX)
    op.execute(FUNCTION)
    for name, definition in TRIGGERS.items():
        op.execute(f"DROP TRIGGER IF EXISTS {name} ON task")
        op.execute(f"CREATE TRIGGER {name} {definition} EXECUTE FUNCTION move_task_list()")
    with op.get_context().autocommit_block():
        _fill()
        _replace_indexes(OLD_INDEXES, INDEXES)


def downgrade() -> None:
    for name in TRIGGERS:
        op.execute(f"DROP TRIGGER IF EXISTS {name} ON task")
    op.execute("DROP FUNCTION IF EXISTS move_task_list")
    op.execute("DROP TABLE IF EXISTS task_list, kept_answer")
    op.execute("DELETE FROM task WHERE deleted_at IS NOT NULL")
    with op.get_context().autocommit_block():
        _replace_indexes(INDEXES, OLD_INDEXES)
    op.execute("ALTER INDEX task_newest_1 RENAME TO task_list")
    op.execute("ALTER TABLE task DROP COLUMN version, DROP COLUMN change, DROP COLUMN deleted_at")


def _fill() -> None:
    last: Any = ""
    while last is not None:
        last = op.get_bind().scalar(text(FILL), {"last": last, "users": USERS_A_STEP})


def _replace_indexes(old: dict[str, str], new: dict[str, str]) -> None:
    for name, definition in new.items():
        # An interrupted build leaves an index that is not valid.
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
        op.execute(f"CREATE INDEX CONCURRENTLY {name} ON task {definition}")
    for name in old:
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")

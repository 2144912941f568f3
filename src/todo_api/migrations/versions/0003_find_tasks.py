"""Add what people organize tasks by: when they are due, priority, labels.

Online, as 0002: every step locks a table for an instant only, and may be run again after it was interrupted. Processes
of the old version write the defaults.
"""

from alembic import op

revision = "0003"
down_revision = "0002"

# The default of a new column is no rewrite of the table.
COLUMNS = """
    ALTER TABLE task
        ADD COLUMN IF NOT EXISTS due_date date,
        ADD COLUMN IF NOT EXISTS due_at timestamptz,
        ADD COLUMN IF NOT EXISTS priority varchar(6) NOT NULL DEFAULT 'normal',
        ADD COLUMN IF NOT EXISTS labels varchar(50)[] NOT NULL DEFAULT '{}',
        ADD COLUMN IF NOT EXISTS external_id varchar(300)
"""
# Added without a look at the rows, which are then checked while others write.
CHECKS = {
    "task_due_once": "due_date IS NULL OR due_at IS NULL",
    "task_priority": "priority IN ('low', 'normal', 'high', 'urgent')",
}

# A row for each label of a task that is not deleted, in the order of a list, and one for each label in use.
LABELS = """
    CREATE TABLE IF NOT EXISTS task_label (
        user_id varchar(255) NOT NULL,
        key varchar(150) NOT NULL,
        created_at timestamptz NOT NULL,
        task_id bigint NOT NULL,
        completed boolean NOT NULL,
        PRIMARY KEY (user_id, key, created_at, task_id) INCLUDE (completed)
    )
"""
LABEL_COUNTS = """
    CREATE TABLE IF NOT EXISTS task_label_count (
        user_id varchar(255) NOT NULL,
        key varchar(150) COLLATE "C" NOT NULL,
        name varchar(50) NOT NULL,
        tasks integer NOT NULL,
        completed integer NOT NULL,
        PRIMARY KEY (user_id, key)
    )
"""
# Without the collation the result would depend on the database's locale.
LABEL_KEY = """
    CREATE OR REPLACE FUNCTION label_key(label text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN lower(normalize(label, NFC) COLLATE pg_c_utf8)
"""
IGNORED = r"\u0300-\u036f\u00ad\u200c\u200d\u2060\ufe00-\ufe0f\ufeff\U0001f3fb-\U0001f3ff"
"""Accents, which follow their letters after NFKD, and what has no meaning of its own: joiners, soft hyphens, variants
and skin tones."""
FOLD = rf"""
    CREATE OR REPLACE FUNCTION task_fold(value text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN CASE WHEN octet_length(value) = char_length(value) THEN lower(value COLLATE pg_c_utf8) ELSE
        translate(
            replace(replace(replace(
                normalize(
                    regexp_replace(lower(normalize(value, NFKD) COLLATE pg_c_utf8), '[{IGNORED}]', '', 'g'),
                    NFC
                ),
                'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe'),
            'ıłøđς', 'ilodσ'
        )
    END
"""  # noqa: RUF001
# A label of a task: what `task_label` has, and its name.
LABEL_TYPE = """
    DO $$ BEGIN
        IF to_regtype('named_task_label') IS NULL THEN
            CREATE TYPE named_task_label AS (
                user_id varchar, key text, name varchar, created_at timestamptz, task_id bigint, completed boolean
            );
        END IF;
    END $$
"""
# All writes of a user hold the row of the list, so two of them never count at once. A statement counts once for all its
# tasks: for each task, PostgreSQL would look through all versions of a count that the statement has made before.
LABELS_FUNCTION = """
    CREATE OR REPLACE FUNCTION count_task_labels() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        had named_task_label[] := '{}';
        has named_task_label[] := '{}';
        removed named_task_label[];
        added named_task_label[];
    BEGIN
        IF TG_OP <> 'INSERT' THEN
            had := ARRAY(
                SELECT (user_id, label_key(label), min(label), created_at, id, completed)::named_task_label
                FROM old_task, unnest(labels) AS label WHERE deleted_at IS NULL
                GROUP BY user_id, label_key(label), created_at, id, completed
            );
        END IF;
        IF TG_OP <> 'DELETE' THEN
            has := ARRAY(
                SELECT (user_id, label_key(label), min(label), created_at, id, completed)::named_task_label
                FROM new_task, unnest(labels) AS label WHERE deleted_at IS NULL
                GROUP BY user_id, label_key(label), created_at, id, completed
            );
        END IF;
        IF had = has THEN
            RETURN NULL;
        END IF;
        removed := ARRAY(SELECT unnest(had) EXCEPT SELECT unnest(has));
        added := ARRAY(SELECT unnest(has) EXCEPT SELECT unnest(had));
        IF removed <> '{}' THEN
            DELETE FROM task_label AS label USING unnest(removed) AS each
                WHERE (label.user_id, label.key, label.created_at, label.task_id)
                    = (each.user_id, each.key, each.created_at, each.task_id);
            UPDATE task_label_count AS counted
                SET tasks = counted.tasks - less.tasks, completed = counted.completed - less.completed
                FROM (
                    SELECT user_id, key, count(*) AS tasks, count(*) FILTER (WHERE completed) AS completed
                    FROM unnest(removed) GROUP BY user_id, key
                ) AS less
                WHERE (counted.user_id, counted.key) = (less.user_id, less.key);
        END IF;
        IF added <> '{}' THEN
            INSERT INTO task_label (user_id, key, created_at, task_id, completed)
                SELECT user_id, key, created_at, task_id, completed FROM unnest(added);
            INSERT INTO task_label_count AS counted (user_id, key, name, tasks, completed)
                SELECT user_id, key, min(name), count(*), count(*) FILTER (WHERE completed)
                FROM unnest(added) GROUP BY user_id, key
                ON CONFLICT (user_id, key) DO UPDATE
                    SET name = excluded.name, tasks = counted.tasks + excluded.tasks,
                        completed = counted.completed + excluded.completed;
        END IF;
        IF removed <> '{}' THEN
            DELETE FROM task_label_count AS counted USING unnest(removed) AS each
                WHERE (counted.user_id, counted.key, counted.tasks) = (each.user_id, each.key, 0);
        END IF;
        RETURN NULL;
    END $$
"""
LABELS_TRIGGERS = {
    "task_labels_inserted": "AFTER INSERT ON task REFERENCING NEW TABLE AS new_task",
    "task_labels_updated": "AFTER UPDATE ON task REFERENCING OLD TABLE AS old_task NEW TABLE AS new_task",
    "task_labels_removed": "AFTER DELETE ON task REFERENCING OLD TABLE AS old_task",
}

INDEXES = {
    # A day is sorted by its end in UTC.
    "task_due": """
        (user_id, coalesce(due_at, (due_date + time '23:59:59.999999') AT TIME ZONE 'UTC'), id)
        WHERE deleted_at IS NULL AND NOT completed
    """,
    # Only of imported tasks.
    "task_external": "(user_id, external_id) WHERE external_id IS NOT NULL",
}


def upgrade() -> None:
    op.execute(COLUMNS)
    for name, condition in CHECKS.items():
        op.execute(f"ALTER TABLE task DROP CONSTRAINT IF EXISTS {name}")
        op.execute(f"ALTER TABLE task ADD CONSTRAINT {name} CHECK ({condition}) NOT VALID")
    op.execute(FOLD)
    for statement in (LABELS, LABEL_COUNTS, LABEL_KEY, LABEL_TYPE, LABELS_FUNCTION):
        op.execute(statement)
    for name, definition in LABELS_TRIGGERS.items():
        op.execute(f"DROP TRIGGER IF EXISTS {name} ON task")
        op.execute(f"CREATE TRIGGER {name} {definition} EXECUTE FUNCTION count_task_labels()")
    with op.get_context().autocommit_block():
        for name in CHECKS:
            op.execute(f"ALTER TABLE task VALIDATE CONSTRAINT {name}")
        for name, definition in INDEXES.items():
            # An interrupted build leaves an index that is not valid.
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            op.execute(f"CREATE INDEX CONCURRENTLY {name} ON task {definition}")


def downgrade() -> None:
    # First, so that the service of this version can run if the rest, one transaction, is not reached.
    with op.get_context().autocommit_block():
        for name in INDEXES:
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
    for name in LABELS_TRIGGERS:
        op.execute(f"DROP TRIGGER IF EXISTS {name} ON task")
    op.execute("DROP FUNCTION IF EXISTS count_task_labels, label_key, task_fold")
    op.execute("DROP TYPE IF EXISTS named_task_label")
    op.execute("DROP TABLE IF EXISTS task_label, task_label_count")
    names = ("due_date", "due_at", "priority", "labels", "external_id")
    op.execute(f"ALTER TABLE task {', '.join(f'DROP COLUMN {name}' for name in names)}")

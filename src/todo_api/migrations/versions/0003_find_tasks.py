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
LABEL_KEY = """
    CREATE OR REPLACE FUNCTION label_key(label text) RETURNS text
        LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$ SELECT lower(normalize(label, NFC)) $$
"""
IGNORED = r"\u0300-\u036f\u00ad\u200c\u200d\u2060\ufe00-\ufe0f\ufeff\U0001f3fb-\U0001f3ff"
"""Accents, which follow their letters after NFKD, and what has no meaning of its own: joiners, soft hyphens, variants
and skin tones."""
# Without the collation the result would depend on the database's locale.
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
# All writes of a user hold the row of the list, so two of them never count at once.
LABELS_FUNCTION = """
    CREATE OR REPLACE FUNCTION count_task_labels() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        removed text[];
    BEGIN
        IF TG_OP <> 'INSERT' AND OLD.deleted_at IS NULL THEN
            SELECT array_agg(label_key(label)) INTO removed FROM unnest(OLD.labels) AS label;
            DELETE FROM task_label
                WHERE user_id = OLD.user_id AND key = ANY (removed) AND created_at = OLD.created_at
                AND task_id = OLD.id;
            UPDATE task_label_count
                SET tasks = tasks - 1, completed = completed - OLD.completed::integer
                WHERE user_id = OLD.user_id AND key = ANY (removed);
        END IF;
        IF TG_OP <> 'DELETE' AND NEW.deleted_at IS NULL THEN
            INSERT INTO task_label (user_id, key, created_at, task_id, completed)
                SELECT NEW.user_id, label_key(label), NEW.created_at, NEW.id, NEW.completed
                FROM unnest(NEW.labels) AS label
                ON CONFLICT DO NOTHING;
            INSERT INTO task_label_count AS counted (user_id, key, name, tasks, completed)
                SELECT DISTINCT ON (label_key(label))
                    NEW.user_id, label_key(label), label, 1, NEW.completed::integer
                FROM unnest(NEW.labels) AS label
                ON CONFLICT (user_id, key) DO UPDATE
                    SET name = excluded.name, tasks = counted.tasks + 1,
                        completed = counted.completed + excluded.completed;
        END IF;
        IF removed IS NOT NULL THEN
            DELETE FROM task_label_count WHERE user_id = OLD.user_id AND key = ANY (removed) AND tasks = 0;
        END IF;
        RETURN NULL;
    END $$
"""
LABELS_TRIGGERS = {
    "task_labels_inserted": "AFTER INSERT ON task FOR EACH ROW WHEN (NEW.labels <> '{}')",
    "task_labels_updated": """
        AFTER UPDATE ON task FOR EACH ROW WHEN (
            (OLD.labels <> '{}' OR NEW.labels <> '{}') AND (
                OLD.labels IS DISTINCT FROM NEW.labels OR OLD.completed <> NEW.completed
                OR OLD.created_at <> NEW.created_at OR (OLD.deleted_at IS NULL) <> (NEW.deleted_at IS NULL)
            )
        )
    """,
    "task_labels_removed": """
        AFTER DELETE ON task FOR EACH ROW WHEN (OLD.labels <> '{}' AND OLD.deleted_at IS NULL)
    """,
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
    for statement in (LABELS, LABEL_COUNTS, LABEL_KEY, LABELS_FUNCTION):
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
    for name in LABELS_TRIGGERS:
        op.execute(f"DROP TRIGGER IF EXISTS {name} ON task")
    op.execute("DROP FUNCTION IF EXISTS count_task_labels, label_key, task_fold")
    op.execute("DROP TABLE IF EXISTS task_label, task_label_count")
    with op.get_context().autocommit_block():
        for name in INDEXES:
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
    names = ("due_date", "due_at", "priority", "labels", "external_id")
    op.execute(f"ALTER TABLE task {', '.join(f'DROP COLUMN {name}' for name in names)}")

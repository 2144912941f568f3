"""Add what the search of tasks needs: their words, in a table of their own with an index (docs/decisions/0032).

Online, as 0002. Triggers write the words, so that those of old processes, of psql and of an import are found as well.
"""

from typing import Any

from alembic import op
from sqlalchemy import text

revision = "0004"
down_revision = "0003"

TASKS_A_STEP = 1000
"""Tasks whose words one transaction writes."""

RUN = (
    r"\u0e00-\u0eff\u1000-\u11ff\u1780-\u17ff\u3005-\u3007\u3041-\u309a\u309d-\u309f\u30a1-\u30fa\u30fc-\u318f"
    r"\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff"
)
"""Characters of scripts that write words without spaces, or add endings to them: Thai, Lao, Burmese, Khmer, Chinese,
Japanese, Korean."""
PICTURE = r"\u2300-\u23ff\u2600-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff"
"""Emoji and other pictures."""

# Each character of a run is one word with the character after it, so that any part of the run is found.
WORDS = rf"""
    CREATE OR REPLACE FUNCTION task_words(value text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (
        SELECT coalesce(
            array_agg(CASE WHEN found[1] IS NULL THEN left(found[2], 64) ELSE substr(found[1], n, 2) END), '{{}}'
        )
        FROM regexp_matches(
            task_fold(value) COLLATE pg_c_utf8,
            '([{RUN}]+)|([{PICTURE}]|[^[:punct:][:space:][:cntrl:]{RUN}{PICTURE}]+)', 'g'
        ) AS found, generate_series(1, coalesce(char_length(found[1]), 1)) AS n
    )
"""  # noqa: S608
LEXEMES = """
    CREATE OR REPLACE FUNCTION task_lexemes(owner text, title text, description text, labels text[])
    RETURNS tsvector LANGUAGE sql STABLE PARALLEL SAFE
    RETURN (
        SELECT array_to_tsvector(coalesce(array_agg(left(md5(owner), 8) || word), '{}'))
        FROM unnest(task_words(concat_ws(' ', title, description, array_to_string(labels, ' ')))) AS word
    )
"""
QUERY = rf"""
    CREATE OR REPLACE FUNCTION task_query(owner text, q text) RETURNS tsquery
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (
        SELECT string_agg('''' || left(md5(owner), 8) || word || '''' || ending, ' & ')::tsquery
        FROM (
            SELECT word, CASE
                WHEN word !~ '^[{RUN}]' THEN
                    CASE WHEN lead(word) OVER places IS NULL AND right(task_fold(q), 1) = right(word, 1)
                    THEN ':*' ELSE '' END
                WHEN char_length(word) = 2 THEN ''
                WHEN lag(word) OVER places ~ '^[{RUN}].' THEN NULL
                ELSE ':*'
            END AS ending
            FROM unnest(task_words(q)) WITH ORDINALITY AS words (word, place)
            WINDOW places AS (ORDER BY place)
        ) AS parts WHERE ending IS NOT NULL
    )
"""  # noqa: S608
TABLE = """
    CREATE TABLE IF NOT EXISTS task_search (
        id bigint PRIMARY KEY REFERENCES task (id) ON DELETE CASCADE,
        created_at timestamptz NOT NULL,
        words tsvector NOT NULL
    )
"""
WRITE = """
    CREATE OR REPLACE FUNCTION write_task_search() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO task_search (id, created_at, words)
            VALUES (NEW.id, NEW.created_at, task_lexemes(NEW.user_id, NEW.title, NEW.description, NEW.labels))
            ON CONFLICT (id) DO UPDATE SET created_at = EXCLUDED.created_at, words = EXCLUDED.words;
        RETURN NULL;
    END $$
"""
# A write that changes no word, such as of `completed`, costs no call of the function.
TRIGGERS = {
    "task_search_inserted": "AFTER INSERT ON task FOR EACH ROW",
    "task_search_updated": """
        AFTER UPDATE OF user_id, created_at, title, description, labels ON task FOR EACH ROW
        WHEN ((OLD.user_id, OLD.created_at, OLD.title, OLD.description, OLD.labels)
            IS DISTINCT FROM (NEW.user_id, NEW.created_at, NEW.title, NEW.description, NEW.labels))
    """,
}
# The lock holds a deletion up, which would miss the words. Words that a trigger has written in between are newer.
FILL = """
    WITH step AS (
        SELECT id, user_id, created_at, title, description, labels FROM task
        WHERE id > :last ORDER BY id LIMIT :tasks FOR KEY SHARE
    ), filled AS (
        INSERT INTO task_search (id, created_at, words)
            SELECT id, created_at, task_lexemes(user_id, title, description, labels) FROM step
            WHERE NOT EXISTS (SELECT FROM task_search AS written WHERE written.id = step.id)
            ON CONFLICT (id) DO NOTHING
    )
    SELECT max(id) FROM step
"""
# Without a list of pending entries, which the search of one user would read for the writes of all others.
INDEX = "task_search_words ON task_search USING gin (words) WITH (fastupdate = off)"


def upgrade() -> None:
    for statement in (WORDS, LEXEMES, QUERY, TABLE, WRITE):
        op.execute(statement)
    for name, definition in TRIGGERS.items():
        op.execute(f"DROP TRIGGER IF EXISTS {name} ON task")
        op.execute(f"CREATE TRIGGER {name} {definition} EXECUTE FUNCTION write_task_search()")
    with op.get_context().autocommit_block():
        _fill()
        # An interrupted build leaves an index that is not valid.
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS task_search_words")
        op.execute(f"CREATE INDEX CONCURRENTLY {INDEX}")
        op.execute("ANALYZE task_search")


def downgrade() -> None:
    for name in TRIGGERS:
        op.execute(f"DROP TRIGGER IF EXISTS {name} ON task")
    op.execute("DROP FUNCTION IF EXISTS write_task_search")
    op.execute("DROP TABLE IF EXISTS task_search")
    for name in ("task_query", "task_lexemes", "task_words"):
        op.execute(f"DROP FUNCTION IF EXISTS {name}")


def _fill() -> None:
    last: Any = 0
    while last is not None:
        last = op.get_bind().scalar(text(FILL), {"last": last, "tasks": TASKS_A_STEP})

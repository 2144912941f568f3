"""What Alembic runs around the revisions: one transaction for all of them, on the connection that it is given."""

from alembic import context
from sqlalchemy import text

# "todo" in ASCII. Any number would do that is nobody else's in this database.
LOCK = 0x746F646F
# A statement of DDL takes no parameters.
LIMIT_STATEMENTS = """
    DO $$ BEGIN
        EXECUTE format('ALTER ROLE CURRENT_USER IN DATABASE %I SET statement_timeout = %L', current_database(), '{}ms');
    END $$
"""

context.configure(connection=context.config.attributes["connection"])
with context.begin_transaction():
    # A migration may take long, and so may the wait for another's end.
    context.execute(text("SET LOCAL statement_timeout = 0"))
    # Of two that start at once the second waits here, and then finds nothing to do. A lock of the
    # transaction, since one of the session does not pass a pooler.
    context.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"))
    context.run_migrations()
    # Neon's proxy drops the timeout as a parameter of the connection, and its pooler refuses it as an
    # option; what the role has holds through both.
    context.execute(text(LIMIT_STATEMENTS.format(round(1000 * context.config.attributes["statement_timeout"]))))

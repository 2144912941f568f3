"""Alembic's environment: runs all revisions in one transaction, on the connection of `migrate.py`."""

from alembic import context
from sqlalchemy import text

# "todo" in ASCII: a key that no other user of this database is likely to choose.
LOCK_KEY = 0x746F646F
# Dynamic SQL, because ALTER ROLE takes no parameters.
SET_STATEMENT_TIMEOUT = """
    DO $$ BEGIN
        EXECUTE format('ALTER ROLE CURRENT_USER IN DATABASE %I SET statement_timeout = %L', current_database(), '{}ms');
    END $$
"""

context.configure(connection=context.config.attributes["connection"])
with context.begin_transaction():
    # A migration may take long, and so may the wait for the lock.
    context.execute(text("SET LOCAL statement_timeout = 0"))
    # A concurrent migration waits here, and then finds nothing to do. The lock belongs to the transaction, because
    # session locks do not work through a pooler.
    context.execute(text(f"SELECT pg_advisory_xact_lock({LOCK_KEY})"))
    context.run_migrations()
    # Stored in the role, because Neon's proxy ignores the timeout as a parameter of the connection, and its pooler
    # rejects it as an option.
    context.execute(text(SET_STATEMENT_TIMEOUT.format(round(1000 * context.config.attributes["statement_timeout"]))))

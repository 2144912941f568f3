"""Alembic's environment: runs all revisions, one process at a time, on the connection of `migrate.py`."""

import time

from alembic import context
from sqlalchemy import text

# "todo" in ASCII: a key that no other user of this database is likely to choose.
LOCK_KEY = 0x746F646F
LOCK_INTERVAL = 0.1
"""Seconds between two attempts to take the lock."""
# Dynamic SQL, because ALTER ROLE takes no parameters.
SET_STATEMENT_TIMEOUT = """
    DO $$ BEGIN
        EXECUTE format('ALTER ROLE CURRENT_USER IN DATABASE %I SET statement_timeout = %L', current_database(), '{}ms');
    END $$
"""

connection = context.config.attributes["connection"]
# A migration may take long.
connection.execute(text("SET statement_timeout = 0"))
# A lock of the session, because a migration may commit in between. Asked for again and again, because CREATE INDEX
# CONCURRENTLY would wait for a transaction that waits here.
while not connection.scalar(text(f"SELECT pg_try_advisory_lock({LOCK_KEY})")):
    connection.commit()
    time.sleep(LOCK_INTERVAL)
connection.commit()
context.configure(connection=connection)
with context.begin_transaction():
    context.run_migrations()
    # Stored in the role, because Neon's proxy ignores the timeout as a parameter of the connection, and its pooler
    # rejects it as an option.
    context.execute(text(SET_STATEMENT_TIMEOUT.format(round(1000 * context.config.attributes["statement_timeout"]))))

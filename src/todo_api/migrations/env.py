"""What Alembic runs around the revisions: one transaction for all of them, on the connection that it is given."""

from alembic import context
from sqlalchemy import text

# "todo" in ASCII. Any number would do that is nobody else's in this database.
LOCK = 0x746F646F

context.configure(connection=context.config.attributes["connection"])
with context.begin_transaction():
    # Of two that start at once the second waits here, and then finds nothing to do. A lock of the
    # transaction, since one of the session does not pass a pooler.
    context.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"))
    context.run_migrations()

"""The history of the schema, one revision after the other. Alembic runs them through `database/migrate.py`."""

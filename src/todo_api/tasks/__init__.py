"""The tag `tasks`: handlers (HTTP), queries (SQL), table."""

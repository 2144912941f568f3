"""PostgreSQL: URL, connections, sessions, errors and migrations."""

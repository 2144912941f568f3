"""The way to PostgreSQL: Neon or the embedded server."""

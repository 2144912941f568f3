"""Alembic's revisions, as part of the package."""

HEAD = "0004"
"""The revision that this code requires. A constant, because the service only compares it, and would otherwise load
Alembic: 10 MB and 80 ms."""

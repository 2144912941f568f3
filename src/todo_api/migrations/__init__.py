"""Alembic's revisions. They ship in the package."""

HEAD = "0001"
"""The revision that this code needs. Written down, so that a service which only compares it need not load Alembic: 10
MB and 80 ms."""

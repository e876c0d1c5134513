"""Alembic migrations, applied whenever the store is opened."""

HEAD = "0010"
"""The newest migration; a database that stands there needs no look at the others."""

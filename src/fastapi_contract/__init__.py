"""Binds FastAPI handlers to an OpenAPI contract. Knows no service: no task, no token, no database."""

"""Idempotency keys: the first answer to a request is kept with its key, in the statement that carries it out, and
returned again to a retry (docs/decisions/0030)."""

"""The only exception type of the embedded server."""


class EmbeddedPostgresError(Exception):
    """The embedded server cannot be used. The message says why and what to do."""

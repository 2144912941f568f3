"""What surrounds the operations: request id and log, CORS, deprecation, a path prefix."""

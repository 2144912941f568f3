"""Authentication: verifies the bearer token, and compares its user with the URL."""

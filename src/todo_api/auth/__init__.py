"""From the bearer token to the user who calls."""

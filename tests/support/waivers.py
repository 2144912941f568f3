"""Promised responses that no test can cause, each with its reason. Keep it empty."""

WAIVERS: dict[tuple[str, int], str] = {}

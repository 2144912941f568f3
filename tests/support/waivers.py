"""Promised responses that no test can cause, each with its reason. Keep it empty."""

WAIVERS: dict[tuple[str, int], str] = {}
PART_WAIVERS: dict[str, str] = {}
"""The same for optional members, headers and enum values of responses: "the header Link of TaskPage"."""

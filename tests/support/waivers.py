"""Promised responses that no test can cause, each with its reason. Keep it short."""

from support.operations import CONTRACT

WAIVERS: dict[tuple[str, int], str] = {
    (operation, 429): "A proxy in front of the service sends it." for operation in CONTRACT.operations
}
PART_WAIVERS: dict[str, str] = {}
"""The same for optional members, headers and enum values of responses: "the header Link of TaskPage"."""

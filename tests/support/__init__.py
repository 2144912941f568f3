"""Shared by the tests: servers, clients, tokens, and the other programs that the service works with."""

from pathlib import Path

ROOT = Path(__file__).parents[2]

"""What the tests share: servers, clients, tokens, and programs beside the service."""

from pathlib import Path

ROOT = Path(__file__).parents[2]

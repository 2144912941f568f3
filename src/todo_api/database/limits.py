"""The limits of the pool and of statements."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Numbers of connections, and times in seconds. `Settings` describes each."""

    size: int = 5
    overflow: int = 10
    idle_lifetime: float = 120
    connect_timeout: float = 10
    wait_timeout: float = 15
    statement_timeout: float = 30
    slow_statement: float = 0.5

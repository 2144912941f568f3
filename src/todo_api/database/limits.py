"""What the pool and the statements may take."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Of the pool and of the statements; times in seconds. `Settings` says what each is for."""

    size: int = 5
    overflow: int = 10
    idle_lifetime: float = 120
    connect_timeout: float = 10
    wait_timeout: float = 15
    statement_timeout: float = 30
    slow_statement: float = 0.5

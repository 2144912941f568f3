"""Structured logs: JSON lines, or readable ones on a terminal. uvicorn's and asyncpg's own lines look the same."""

import logging
import sys

import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import Processor


def configure(log_format: str, level: str) -> None:
    """`log_format` is json, console, or auto (console on a terminal)."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    console = log_format == "console" or (log_format == "auto" and sys.stderr.isatty())
    # Tracebacks without local variables: those hold tokens, and took 6 s to render.
    renderers: list[Processor] = (
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
        if console
        else [
            structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
            structlog.processors.JSONRenderer(),
        ]
    )
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
        )
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # A line for each fetch of keys, with their URL.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    # It tells each migration as an event of its own; the command says which one it reached.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # One line per request is ours; uvicorn's has the query's values.
    logging.getLogger("uvicorn.access").disabled = True

"""Structured logs: JSON lines, or readable ones on a terminal. uvicorn's and asyncpg's own lines look the same."""

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

import orjson
import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import EventDict, Processor, WrappedLogger

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Of the request under way. Every line has it."""


def configure(log_format: str, level: str) -> None:
    """`log_format` is json, console, or auto (console on a terminal)."""
    console = log_format == "console" or (log_format == "auto" and sys.stderr.isatty())
    # Tracebacks without local variables: those hold tokens, and took 6 s to render.
    render: Processor = (
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback) if console else _render_json
    )
    # Not by way of logging, which takes 35 µs for the line of a request, a tenth of it; this takes 5.
    structlog.configure(
        processors=[add_context, render],
        logger_factory=structlog.WriteLoggerFactory(sys.stderr)
        if console
        else structlog.BytesLoggerFactory(sys.stderr.buffer),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[add_context],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render, _decode],
        )
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # A line for each fetch of keys, with their URL.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    # It tells each migration as an event of its own; the command says which one it reached.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # One line per request is ours; uvicorn's has the query's values.
    logging.getLogger("uvicorn.access").disabled = True


def add_context(_: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """A processor of structlog: what every line has. One for all of it, for each costs as much as what it does."""
    event["level"] = method
    event["timestamp"] = datetime.now(UTC)
    if (current := request_id.get()) is not None:
        event.setdefault("request_id", current)
    return event


_render_exception = structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False))


def _render_json(logger: WrappedLogger, method: str, event: EventDict) -> bytes:
    if "exc_info" in event:
        event = _render_exception(logger, method, event)
    try:
        return orjson.dumps(event, default=repr, option=orjson.OPT_UTC_Z)
    except TypeError:
        # orjson takes neither text that UTF-8 can't hold nor integers of more than 64 bits.
        return json.dumps(event, default=str).encode()


def _decode(_: WrappedLogger, method: str, line: Any) -> str:
    """logging writes text."""
    return line if isinstance(line, str) else line.decode()

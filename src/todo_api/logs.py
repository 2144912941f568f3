"""Structured logs: JSON lines, or readable ones on a terminal. uvicorn's and asyncpg's own lines look the same.

Of PostgreSQL's errors a line has the SQLSTATE, the names and the statement, never a value of a row.
"""

import json
import logging
import sys
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, TextIO

import orjson
import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger

from fastapi_contract.request_id import request_id
from todo_api.database.failures import without_values


def configure(log_format: str, level: str) -> None:
    """`log_format` is json, console, or auto (console on a terminal)."""
    console = log_format == "console" or (log_format == "auto" and sys.stderr.isatty())
    # Tracebacks without local variables: those hold tokens, and took 6 s to render.
    render: Processor = _render_console if console else _render_json
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
    handler.addFilter(_hide_values)
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


def _hide_values(record: logging.LogRecord) -> bool:
    """A filter of logging: an exception that is an argument of a line would be written with its values."""
    if isinstance(record.args, tuple):
        record.args = tuple(without_values(each) if isinstance(each, BaseException) else each for each in record.args)
    return True


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An exception and those that led to it, in the order of structlog's."""
    seen = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        yield current
        seen.add(id(current))
        before = current.__cause__ if current.__suppress_context__ else current.__cause__ or current.__context__
        current = before if before is not None and before.__traceback__ else None


def _write_traceback(target: TextIO, exc_info: ExcInfo) -> None:
    """A plain traceback, as Python's, but for values."""
    blocks = []
    for error in _chain(exc_info[1]):
        kind = type(error).__qualname__
        parts = [f"{kind}: {without_values(error)}\n"]
        for part in getattr(error, "exceptions", ()):
            parts += [f"  {type(each).__qualname__}: {without_values(each)}\n" for each in _chain(part)]
        blocks.append(
            "Traceback (most recent call last):\n" + "".join(traceback.format_tb(error.__traceback__) + parts)
        )
    target.write("\n...which led to:\n\n".join(reversed(blocks)).rstrip())


class _ExceptionTransformer(ExceptionDictTransformer):
    """structlog's, but for values."""

    def __call__(self, exc_info: ExcInfo) -> list[dict[str, Any]]:
        stacks = super().__call__(exc_info)
        _replace_texts(stacks, exc_info[1])
        return stacks


def _replace_texts(stacks: list[dict[str, Any]], error: BaseException) -> None:
    for stack, current in zip(stacks, _chain(error), strict=False):
        stack["exc_value"] = without_values(current)
        for inner, part in zip(stack["exceptions"], getattr(current, "exceptions", ()), strict=False):
            _replace_texts(inner, part)


_render_exception = structlog.processors.ExceptionRenderer(_ExceptionTransformer(show_locals=False))


def _render_json(logger: WrappedLogger, method: str, event: EventDict) -> bytes:
    if "exc_info" in event:
        event = _render_exception(logger, method, event)
    try:
        return orjson.dumps(event, default=_represent, option=orjson.OPT_UTC_Z)
    except TypeError:
        # orjson takes neither text that UTF-8 can't hold nor integers of more than 64 bits.
        return json.dumps(event, default=str).encode()


def _represent(value: object) -> str:
    return without_values(value) if isinstance(value, BaseException) else repr(value)


_console = structlog.dev.ConsoleRenderer(exception_formatter=_write_traceback)


def _render_console(logger: WrappedLogger, method: str, event: EventDict) -> str:
    for name, value in event.items():
        if isinstance(value, BaseException) and name != "exc_info":
            event[name] = without_values(value)
    return _console(logger, method, event)


def _decode(_: WrappedLogger, method: str, line: Any) -> str:
    """logging writes text."""
    return line if isinstance(line, str) else line.decode()

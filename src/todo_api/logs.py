"""Structured logs: JSON lines, or plain text on a terminal. Lines of uvicorn and asyncpg have the same format.

For an error of PostgreSQL a line has the SQLSTATE, the names and the statement, never a value of a row.
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

from fastapi_contract.middleware.request_id import request_id
from todo_api.database.failures import without_values


def configure(log_format: str, level: str) -> None:
    """Configures structlog and logging to write to stderr.

    `log_format` is json, console, or auto (console on a terminal); `level` is the name of the minimum level.
    """
    console = log_format == "console" or (log_format == "auto" and sys.stderr.isatty())
    # Tracebacks have no local variables, because those contain tokens, and took 6 s to render.
    render: Processor = _render_console if console else _render_json
    # structlog writes directly, in 5 µs a line. Through logging it takes 35 µs, a tenth of a request.
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
    # httpx logs a line for each fetch of the issuer's keys, with their URL.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    # Alembic logs a line for each migration; the command prints the final revision.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # The middleware logs each request. uvicorn's line would contain the values of the query.
    logging.getLogger("uvicorn.access").disabled = True


def add_context(_: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """A structlog processor that adds level, timestamp and request id. One processor for all three, because the call of
    a processor costs as much as its work."""
    event["level"] = method
    event["timestamp"] = datetime.now(UTC)
    if (current := request_id.get()) is not None:
        event.setdefault("request_id", current)
    return event


def _hide_values(record: logging.LogRecord) -> bool:
    """A filter of logging that replaces exceptions among the arguments of a line by texts without values."""
    if isinstance(record.args, tuple):
        record.args = tuple(without_values(each) if isinstance(each, BaseException) else each for each in record.args)
    return True


def _exception_chain(error: BaseException) -> Iterator[BaseException]:
    """Yields an exception and its causes, in the order in which structlog lists them."""
    seen = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        yield current
        seen.add(id(current))
        cause = current.__cause__ if current.__suppress_context__ else current.__cause__ or current.__context__
        current = cause if cause is not None and cause.__traceback__ else None


def _write_traceback(target: TextIO, exc_info: ExcInfo) -> None:
    """Writes a traceback in Python's format, without values."""
    blocks = []
    for error in _exception_chain(exc_info[1]):
        kind = type(error).__qualname__
        parts = [f"{kind}: {without_values(error)}\n"]
        for part in getattr(error, "exceptions", ()):
            parts += [f"  {type(each).__qualname__}: {without_values(each)}\n" for each in _exception_chain(part)]
        blocks.append(
            "Traceback (most recent call last):\n" + "".join(traceback.format_tb(error.__traceback__) + parts)
        )
    target.write("\n...which led to:\n\n".join(reversed(blocks)).rstrip())


class _ExceptionTransformer(ExceptionDictTransformer):
    """structlog's transformer, without values in the texts of exceptions."""

    def __call__(self, exc_info: ExcInfo) -> list[dict[str, Any]]:
        stacks = super().__call__(exc_info)
        _remove_values(stacks, exc_info[1])
        return stacks


def _remove_values(stacks: list[dict[str, Any]], error: BaseException) -> None:
    for stack, current in zip(stacks, _exception_chain(error), strict=False):
        stack["exc_value"] = without_values(current)
        for inner, part in zip(stack["exceptions"], getattr(current, "exceptions", ()), strict=False):
            _remove_values(inner, part)


_render_exception = structlog.processors.ExceptionRenderer(_ExceptionTransformer(show_locals=False))


def _render_json(logger: WrappedLogger, method: str, event: EventDict) -> bytes:
    if "exc_info" in event:
        event = _render_exception(logger, method, event)
    try:
        return orjson.dumps(event, default=_serialize_unknown, option=orjson.OPT_UTC_Z)
    except TypeError:
        # orjson rejects text that is not valid UTF-8 (lone surrogates), and integers of more than 64 bits.
        return json.dumps(event, default=str).encode()


def _serialize_unknown(value: object) -> str:
    return without_values(value) if isinstance(value, BaseException) else repr(value)


_console = structlog.dev.ConsoleRenderer(exception_formatter=_write_traceback)


def _render_console(logger: WrappedLogger, method: str, event: EventDict) -> str:
    for name, value in event.items():
        if isinstance(value, BaseException) and name != "exc_info":
            event[name] = without_values(value)
    return _console(logger, method, event)


def _decode(_: WrappedLogger, method: str, line: Any) -> str:
    """Returns a line as text, which logging requires."""
    return line if isinstance(line, str) else line.decode()

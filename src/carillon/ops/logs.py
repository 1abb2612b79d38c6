"""Structured logs to standard error, with everything secret taken out; also those of the libraries we use."""

import logging
import sys
from typing import Any, TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from .redaction import redact

# Libraries that repeat what we log ourselves, or log every statement.
_QUIET = {"granian.access": logging.WARNING, "sqlalchemy.engine": logging.WARNING, "asyncio": logging.WARNING}


def configure(level: str = "info", form: str = "json") -> None:
    """Send all logs of this process to standard error.

    Args:
        level: Least severe line that is written: debug, info, warning, error.
        form: `json` (one object a line) or `console` for a person.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(number),
        cache_logger_on_first_use=False,
    )
    handler = _StandardError()
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=_rendering(form)))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    _take_over()
    logging.captureWarnings(True)


class _StandardError(logging.StreamHandler[TextIO]):
    """Writes to whatever standard error is now: supervisors and tests replace it."""

    @property
    def stream(self) -> TextIO:
        """Standard error."""
        return sys.stderr

    @stream.setter
    def stream(self, _stream: TextIO) -> None:
        """The base class sets it once; it is never kept."""


def _rendering(form: str) -> list[Processor]:
    end: list[Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if form == "console":
        # Rendered first: a person's traceback is text, and text can be redacted.
        return [*end, structlog.processors.format_exc_info, redact_event, structlog.dev.ConsoleRenderer(colors=False)]
    return [*end, structlog.processors.format_exc_info, redact_event, _json]


def _take_over() -> None:
    """Let the loggers of libraries reach the root; some install handlers of their own."""
    for name in list(logging.root.manager.loggerDict):
        logger = logging.getLogger(name)
        if name.split(".")[0] in {"granian", "_granian", "uvicorn", "sqlalchemy", "asyncpg", "pgqueuer"}:
            logger.handlers[:] = []
            logger.propagate = True
    for name, level in _QUIET.items():
        logging.getLogger(name).setLevel(level)


def redact_event(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The processor that takes secrets out of every line."""
    return {key: redact(value, key) for key, value in event.items()}


def _json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    ordered: dict[str, Any] = {key: event.pop(key) for key in ("timestamp", "level", "event") if key in event}
    return orjson.dumps({**ordered, **event}, default=str, option=orjson.OPT_NON_STR_KEYS).decode()

"""How the daemon writes its log: one JSON line a fact on standard output, and to who keeps them.

What is logged stands where it happens.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import TextIO

import msgspec

from edge import imports

# Before any library: each of them is imported by one of them, and needed by none here.
imports.lazily("bz2", "calendar", "http.client", "http.cookies", "logging.config", "lzma")

# structlog takes these where there are some, for a console nobody looks at here, and for threads
# that nobody makes: 16 MB and 80 ms.
with imports.without("rich", "colorama", "greenlet"):
    import structlog


_keepers: list[Callable[[str], None]] = []
"""Who is told every line that is written. The log is the process's, and so is this."""


def keep_with(keeper: Callable[[str], None]) -> None:
    """Tell somebody every line from now on."""
    _keepers.append(keeper)


def forget(keeper: Callable[[str], None]) -> None:
    """Tell him no more."""
    _keepers.remove(keeper)


def configure(level: str, stream: TextIO | None = None) -> None:
    """Send structlog and the standard library's log to one stream.

    Args:
        level: debug, info, warning or error; what is below it is not written.
        stream: standard output when None.
    """
    stream = stream or sys.stdout
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_line),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(stream),
    )
    handler = _Forward()
    # Libraries speak of themselves at info; only what goes wrong there is a fact of ours.
    handler.setLevel(max(number, logging.WARNING))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


class _Forward(logging.Handler):
    """Writes what a library logs as a fact, with the library's sentence as a key."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger(record.name)
        error = record.exc_info if record.exc_info and record.exc_info[0] else None
        log.log(
            record.levelno,
            "library_reported",
            library=record.name,
            message=record.getMessage(),
            exc_info=error,
        )


def _line(facts: dict[str, object], **_: object) -> str:
    line = msgspec.json.encode(facts, enc_hook=str).decode()
    for keeper in _keepers:
        keeper(line)
    return line

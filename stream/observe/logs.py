"""Configuration of logging to stderr: JSON lines, or pretty on a terminal. stdout is for data.

All messages pass the standard library's root logger, so that those of Faust and aiokafka have the
same form. Loggers of structlog and of `logging.getLogger` may both be used.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from typing import Literal, TextIO

import structlog
from structlog.types import Processor

from stream.settings import colours_wanted

from ._mask import mask_secrets

_BURST = 5
_REMEMBERED = 1_000
_NOISY = ("aiokafka", "faust", "mode", "kafka", "asyncio", "aiohttp")


class RepeatFilter(logging.Filter):
    """Filter that limits repeated warnings and errors.

    A period shows the first few repeats; the first line of the next period carries the number of
    those that were held back. Two messages are equal when logger, level and text are, whatever
    their fields: a broken producer must not fill the disk with one line per record.

    Args:
        seconds: Length of the period; 0 shows everything.
        clock: Monotonic clock, in seconds.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._seconds = seconds
        self._clock = clock
        self._seen: dict[tuple[str, int, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell if a record is shown; it carries `repeats` when others were held back before it."""
        if self._seconds <= 0 or record.levelno < logging.WARNING:
            return True
        text = record.msg.get("event", "") if isinstance(record.msg, dict) else record.msg
        identity = (record.name, record.levelno, str(text))
        now = self._clock()
        period_start, count = self._seen.get(identity, (now, 0))
        held_back = 0
        if now - period_start >= self._seconds:
            held_back, period_start, count = max(0, count - _BURST), now, 0
        # Texts with varying parts would otherwise fill the memory: the oldest one is forgotten.
        if identity not in self._seen and len(self._seen) >= _REMEMBERED:
            self._seen.pop(next(iter(self._seen)))
        self._seen[identity] = (period_start, count + 1)
        if held_back:
            if isinstance(record.msg, dict):
                record.msg = {**record.msg, "repeats": held_back}
            else:
                record.repeats = held_back
        return count < _BURST


def configure(
    *,
    level: Literal["debug", "info", "warning", "error"] = "info",
    format: Literal["auto", "json", "pretty"] = "auto",  # noqa: A002  # the setting's name
    repeat_seconds: float = 10.0,
    stream: TextIO | None = None,
) -> None:
    """Configure logging for the whole process. May be called again.

    Args:
        level: Least important level shown; libraries are shown from `warning` on.
        format: `auto` is pretty on a terminal and JSON elsewhere.
        repeat_seconds: Period of `RepeatFilter`.
        stream: Text stream of the messages; None is stderr.
    """
    out = stream or sys.stderr
    pretty = format == "pretty" or (format == "auto" and out.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.PositionalArgumentsFormatter(),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    last: list[Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        mask_secrets,
    ]
    if pretty:
        last.append(
            structlog.dev.ConsoleRenderer(
                colors=out.isatty() and colours_wanted(),
                # structlog's default shows the variables of every frame, which may hold secrets.
                exception_formatter=structlog.dev.plain_traceback,
            )
        )
    else:
        last.append(structlog.processors.JSONRenderer())
    handler = logging.StreamHandler(out)
    handler.addFilter(RepeatFilter(repeat_seconds))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(allow=["repeats"]), *shared],
            processors=last,
        )
    )
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    floor = logging.DEBUG if level == "debug" else logging.WARNING
    for name in _NOISY:
        logging.getLogger(name).setLevel(max(floor, root.level))

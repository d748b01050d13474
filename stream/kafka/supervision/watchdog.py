"""Last resort: a worker that stands still ends, so that its supervisor starts it again.

There are two ways to stand still: the event loop does not turn any more (seen by a thread), or a
partition has messages and its position does not move (seen by asking for the log's end).
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from stream.types import TP

log = logging.getLogger(__name__)

STOOD_STILL = 3
"""Exit code of a worker that ended itself for this."""

_LOG_SECONDS = 2.0


class Watchdog:
    """Thread that ends the process when the event loop has not turned for too long.

    Silence is counted in the thread's own turns: a process that was suspended as a whole has not
    stood still. Used as a context manager in the loop that is watched.

    Args:
        seconds: Silence after which the process ends; 0: never.
        exit_process: Function that ends the process at once with a code.
    """

    def __init__(self, seconds: float, exit_process: Callable[[int], Any]) -> None:
        self._seconds = seconds
        self._turn = max(min(1.0, seconds / 4), 0.01)
        self._exit = exit_process
        self._beats = 0
        self._over = threading.Event()
        self._main = threading.get_ident()
        self._heart: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        if self._seconds:
            self._main = threading.get_ident()
            self._heart = asyncio.ensure_future(self._beat())
            # A daemon: it must not keep an ending process alive.
            threading.Thread(target=self._watch, name="ember-watchdog", daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        if self._heart is not None:
            self._heart.cancel()

    async def _beat(self) -> None:
        while True:
            self._beats += 1
            await asyncio.sleep(self._turn)

    def _watch(self) -> None:
        beats, silence = -1, 0.0
        while not self._over.wait(self._turn):
            silence = 0.0 if self._beats != beats else silence + self._turn
            beats = self._beats
            if silence >= self._seconds:
                frame = self._innermost_frame()
                log_last_words(
                    f"The event loop has stood still for {silence:.0f} s (supervision.hang_seconds)"
                    f", {frame}."
                )
                self._exit(STOOD_STILL)
                return

    def _innermost_frame(self) -> str:
        frame = sys._current_frames().get(self._main)
        if frame is None:
            return "nowhere"
        inmost = traceback.extract_stack(frame)[-1]
        return f"in {inmost.name} ({inmost.filename}:{inmost.lineno})"


def log_last_words(sentence: str) -> None:
    """Log why the process ends, in bounded time: the reader of the log may have stopped."""
    logging_thread = threading.Thread(
        target=log.critical, args=("%s The process ends now.", sentence), daemon=True
    )
    logging_thread.start()
    logging_thread.join(_LOG_SECONDS)


class Progress:
    """Check that every partition with messages moves on.

    Args:
        seconds: Time with messages and without a step after which a partition is stuck.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._last = float("inf")
        self._waited: dict[TP, tuple[int, float]] = {}  # position, and seconds without a step

    def look(self, now: float, positions: Mapping[TP, int], ends: Mapping[TP, int]) -> str:
        """Compare positions with ends of the logs.

        Args:
            now: Time on a monotonic clock.
            positions: Next offset to absorb, of each partition processed.
            ends: Ends of the logs; partitions without one are not judged.

        Returns:
            Sentence on a stuck partition; empty when there is none.
        """
        # An end that is not known is below every position.
        lagging = {tp: offset for tp, offset in positions.items() if ends.get(tp, -1) > offset}
        passed = min(max(now - self._last, 0.0), self._seconds / 4)  # it may have been suspended
        self._last, former = now, self._waited
        self._waited = {}
        for tp, offset in lagging.items():
            former_offset, seconds = former.get(tp, (-1, 0.0))
            seconds = seconds + passed if former_offset == offset else 0.0
            self._waited[tp] = offset, seconds
            if seconds >= self._seconds:
                return (
                    f"{tp[0]}-{tp[1]} stands at offset {offset} and its log ends at {ends[tp]}, "
                    f"without a step for {seconds:.0f} s (supervision.stuck_seconds)."
                )
        return ""

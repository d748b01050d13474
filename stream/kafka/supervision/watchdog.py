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
from typing import Any, Generic, Self, TypeVar

from stream.types import TP

K = TypeVar("K")
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


class Stillness(Generic[K]):
    """Count how long things that should move have stood still.

    Time counts from look to look, and at most a quarter of the limit each: while the process was
    suspended, or the broker was away and nobody looked, nothing could have moved.

    Args:
        limit: Seconds after which a thing has stood still for too long.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._last = float("inf")
        self._still: dict[K, tuple[float, float]] = {}  # last mark, and seconds since it changed

    def look(self, now: float, marks: Mapping[K, float]) -> dict[K, float]:
        """Compare with the last look.

        Args:
            now: Time on a monotonic clock.
            marks: A number that changes with every step, of each thing that should move now.

        Returns:
            Seconds without a step, of the things that are at or beyond the limit.
        """
        passed = min(max(now - self._last, 0.0), self._limit / 4)
        self._last, former = now, self._still
        self._still = {}
        for thing, mark in marks.items():
            former_mark, seconds = former.get(thing, (None, 0.0))
            self._still[thing] = mark, seconds + passed if former_mark == mark else 0.0
        return {
            thing: seconds for thing, (_, seconds) in self._still.items() if seconds >= self._limit
        }


class Progress:
    """Check that every partition with messages moves on.

    Args:
        seconds: Time with messages and without a step after which a partition is stuck.
    """

    def __init__(self, seconds: float) -> None:
        self._still = Stillness[TP](seconds)

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
        for tp, seconds in self._still.look(now, lagging).items():
            return (
                f"{tp[0]}-{tp[1]} stands at offset {lagging[tp]} and its log ends at {ends[tp]}, "
                f"without a step for {seconds:.0f} s (supervision.stuck_seconds)."
            )
        return ""

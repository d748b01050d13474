"""The last resort: a worker that stands still ends, so that whatever started it starts it again.

Two ways to stand still: the event loop does not turn any more (seen by a thread), or a partition
has messages and its position does not move (seen by asking the broker for the log's end).
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

_SAYING_SECONDS = 2.0


class Watchdog:
    """Ends the process when the event loop has not turned for too long.

    Silence is counted in the thread's own turns: a process that was suspended as a whole has not
    stood still. Used as a context manager in the loop that is watched.

    Args:
        seconds: Silence after which the process ends; 0: never.
        exit_process: Ends the process at once with a code.
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
        seen, silent = -1, 0.0
        while not self._over.wait(self._turn):
            silent = 0.0 if self._beats != seen else silent + self._turn
            seen = self._beats
            if silent >= self._seconds:
                where = self._where()
                say_last(
                    f"The event loop has stood still for {silent:.0f} s (supervision.hang_seconds)"
                    f", {where}."
                )
                self._exit(STOOD_STILL)
                return

    def _where(self) -> str:
        frame = sys._current_frames().get(self._main)
        if frame is None:
            return "nowhere"
        inmost = traceback.extract_stack(frame)[-1]
        return f"in {inmost.name} ({inmost.filename}:{inmost.lineno})"


def say_last(sentence: str) -> None:
    """Say why the process ends, for a while only: who reads may have stopped reading."""
    words = threading.Thread(
        target=log.critical, args=("%s The process ends now.", sentence), daemon=True
    )
    words.start()
    words.join(_SAYING_SECONDS)


class Progress:
    """Whether every partition that has messages moves on.

    Args:
        seconds: Time with messages and without a step after which a partition is stuck.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._last = float("inf")
        self._waited: dict[TP, tuple[int, float]] = {}  # position, and how long it was behind there

    def look(self, now: float, positions: Mapping[TP, int], ends: Mapping[TP, int]) -> str:
        """Compare positions with ends of the logs.

        Args:
            now: Seconds of a clock that never goes back.
            positions: Next offset to absorb, of each partition processed.
            ends: Ends of the logs, where the broker said; others are not judged.

        Returns:
            What is stuck, as a sentence; empty when nothing is.
        """
        behind = {tp: at for tp, at in positions.items() if ends.get(tp, -1) > at}
        passed = min(max(now - self._last, 0.0), self._seconds / 4)  # it may have been suspended
        self._last, before = now, self._waited
        self._waited = {}
        for tp, at in behind.items():
            position, waited = before.get(tp, (-1, 0.0))
            waited = waited + passed if position == at else 0.0
            self._waited[tp] = at, waited
            if waited >= self._seconds:
                return (
                    f"{tp[0]}-{tp[1]} stands at offset {at} and its log ends at {ends[tp]}, "
                    f"without a step for {waited:.0f} s (supervision.stuck_seconds)."
                )
        return ""

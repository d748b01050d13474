"""Time of named parts of a call, measured by wrapping methods of single objects.

A part's time is its own: a watched call inside it counts there. A profiler would cost more than
the calls measured here; a wrapped call costs about half a microsecond, a batch has a few dozen.
"""

from __future__ import annotations

import functools
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any


class Stages:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._inner = [0.0]

    def watch(self, owner: Any, method: str, stage: str) -> None:
        """Count the time inside a method of an object under a stage.

        Args:
            owner: The object; the method is replaced on it alone.
            method: Its name.
            stage: Name that collects its time; several methods may share one.

        Raises:
            AttributeError: If there is no such method.
        """
        inner = getattr(owner, method)

        @functools.wraps(inner)
        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.measure(stage):
                return inner(*args, **kwargs)

        setattr(owner, method, timed)

    def measure(self, stage: str) -> AbstractContextManager[None]:
        """Count the time of a block under a stage."""
        return _Span(self.seconds, self._inner, stage, time.perf_counter)


class _Span(AbstractContextManager[None]):
    """One timed block; `inner` is a stack of the seconds that blocks within have taken."""

    __slots__ = ("_clock", "_inner", "_seconds", "_stage", "_started")

    def __init__(
        self,
        seconds: dict[str, float],
        inner: list[float],
        stage: str,
        clock: Callable[[], float],
    ) -> None:
        self._seconds, self._inner, self._stage, self._clock = seconds, inner, stage, clock

    def __enter__(self) -> None:
        self._inner.append(0.0)
        self._started = self._clock()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        elapsed = self._clock() - self._started
        self._seconds[self._stage] += elapsed - self._inner.pop()
        self._inner[-1] += elapsed

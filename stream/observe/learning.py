"""Observer of the training by the workers that updates metrics, health and logs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import structlog

from ._learn_metrics import STAGES
from .health import Health
from .metrics import Metrics

_log = structlog.stdlib.get_logger("ember")

_REPEAT_SECONDS = 60.0
"""Seconds between two log lines about one stage."""


class LearnObserver:
    """Observer of the training: a log line for each stage, and one a minute within it.

    Args:
        metrics: Metrics to update.
        health: Health to update.
        clock: Monotonic clock, in seconds.
    """

    def __init__(
        self, metrics: Metrics, health: Health, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._metrics = metrics
        self._health = health
        self._clock = clock
        self._last = ("", float("-inf"))
        self._refused: tuple[str, ...] = ()

    def progress(self, stage: str, detail: str, share: float) -> None:
        """Record the stage of a training, or of the wait for the next one."""
        self._metrics.learning(stage, share)
        percent = f", {100 * share:.0f} %" if share else ""
        self._health.learning(f"{stage}: {detail}{percent}")
        last_stage, logged = self._last
        now = self._clock()
        if stage != last_stage or now - logged >= _REPEAT_SECONDS:
            self._last = stage, now
            _log.info("learn", stage=stage, detail=detail, percent=round(100 * share))

    def ended(self, result: str, detail: str) -> None:
        """Count and log the end of a training."""
        self._metrics.trained(result)
        log = _log.warning if result in ("refused", "failed") else _log.info
        log("learn_ended", result=result, detail=detail)

    def held_back(self, reasons: tuple[str, ...], **about: Any) -> None:
        """Record the candidate that the gate has refused last; no reasons: there is none."""
        self._metrics.candidate_refused(refused=bool(reasons))
        if reasons and reasons != self._refused:
            _log.warning("learn_refused", detail=" ".join(reasons), **about)
        self._refused = reasons


class ProfileObservers:
    """Observers of the trainings of several profiles; one worker shows the one that is furthest on.

    Args:
        observer: Observer of the worker.
    """

    def __init__(self, observer: LearnObserver) -> None:
        self._observer = observer
        self._stages: dict[str, tuple[str, str, float]] = {}
        self._refused: dict[str, tuple[str, ...]] = {}

    def observer(self, profile: str) -> _ProfileObserver:
        """Return the observer of one profile."""
        return _ProfileObserver(self, profile)

    def progress(self, profile: str, stage: str, detail: str, share: float) -> None:
        """Record the stage of a profile, and report the furthest one of all."""
        name = profile or "other keys"
        self._stages[profile] = stage, f"{name}: {detail}", share
        self._observer.progress(*max(self._stages.values(), key=lambda each: STAGES.index(each[0])))

    def ended(self, profile: str, result: str, detail: str) -> None:
        """Count and log the end of a training."""
        self._observer.ended(result, f"{profile or 'other keys'}: {detail}")

    def held_back(self, profile: str, reasons: tuple[str, ...], **about: Any) -> None:
        """Record the refused candidate of a profile; no reasons: there is none."""
        self._refused[profile] = reasons
        sentences = (
            f"{name or 'other keys'}: {' '.join(texts)}"
            for name, texts in self._refused.items()
            if texts
        )
        self._observer.held_back(tuple(sentences), **about)


class _ProfileObserver:
    """Observer of the training of one profile."""

    def __init__(self, all_profiles: ProfileObservers, profile: str) -> None:
        self._all, self._profile = all_profiles, profile

    def progress(self, stage: str, detail: str, share: float) -> None:
        """Record the stage of a training, or of the wait for the next one."""
        self._all.progress(self._profile, stage, detail, share)

    def ended(self, result: str, detail: str) -> None:
        """Count and log the end of a training."""
        self._all.ended(self._profile, result, detail)

    def held_back(self, reasons: tuple[str, ...], **about: Any) -> None:
        """Record the candidate that the gate has refused last; no reasons: there is none."""
        self._all.held_back(self._profile, reasons, **about)

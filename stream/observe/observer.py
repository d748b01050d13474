"""Observer of a worker that updates metrics, health, traces and logs."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np
import structlog
from numpy.typing import NDArray

from stream.control import ControlSet
from stream.engine import StepResult
from stream.keys import quoted
from stream.observer import Observer
from stream.records import Decoded, Event, Reason, Rejected
from stream.types import TP

from ._foreign_keys import ForeignKeys
from .health import Health
from .metrics import Metrics
from .traces import Traces

_log = structlog.stdlib.get_logger("ember")

_REPEAT_SECONDS = 60.0
"""Seconds between two log lines about the same thing."""


class ServiceObserver(Observer):
    """Observer of the service: one log line per checkpoint, none per record.

    Args:
        metrics: Metrics to update.
        health: Health to update.
        traces: Traces that get the spans; None: no spans are written.
        clock: Monotonic clock, the same as that of `health`.
        wall_clock: Clock in seconds since the epoch, for the age of events only.
    """

    def __init__(
        self,
        metrics: Metrics,
        health: Health,
        traces: Traces | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.metrics = metrics
        self.health = health
        self._traces = traces
        self._clock = clock
        self._wall_clock = wall_clock
        self._recovering_since: float | None = None
        self._standing_since: float | None = None
        self._phase = ""
        self._last_key_warning = self._last_channel_warning = float("-inf")
        self._last_value_warning = float("-inf")
        self._foreign: ForeignKeys | None = None
        self._last_profile_warning = float("-inf")
        self._last_phase = ("", "")
        self._since = {"messages": 0, "rejected": 0, "scored": 0, "events": 0}

    def stepped(
        self, tps: Sequence[TP], decoded: Decoded, result: StepResult, messages: int, seconds: float
    ) -> None:
        """Count a processed slice, of partitions of one topic."""
        topic = tps[0][0]
        self.metrics.consumed(
            topic,
            messages=messages,
            counts=result.counts,
            time_us=_accepted_times(decoded, result),
            now_seconds=self._wall_clock(),
            seconds=seconds,
            missing=result.missing,
        )
        self.metrics.bad_values(topic, result.bad_values)
        self._warn_of_bad_values(topic, result.bad_values)
        self._warn_of_no_profile(topic, result.counts.get("no_profile", 0))
        scores = result.scores
        self.metrics.scored(topic, scores.score, scores.severity, scores.anomaly)
        self._since["scored"] += len(scores.severity)
        self.metrics.emitted(result.events)
        self.metrics.missing(result.missing_by_channel)
        self._warn_of_missing_channels(topic, result.gone)
        if self._foreign is not None and self._foreign.settled(topic, decoded.keys):
            self._foreign = None
        fitted = not self.health.unfit()
        self.health.progressed(messages, len(decoded), result.rejected, self._clock())
        if fitted and self.health.unfit():
            _log.error("model_does_not_fit", topic=topic, detail=result.rejected[-1].detail)
        self._warn_of_moved_keys(topic, result.rejected)
        if self._traces is not None:
            self._traces.slice(
                tps,
                messages=messages,
                events=len(result.events),
                refused=len(result.rejected),
                seconds=seconds,
            )
        self._since["messages"] += messages
        self._since["rejected"] += _refusals(result.rejected)
        self._since["events"] += len(result.events)

    def emitted(self, events: Sequence[Event]) -> None:
        """Count events that no record has brought about."""
        self.metrics.emitted(events)
        self._since["events"] += len(events)

    def _warn_of_moved_keys(self, topic: str, rejected: Sequence[Rejected]) -> None:
        """Log keys in two partitions: somebody has to look at every producer."""
        now = self._clock()
        if not rejected or now < self._last_key_warning + _REPEAT_SECONDS:
            return
        detail = next((r.detail for r in rejected if r.reason is Reason.WRONG_PARTITION), None)
        if detail is not None:
            self._last_key_warning = now
            _log.error("keys_in_two_partitions", topic=topic, detail=detail)

    def use_model_keys(self, keys: Collection[bytes]) -> None:
        """Watch whether the model in use knows any of the keys that come."""
        self._foreign = ForeignKeys(keys) if keys else None

    def _warn_of_missing_channels(self, topic: str, gone: Sequence[tuple[bytes, str]]) -> None:
        """Log channels that have stopped coming, at most once a minute; the triggers name all."""
        now = self._clock()
        if not gone or now < self._last_channel_warning + _REPEAT_SECONDS:
            return
        self._last_channel_warning = now
        key, channel = gone[0]
        _log.warning(
            "channel_missing", topic=topic, key=quoted(key), channel=channel, count=len(gone)
        )

    def _warn_of_no_profile(self, topic: str, messages: int) -> None:
        """Log records whose keys no model is for, at most once a minute."""
        now = self._clock()
        if messages and now >= self._last_profile_warning + _REPEAT_SECONDS:
            self._last_profile_warning = now
            _log.warning("keys_without_profile", topic=topic, messages=messages)

    def _warn_of_bad_values(self, topic: str, counts: Mapping[tuple[str, str], int]) -> None:
        """Log values that could not be used: their records count, so nothing else shows them."""
        now = self._clock()
        if counts and now >= self._last_value_warning + _REPEAT_SECONDS:
            self._last_value_warning = now
            (channel, reason), number = max(counts.items(), key=lambda item: item[1])
            _log.warning(
                "values_not_used", topic=topic, channel=channel, reason=reason, values=number
            )

    def timed(self, stage: str, seconds: float) -> None:
        """Record the duration of a stage within a slice."""
        self.metrics.timed(stage, seconds)

    def scores(self, rows: int, size: int) -> None:
        """Count a message of the scores topic: its rows, and its bytes."""
        self.metrics.scores(rows, size)

    def fetched(self, tp: TP, next_offset: int, highwater: int | None) -> None:
        """Record the lag of an input partition from its position and the end of its log."""
        if highwater is not None:
            lag = max(0, highwater - next_offset)
            self.metrics.lag(tp, lag)
            self.health.fetched(tp, lag)

    def rekeyed(self, tp: TP, messages: int, decoded: Decoded) -> None:
        """Count messages that were re-keyed, and those refused by reason."""
        reasons = Counter(rejected.reason.value for rejected in decoded.rejected)
        self.metrics.rekeyed(tp[0], messages, len(decoded), reasons)
        lost_values = Counter((bad.channel, bad.reason.value) for bad in decoded.bad_values)
        self.metrics.bad_values(tp[0], lost_values)
        self._warn_of_bad_values(tp[0], lost_values)
        # No messages: that one hop goes on must not hide that the other stands still.
        self.health.progressed(0, len(decoded), decoded.rejected, self._clock())
        self._since["rejected"] += _refusals(decoded.rejected)

    def rekey_lag(self, tp: TP, records: int) -> None:
        """Record the messages that are still to be re-keyed."""
        self.metrics.rekey_lag(tp, records)

    def rekey_assigned(self, tps: Sequence[TP]) -> None:
        """Record the input partitions that this worker re-keys."""
        self.metrics.rekey_assigned(tps)
        _log.info("rekey_assigned", partitions=len(tps))

    def control_followed(self, control: ControlSet, ignored: int) -> None:
        """Set the metrics of the documents in the control topic."""
        self.metrics.control_followed(control, ignored)

    def control_used(self, tps: Sequence[TP], control: ControlSet) -> None:
        """Count a change of the documents that score the records of partitions."""
        self.metrics.control_used()

    def checkpointed(self, reason: str, seconds: float, stalled: float, rows: int) -> None:
        """Log a finished checkpoint: its whole duration, and how long it held the stream up."""
        self.metrics.checkpointed(seconds, stalled, rows)
        if self._traces is not None:
            self._traces.checkpoint(reason, seconds=seconds, rows=rows)
        counts, self._since = self._since, dict.fromkeys(self._since, 0)
        if rows or counts["messages"] or reason != "interval":
            _log.info(
                "checkpoint",
                reason=reason,
                rows=rows,
                seconds=round(seconds, 4),
                stalled_seconds=round(stalled, 4),
                lag=self.health.lag,
                **counts,
            )

    def dead_letters(self, outcome: str, reason: Reason | None, count: int) -> None:
        """Count dead letters by outcome: written, cut, coordinates, dropped or failed."""
        self.metrics.dead_letters(outcome, count)

    def loaded(self, tp: TP, accepted: int, stale: int, damaged: int) -> None:
        """Count merged changelog rows."""
        self.metrics.restored(accepted, stale, damaged)
        self.health.restoring(self._clock())

    def phase(self, phase: str, detail: str) -> None:
        """Record the phase of the worker."""
        now = self._clock()
        self.metrics.phase(phase)
        self.health.phase(phase, detail, now)
        self._stands(phase, now)
        if phase == "recovering":
            if self._recovering_since is None:
                self._recovering_since = now
        elif self._recovering_since is not None:
            if phase == "running":
                self.metrics.timed("recovery", now - self._recovering_since)
            self._recovering_since = None
        if (phase, detail) != self._last_phase:  # a broker that is away is tried again and again
            self._last_phase = (phase, detail)
            log = _log.error if phase == "failed" else _log.info
            log("phase", phase=phase, detail=detail)

    def _stands(self, phase: str, now: float) -> None:
        """Time a rebalance from the end of the work it interrupts to the next record."""
        if phase in ("joining", "recovering") and self._phase == "running":
            self._standing_since = now
        elif phase not in ("joining", "recovering"):
            if phase == "running" and self._standing_since is not None:
                self.metrics.timed("rebalance", now - self._standing_since)
            self._standing_since = None
        self._phase = phase

    def assigned(self, active: Sequence[TP], standby: Sequence[TP]) -> None:
        """Record the partitions owned after a rebalance."""
        self.metrics.assigned(active, standby)
        self.health.assigned({(topic, number) for topic, number in active}, self._clock())
        _log.info("assigned", active=len(active), standby=len(standby))


def _refusals(rejected: Sequence[Rejected]) -> int:
    """Count refusals; a record of other channels alone is none."""
    return sum(1 for rejection in rejected if rejection.reason is not Reason.NO_CHANNELS)


def _accepted_times(decoded: Decoded, result: StepResult) -> NDArray[np.int64]:
    """Return the event times of samples that were not refused: a wrong clock is no news."""
    # Messages that the codec refused have no samples; the engine may refuse more.
    if len(result.rejected) == len(decoded.rejected):
        return decoded.time_us
    return decoded.time_us[~np.isin(decoded.message, [r.message for r in result.rejected])]

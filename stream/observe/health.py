"""Health of a worker: alive, ready, started. A pure state object; time enters as an argument."""

from __future__ import annotations

from dataclasses import dataclass

from stream.records import Reason, Rejected
from stream.types import TP

from ._mask import in_text

UNFIT_AFTER = 100
"""Consecutive messages without any of the model's channels after which the model does not fit."""

UNFIT_AFTER_FIT = 100_000
"""The same after a message that fitted: a topic that others share has long runs of theirs."""

_THREAD_SECONDS = 120.0
"""Longest step of the bridge's thread; a request to a broker that is down may take a minute."""


@dataclass(frozen=True, slots=True)
class Check:
    """Result of one check, with a sentence about it."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Report:
    """Results of several checks; ok when all of them are."""

    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """True when every check is ok."""
        return all(check.ok for check in self.checks)

    def body(self) -> dict[str, object]:
        """Return the report as plain values."""
        return {
            "status": "ok" if self.ok else "failing",
            "checks": {
                check.name: {"ok": check.ok, "detail": check.detail} for check in self.checks
            },
        }


class Health:
    """State of a worker, from which the probes are answered.

    Args:
        now: Current time of a monotonic clock, in seconds; all other times are of the same clock.
        live_seconds: Time without a tick of the event loop after which the worker counts as dead.
        stalled_seconds: Time with lag and without progress after which it counts as stuck.
    """

    def __init__(
        self, now: float, *, live_seconds: float = 10.0, stalled_seconds: float = 60.0
    ) -> None:
        self._live_seconds = live_seconds
        self._stalled_seconds = stalled_seconds
        self._ticked = now
        self._progressed = now
        self._phase = ("waiting", "not connected yet")
        self._ever_ran = False
        self._assigned: set[TP] | None = None
        self._lag: dict[TP, int] = {}
        self._unfit = 0
        self._unfit_after = UNFIT_AFTER
        self._learning = ""

    def tick(self, now: float) -> None:
        """Note that the event loop is running."""
        self._ticked = now

    def phase(self, phase: str, detail: str, now: float) -> None:
        """Set the worker's phase, one of `stream.observe.metrics.PHASES`, with a sentence."""
        self._phase = (phase, detail)
        self._progressed = now
        self._ever_ran = self._ever_ran or phase == "running"

    def assigned(self, partitions: set[TP], now: float) -> None:
        """Set the partitions that the group assigned to this worker; there may be none."""
        self._assigned = set(partitions)
        self._lag = {tp: lag for tp, lag in self._lag.items() if tp in partitions}
        self._progressed = now

    def fetched(self, tp: TP, lag: int | None) -> None:
        """Set the lag of a partition."""
        if lag is not None and self._assigned and tp in self._assigned:
            self._lag[tp] = lag

    def learning(self, detail: str) -> None:
        """Set how far the training by the workers is; it decides nothing."""
        self._learning = detail

    def progressed(
        self, messages: int, accepted: int, rejected: list[Rejected], now: float
    ) -> None:
        """Note messages that went through the engine, some of them refused."""
        if messages:
            self._progressed = now
        if accepted:
            self._unfit = 0
            self._unfit_after = UNFIT_AFTER_FIT
            return
        self._unfit += sum(1 for r in rejected if r.reason is Reason.NO_CHANNELS)

    def unfit(self) -> bool:
        """Tell if the newest messages hold none of the model's channels."""
        return self._unfit >= self._unfit_after

    def restoring(self, now: float) -> None:
        """Note that the recovery of state makes progress."""
        self._progressed = now

    def live(self, now: float) -> Report:
        """Check that the process need not be restarted; the broker has no influence."""
        silent = now - self._ticked
        detail = f"last tick of the event loop {max(silent, 0.0):.1f} s ago"
        return Report((Check("event_loop", silent <= self._live_seconds, detail),))

    def started(self, now: float) -> Report:
        """Check that the worker has been running at least once."""
        phase, detail = self._phase
        return Report((Check("phase", self._ever_ran, _phase_text(phase, detail)),))

    def ready(self, now: float) -> Report:
        """Check that alerts can be relied on now."""
        checks = (self._partitions_check(), self._state_check(), self._fit(), self._progress(now))
        learning = (Check("learning", ok=True, detail=self._learning),) if self._learning else ()
        return Report(checks + learning)

    def _partitions_check(self) -> Check:
        if self._assigned is None:
            return Check("partitions", ok=False, detail="the group has assigned none yet")
        number = len(self._assigned)
        idle = " (idle: there are more workers than partitions)" if not number else ""
        return Check("partitions", ok=True, detail=f"{number} partitions assigned{idle}")

    def _state_check(self) -> Check:
        phase, detail = self._phase
        return Check("state", phase == "running", _phase_text(phase, detail))

    def _fit(self) -> Check:
        phase, detail = self._phase
        if phase == "unfit":
            return Check("model", ok=False, detail=detail)
        if self.unfit():
            return Check(
                "model",
                ok=False,
                detail=f"The newest {self._unfit} messages have none of the model's channels. Use "
                "a model trained on this telemetry, or map the channels under `[input] fields`.",
            )
        return Check("model", ok=True, detail="fits the input")

    @property
    def lag(self) -> int:
        """Messages still to be read in all assigned partitions."""
        return sum(self._lag.values())

    def _progress(self, now: float) -> Check:
        lag, silent = self.lag, now - self._progressed
        if not lag:
            return Check("progress", ok=True, detail="no messages left to read")
        detail = f"{lag} messages to read, last progress {max(silent, 0.0):.1f} s ago"
        return Check("progress", silent <= self._stalled_seconds, detail)


class BridgeHealth(Health):
    """Health of a bridge: ready when it reads the triggers and the receiver accepts alerts.

    The bridge works in a thread of its own, so that the event loop alone does not show its health.

    Args:
        now: Current time, see `Health`.
        live_seconds: Limit of the event loop, see `Health`.
        accepts: Sentence about a receiver that is well.
    """

    def __init__(
        self, now: float, *, live_seconds: float = 10.0, accepts: str = "accepts alerts"
    ) -> None:
        super().__init__(now, live_seconds=live_seconds)
        self._accepts = accepts
        self._trouble = self._control_trouble = ""
        self._worked = now
        self._thread_seconds = max(live_seconds, _THREAD_SECONDS)

    def worked(self, now: float) -> None:
        """Note that the thread finished a step."""
        self._worked = now

    def live(self, now: float) -> Report:
        """Check that the process need not be restarted; broker and receiver do not count."""
        return Report((*super().live(now).checks, self._thread_check(now)))

    def _thread_check(self, now: float) -> Check:
        silent = now - self._worked
        detail = f"last step of the thread {max(silent, 0.0):.1f} s ago"
        return Check("thread", silent <= self._thread_seconds, detail)

    def receiver(self, trouble: str) -> None:
        """Set the reason why alerts are not accepted; empty when they are."""
        self._trouble = in_text(trouble)  # /readyz needs no token

    def control(self, trouble: str) -> None:
        """Set the reason why silences cannot be followed now; empty when they are."""
        self._control_trouble = in_text(trouble)

    def ready(self, now: float) -> Report:
        """Check that triggers and silences are read, and alerts are accepted now."""
        detail = self._trouble or self._accepts
        receiver = Check("receiver", not self._trouble, detail)
        thread = self._thread_check(now)
        checks = [self._partitions_check(), self._state_check(), receiver, thread]
        if self._control_trouble:
            checks.append(Check("control", False, self._control_trouble))
        return Report(tuple(checks))


def _phase_text(phase: str, detail: str) -> str:
    return f"{phase}: {detail}" if detail else phase

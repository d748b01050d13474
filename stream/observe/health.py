"""Is the worker alive, ready, started? A pure state object: time enters as an argument."""

from __future__ import annotations

from dataclasses import dataclass

from stream.records import TP, Reason, Rejected

UNFIT_AFTER = 100
"""Messages in a row without one of the model's channels, after which the model does not fit."""

_THREAD_SECONDS = 120.0
"""Silence of the bridge's thread; one request to a broker that is away may take a minute."""


@dataclass(frozen=True, slots=True)
class Check:
    """One question and its answer, as a sentence."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Report:
    """Several checks; good when all of them are."""

    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether every check is."""
        return all(check.ok for check in self.checks)

    def body(self) -> dict[str, object]:
        """For JSON."""
        return {
            "status": "ok" if self.ok else "failing",
            "checks": {
                check.name: {"ok": check.ok, "detail": check.detail} for check in self.checks
            },
        }


class Health:
    """What the worker was last heard to do.

    Args:
        now: Seconds of any monotonic clock; every other time must be of the same.
        live_seconds: Silence of the event loop after which the worker counts as dead.
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

    def tick(self, now: float) -> None:
        """The event loop is turning."""
        self._ticked = now

    def phase(self, phase: str, detail: str, now: float) -> None:
        """What the worker is doing: one of `stream.observe.metrics.PHASES`, and a sentence."""
        self._phase = (phase, detail)
        self._progressed = now
        self._ever_ran = self._ever_ran or phase == "running"

    def assigned(self, partitions: set[TP], now: float) -> None:
        """The group gave this worker its partitions, maybe none."""
        self._assigned = set(partitions)
        self._lag = {tp: lag for tp, lag in self._lag.items() if tp in partitions}
        self._progressed = now

    def fetched(self, tp: TP, lag: int | None) -> None:
        """Messages left in a partition."""
        if lag is not None and self._assigned and tp in self._assigned:
            self._lag[tp] = lag

    def progressed(
        self, messages: int, accepted: int, rejected: list[Rejected], now: float
    ) -> None:
        """Messages went through the engine, some of them refused."""
        if messages:
            self._progressed = now
        if accepted:
            self._unfit = 0
            return
        self._unfit += sum(1 for r in rejected if r.reason is Reason.NO_CHANNELS)

    def unfit(self) -> bool:
        """Whether the newest messages hold none of the model's channels."""
        return self._unfit >= UNFIT_AFTER

    def restoring(self, now: float) -> None:
        """State is being read back."""
        self._progressed = now

    def live(self, now: float) -> Report:
        """Whether to restart the process; never because of the broker."""
        silent = now - self._ticked
        detail = f"the event loop turned {max(silent, 0.0):.1f} s ago"
        return Report((Check("event_loop", silent <= self._live_seconds, detail),))

    def started(self, now: float) -> Report:
        """Whether it has been running at least once."""
        phase, detail = self._phase
        return Report((Check("phase", self._ever_ran, _phase_text(phase, detail)),))

    def ready(self, now: float) -> Report:
        """Whether alerts can be relied on at this moment."""
        return Report(
            (self._partitions_check(), self._state_check(), self._fit(), self._progress(now))
        )

    def _partitions_check(self) -> Check:
        if self._assigned is None:
            return Check("partitions", ok=False, detail="the group has assigned none yet")
        number = len(self._assigned)
        idle = " (a spare: there are more workers than partitions)" if not number else ""
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
        """Messages left in all partitions held."""
        return sum(self._lag.values())

    def _progress(self, now: float) -> Check:
        lag, silent = self.lag, now - self._progressed
        if not lag:
            return Check("progress", ok=True, detail="nothing left to read")
        detail = f"{lag} messages to read, last progress {max(silent, 0.0):.1f} s ago"
        return Check("progress", silent <= self._stalled_seconds, detail)


class BridgeHealth(Health):
    """Of a bridge: ready when it reads the triggers and Alertmanager takes alerts.

    Its work is done in a thread, which the event loop says nothing about.

    Args:
        now: See `Health`.
        live_seconds: See `Health`.
    """

    def __init__(self, now: float, *, live_seconds: float = 10.0) -> None:
        super().__init__(now, live_seconds=live_seconds)
        self._trouble = ""
        self._worked = now
        self._thread_seconds = max(live_seconds, _THREAD_SECONDS)

    def worked(self, now: float) -> None:
        """The thread is through with a step."""
        self._worked = now

    def live(self, now: float) -> Report:
        """Whether to restart the process; never because of the broker, or of Alertmanager."""
        return Report((*super().live(now).checks, self._thread_check(now)))

    def _thread_check(self, now: float) -> Check:
        silent = now - self._worked
        detail = f"the thread took a step {max(silent, 0.0):.1f} s ago"
        return Check("thread", silent <= self._thread_seconds, detail)

    def alertmanager(self, trouble: str) -> None:
        """Why alerts wait; empty: they do not."""
        self._trouble = trouble

    def ready(self, now: float) -> Report:
        """Whether what fires reaches somebody at this moment."""
        taken = Check("alertmanager", not self._trouble, self._trouble or "nothing waits")
        thread = self._thread_check(now)
        return Report((self._partitions_check(), self._state_check(), taken, thread))


def _phase_text(phase: str, detail: str) -> str:
    return f"{phase}: {detail}" if detail else phase

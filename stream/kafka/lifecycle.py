"""Phase of a worker, from its start to its end, and the reasons for which it waits."""

from __future__ import annotations

from enum import StrEnum

from stream.observer import Observer


class Phase(StrEnum):
    """Phase of a worker; metrics and health show it under these names."""

    WAITING = "waiting"
    UNFIT = "unfit"
    JOINING = "joining"
    RECOVERING = "recovering"
    RUNNING = "running"
    STOPPING = "stopping"
    FAILED = "failed"


class Lifecycle:
    """Owner of the worker's phase: each method is one transition, reported to the observer.

    While partitions are at work, the worker is `running` as long as nothing keeps records from
    coming, and `waiting` otherwise. Several things may do so at once; each is a reason of its own.

    Args:
        observer: Receiver of every transition.

    Attributes:
        phase: Phase reported last.
        at_work: Whether all partitions of this assignment are open for records.
    """

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._reasons: dict[str, str] = {}
        self._partitions = 0
        self.phase = Phase.WAITING
        self.at_work = False

    def wait(self, reason: str) -> None:
        """Wait for something before the group is joined."""
        self._enter(Phase.WAITING, reason)

    def refuse_model(self, reason: str) -> None:
        """Wait because the model does not fit the topic."""
        self._enter(Phase.UNFIT, reason)

    def join(self, detail: str) -> None:
        """Join the group, or wait for it to divide its partitions anew."""
        self.leave()
        self._enter(Phase.JOINING, detail)

    def recover(self, detail: str) -> None:
        """Read the state of assigned partitions, or report the progress of it."""
        self.leave()
        self._enter(Phase.RECOVERING, detail)

    def run(self, partitions: int) -> None:
        """Open all assigned partitions for records."""
        self.leave()
        self.at_work, self._partitions = True, partitions
        self._report()

    def leave(self) -> None:
        """Give the partitions back; reasons to wait end with them."""
        self.at_work = False
        self._reasons.clear()

    def hold(self, source: str, reason: str) -> None:
        """Wait while partitions are at work.

        Args:
            source: Name of the part that waits; it has one reason at a time.
            reason: Sentence for people; empty: this part waits no longer.
        """
        if not self.at_work:
            return
        was_waiting = bool(self._reasons)
        self._reasons.pop(source, None)
        if reason:
            self._reasons[source] = reason
        # Repeated reasons are reported again: to wait is progress for the health checks.
        if was_waiting or self._reasons:
            self._report()

    def stop(self) -> None:
        """Begin to stop, on request."""
        self.leave()
        self._enter(Phase.STOPPING, "")

    def fail(self, reason: str) -> None:
        """End because of an error."""
        self._enter(Phase.FAILED, reason)

    def _report(self) -> None:
        if self._reasons:
            self._enter(Phase.WAITING, "; ".join(self._reasons.values()))
        else:
            self._enter(Phase.RUNNING, f"{self._partitions} partitions")

    def _enter(self, phase: Phase, detail: str) -> None:
        self.phase = phase
        self._observer.phase(phase.value, detail)

"""Reports of a worker to the outside; a base class that ignores all of them."""

from __future__ import annotations

from collections.abc import Sequence

from stream.control import ControlSet
from stream.engine import StepResult
from stream.records import Decoded, Event, Reason
from stream.types import TP


class Observer:
    """Receiver of a worker's reports; each method of this base class does nothing."""

    def stepped(
        self, tps: Sequence[TP], decoded: Decoded, result: StepResult, messages: int, seconds: float
    ) -> None:
        """Take note of one processed slice, of partitions of one topic."""

    def emitted(self, events: Sequence[Event]) -> None:
        """Take note of events that no record has brought about."""

    def timed(self, stage: str, seconds: float) -> None:
        """Take note of the duration of a stage within a slice: decode, engine or scores."""

    def scores(self, rows: int, size: int) -> None:
        """Take note of a message of the scores topic: its rows, and its bytes."""

    def fetched(self, tp: TP, next_offset: int, highwater: int | None) -> None:
        """Take note of the position in an input partition, and of the end of its log."""

    def rekeyed(self, tp: TP, messages: int, decoded: Decoded) -> None:
        """Take note of messages of an input partition that were re-keyed, or refused."""

    def rekey_lag(self, tp: TP, records: int) -> None:
        """Take note of the messages of an input partition that are still to be re-keyed."""

    def rekey_assigned(self, tps: Sequence[TP]) -> None:
        """Take note of the input partitions that this worker re-keys."""

    def checkpointed(self, reason: str, seconds: float, stalled: float, rows: int) -> None:
        """Take note of a checkpoint: its whole duration, and the time it held the stream up."""

    def dead_letters(self, outcome: str, reason: Reason | None, count: int) -> None:
        """Count dead letters; `outcome` is written, cut, coordinates, dropped or failed."""

    def loaded(self, tp: TP, accepted: int, stale: int, damaged: int) -> None:
        """Count merged rows of a changelog or of a copy on disk."""

    def phase(self, phase: str, detail: str) -> None:
        """Take note of the worker's phase, one of `stream.kafka.lifecycle.Phase`."""

    def control_followed(self, control: ControlSet, ignored: int) -> None:
        """Take note of the documents in the control topic, and of how many cannot be used."""

    def control_used(self, tps: Sequence[TP], control: ControlSet) -> None:
        """Take note of partitions whose records are scored by other documents from now on."""

    def assigned(self, active: Sequence[TP], standby: Sequence[TP]) -> None:
        """Take note of the partitions owned after a rebalance."""

"""Metrics of re-keying: messages of the input topics before the engine reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stream.types import TP

from ._record_metrics import REFUSALS, RecordMetrics


class RekeyMetrics(RecordMetrics):
    """Metrics of the input topics that a worker re-keys."""

    def _define_rekeying(self, topics: Sequence[str]) -> None:
        """Create the metrics, and show known label values before anything has happened.

        Args:
            topics: Input topics that are re-keyed.
        """
        self._rekeyed = self._counter(
            "ember_rekeyed_messages", "Messages of input topics that were re-keyed.", "topic"
        )
        self._rekey_lag = self._gauge(
            "ember_rekey_lag_records", "Messages still to be re-keyed.", "topic", "partition"
        )
        self._rekey_owned: set[TP] = set()
        for topic in topics:
            self._rekeyed.labels(topic)
            for reason in sorted(REFUSALS):
                self._rejected.labels(topic, reason)

    def rekeyed(self, topic: str, messages: int, samples: int, refused: Mapping[str, int]) -> None:
        """Count messages that were read to be re-keyed.

        Args:
            topic: Input topic.
            messages: Messages read.
            samples: Samples decoded from them.
            refused: Messages refused, by reason.
        """
        self._records.labels(topic).inc(messages)
        self._samples.labels(topic).inc(samples)
        self._rekeyed.labels(topic).inc(messages - sum(refused.values()))
        self._count_outcomes(topic, refused)

    def rekey_lag(self, tp: TP, records: int) -> None:
        """Set the messages of an input partition that are still to be re-keyed."""
        if tp in self._rekey_owned:
            self._rekey_lag.labels(*tp).set(records)

    def rekey_assigned(self, tps: Sequence[TP]) -> None:
        """Set the input partitions of a new assignment; lags of others disappear."""
        owned = {(topic, partition) for topic, partition in tps}
        for topic, partition in self._rekey_owned - owned:
            self._rekey_lag.remove(topic, str(partition))
        for tp in owned - self._rekey_owned:
            self._rekey_lag.labels(*tp)
        self._rekey_owned = owned

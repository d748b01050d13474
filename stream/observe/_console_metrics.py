"""Metrics of `ember console`."""

from __future__ import annotations

import math

from ._metric_set import MetricSet

_OUTCOMES = ("read", "dropped", "late")


class ConsoleMetrics(MetricSet):
    """Metrics of a console.

    Args:
        process: Add CPU, memory and file descriptors of the process.
    """

    def __init__(self, *, process: bool = True) -> None:
        super().__init__(process=process)
        self._bytes = self._gauge(
            "ember_console_bytes", "Bytes of scores, keys and events in memory."
        )
        self._keys = self._gauge("ember_console_keys", "Stream keys seen.")
        self._lag = self._gauge("ember_console_lag_records", "Records still to be read.")
        self._rows = self._counter(
            "ember_console_rows",
            "Scored rows by outcome: read; dropped, at full resolution, for the bound of memory; "
            "late, older than the hours to keep.",
            "outcome",
        )
        self._invalid = self._counter(
            "ember_console_invalid_records", "Records that could not be used."
        )
        self._counted: dict[str, int] = {}
        for outcome in _OUTCOMES:
            self._rows.labels(outcome)

    def state(self, *, size: int, keys: int, lag: int | None, invalid: int, **rows: int) -> None:
        """Set the present state.

        Args:
            size: Bytes in memory.
            keys: Stream keys seen.
            lag: Records still to be read; None: unknown, NaN in the metric.
            invalid: Records that could not be used so far.
            **rows: Rows so far, by outcome.
        """
        self._bytes.set(size)
        self._keys.set(keys)
        self._lag.set(math.nan if lag is None else lag)
        for outcome, total in rows.items():
            self._rows.labels(outcome).inc(self._advance(outcome, total))
        self._invalid.inc(self._advance("invalid", invalid))

    def _advance(self, name: str, total: int) -> int:
        """Return the increase of a total since the last call."""
        increase = total - self._counted.get(name, 0)
        self._counted[name] = total
        return max(0, increase)

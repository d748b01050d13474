"""What would have been usual for rows, and the severity of their single statistics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ember_core import ops
from ember_core.pipeline.stage import State

if TYPE_CHECKING:
    from .channel_evidence import ChannelEvidence


class Usual:
    """Values that would have been usual for rows.

    Args:
        evidence: The stage that expects them.
        columns: Of each row and channel, `(R, C)`: the usual unit; the seasonal expectation, in
            usual units; the anchor, in usual sizes; the usual size, in usual units; its growth.
    """

    COLUMNS: Final = ("unit", "expected", "level", "size", "growth")

    def __init__(self, evidence: ChannelEvidence, *columns: Any) -> None:
        self._evidence, self._columns = evidence, columns

    def values(self, rows: Any, sizes: float = 0.0) -> Any:
        """Return usual values `(N, C)`, float64, in the channels' own units.

        Args:
            rows: Indices of the rows.
            sizes: Usual sizes above them: 3 and -3 give the usual range.
        """
        unit, expected, level, size, growth = (column[rows] for column in self._columns)
        shifted = ops.astype((level + sizes * growth) * size, "float64")
        values = self._evidence.transforms.inverse((expected + shifted) * unit)
        return ops.maximum(values, ops.astype(self._evidence.lowest, "float64"))


class ChannelStatistics:
    """Severity of the single statistics of rows, for those that are explained.

    Args:
        evidence: The stage that judges them.
        usual: Learnt fields of each row's key, `(R, ...)`.
        followed: Fields after each row.
        signals: Signals of the rows, `(R, 8, C)`.
    """

    def __init__(
        self, evidence: ChannelEvidence, usual: State, followed: State, signals: Any
    ) -> None:
        self._evidence, self._signals = evidence, signals
        self._usual, self._followed = usual, dict(followed)

    def severity(self, rows: Any) -> Any:
        """Return the severity of each statistic, `(N, 18 C)`.

        Args:
            rows: Indices of the rows.
        """
        usual = {name: self._usual[name][rows] for name in ("usual_extremes", "usual_run")}
        followed = {name: self._followed[name][rows] for name in ("channel_averages", "equal_run")}
        evidence = self._evidence
        return evidence.curves(evidence.statistics(usual, followed, self._signals[rows]))

"""Columns of rows on their way through a pipeline, and the decision at its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from ember_core import ops

from .config import PipelineConfig
from .packing import PackedRows

_LN10: Final = float(np.log(10.0))
_POWERS: Final = np.array([float(f"1e-{n}") for n in range(13)])


@dataclass
class Observation:
    """Rows under observation: each stage adds its columns, arrays of `R` rows.

    Attributes:
        packed: Key of each row; one row per key where `packed.once`.
        config: Thresholds that need no training, as they are now.
        time_us: Event times, shape `(R,)`, int64.
        state: State of the keys after their rows, `(K, ...)`.
        rows: Rows that the key had absorbed before, shape `(R,)`, int64.
        first: True for a key's first row.
        warming: True while a key unknown to the bundle learns its scales.
        elapsed: Time since the key's row before, in usual intervals, float32.
        interval: The key's usual interval after the row, in seconds, float64.
        scored: True where the key is warm enough to be scored.
        may_fire: True where it may alarm.
        learning: Weight with which the tail learns this row during warm-up, float32.
        age: Place among `arrival.AGES` of the rows of keys never seen, one more for all others,
            `(R,)`, int32; None: all are others.
        confidence: Share of the severity of each group that counts, `(R, G)`, float32; None: all
            of it on every row.
        expected_level: Expectation of the channels, `(R, C)`, in usual units, where training has
            it from other rows than these; None: the key's own profile.
        counted: Bounds `low` and `high` of the departures that count for other channels, and
            `held_low` and `held_high` of those that averages follow in full, `(R, C)` each,
            float32: 0 on the side that does not; None: all do.
        channel_severity: Severity of each channel, `(R, C)`, with channel evidence only.
        channel_hold: Severity of what still goes on in it.
        channel_statistics: Severity of each statistic of the channels, of rows that are asked for.
        usual: Usual values of the channels at the rows' times.
        moments: Fields of the normaliser after each row.
        z: Normalised rows, shape `(R, C)`; missing channels carried forward or at their mean.
        clock: Clock features, shape `(R, n_clock)`.
        due: Forecasts that the liquid network made for the row, one of each horizon, shape
            `(R, P, C)`, same scale as `z`.
        basis: Input of the liquid read-out, for fitting.
        slow: Slow average of each channel after the row, `(R, C)`, same scale as `z`.
        raw: Unscaled features, shape `(R, D)`, for fitting.
        scaled: Scaled features, shape `(R, D)`.
        visible: The RBM's visible units, shape `(R, V)`, float32.
        alarming: True where the key's episode was open before the row, for the tail.
        hold: Severities of the groups by which an episode goes on, shape `(R, G)`, float32.
        shift: Severity by which the motor neuron's thresholds are lower, `(R, G)`, float32; None:
            nowhere.
    """

    packed: PackedRows
    config: PipelineConfig | None = None
    time_us: Any = field(default=None, repr=False)
    state: dict[str, Any] = field(default_factory=dict)
    rows: Any = None
    first: Any = None
    warming: Any = None
    elapsed: Any = None
    interval: Any = None
    scored: Any = None
    may_fire: Any = None
    learning: Any = None
    age: Any = None
    confidence: Any = None
    expected_level: Any = field(default=None, repr=False)
    counted: dict[str, Any] | None = field(default=None, repr=False)
    channel_severity: Any = field(default=None, repr=False)
    channel_hold: Any = field(default=None, repr=False)
    channel_statistics: Any = field(default=None, repr=False)
    usual: Any = field(default=None, repr=False)
    moments: Any = field(default=None, repr=False)
    z: Any = None
    clock: Any = None
    due: Any = field(default=None, repr=False)
    basis: Any = field(default=None, repr=False)
    slow: Any = field(default=None, repr=False)
    raw: Any = field(default=None, repr=False)
    scaled: Any = field(default=None, repr=False)
    visible: Any = None
    alarming: Any = None
    hold: Any = field(default=None, repr=False)
    shift: Any = field(default=None, repr=False)

    @property
    def expected(self) -> Any:
        """Forecast of the first horizon for the row, shape `(R, C)`."""
        return self.due[:, 0]


@dataclass
class Decision:
    """Decision on scored rows, arrays of shape `(R,)`.

    Attributes:
        state: Fields of tail and motor neuron after the rows.
        severity: `-log10` of each row's tail probability, 0 to 12.
        evidence: Leaky integral of severity.
        firing: True while an episode is open after the row.
        fires: True where an episode begins.
        resolves: True where an episode ends.
        updates: True where another group joins an open episode; only with channel evidence.
        lead: Group of the page, `(R,)`: a channel, or the number of channels for all together.
        severities: Severity of each group, `(R, G)`.
        raised: Usual intervals for which the leading group has been raised, `(R,)`.
        confidence: Share of its severity that counts, `(R,)`; None: all of it on every row.
    """

    state: dict[str, Any]
    severity: Any
    evidence: Any
    firing: Any
    fires: Any
    resolves: Any
    updates: Any = None
    lead: Any = None
    severities: Any = None
    raised: Any = None
    confidence: Any = None

    @property
    def alarm(self) -> Any:
        """Severity by which episodes are measured, `(R,)`: of the largest group, or the row's."""
        return self.severity if self.severities is None else ops.max(self.severities, axis=1)

    @property
    def probability(self) -> Any:
        """Tail probability of each row for its key, float64."""
        return tail_probability(self.severity)


def tail_probability(severity: Any) -> Any:
    """Return `10 ** -severity` in float64, with the same bits on every machine.

    Whole severities have the decimal fraction itself.

    Args:
        severity: Array of any shape.
    """
    size = ops.astype(severity, "float64")
    integer = ops.clip(ops.round(size), 0.0, len(_POWERS) - 1.0)
    powers = ops.take(ops.from_numpy(_POWERS, like=size), ops.astype(integer, "int64"))
    return powers * ops.wide_exp((integer - size) * _LN10)

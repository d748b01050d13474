"""Scored rows of one key with all that a picture of them needs: values, bands, score, reasons."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ember_core import ops

from .arguments import as_times, as_values, in_channel_order
from .bands import bands_of_noise, follow_bands
from .explain import channel_weights
from .fleet import FleetModel
from .observation import Decision, Observation
from .packing import PackedRows
from .pipeline import Pipeline
from .stage import Role, State, names_with

_BLOCK = 4096
"""Rows that are scored in one go."""


@dataclass(frozen=True, eq=False)
class ScoredSeries:
    """Scored rows of one key: `n` rows, `C` channels, `H` liquid neurons.

    Attributes:
        key: Stream key.
        channels: Names of the channels.
        time_us: Event times in microseconds, `(n,)`, rising.
        score: Free energy, `(n,)`.
        severity: Severity by which episodes are measured, `(n,)`, 0 to 12.
        evidence: Evidence of the motor neuron, `(n,)`.
        threshold: Evidence from which it fires, `(n,)`.
        firing: True from the row that fires to the one that resolves, inclusive, `(n,)`.
        trigger: 1 fires, -1 resolves, 0 neither, `(n,)`.
        value: Value of each channel in its own unit, `(n, C)`; NaN where missing.
        usual: Usual value, `(n, C)`; NaN where unknown. With channel evidence that of the row's
            time of day and week, otherwise the mean of the key.
        lower: Lower bound of the usual band, `(n, C)`; 95 % of usual rows lie in it.
        upper: Its upper bound.
        contribution: Share of each channel in the severity of the row, `(n, C)`, each row summing
            to 1.
        activation: Liquid neurons after the row, `(n, H)`, -1 to 1.
    """

    key: bytes
    channels: tuple[str, ...]
    time_us: NDArray[np.int64]
    score: NDArray[np.float32]
    severity: NDArray[np.float32]
    evidence: NDArray[np.float32]
    threshold: NDArray[np.float32]
    firing: NDArray[np.bool_]
    trigger: NDArray[np.int8]
    value: NDArray[np.float64]
    usual: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    contribution: NDArray[np.float64]
    activation: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.time_us)

    def between(self, begin_us: int, end_us: int) -> ScoredSeries:
        """Return the rows of a stretch of time.

        Args:
            begin_us: Time of the first row, inclusive.
            end_us: Time of the last row, inclusive.
        """
        first, last = np.searchsorted(self.time_us, [begin_us, end_us + 1])
        names = [field.name for field in fields(self)[2:]]
        rows = {name: getattr(self, name)[first:last] for name in names}
        return ScoredSeries(self.key, self.channels, **rows)


def score_series(
    model: FleetModel, values: Any, time_us: Any, *, key: str | bytes | None = None
) -> ScoredSeries:
    """Score a series of one key from its first state, and keep all columns.

    Rows of the warm-up, which have no score, are left out. Severities and triggers are those of
    `Pipeline.forward`.

    Args:
        model: The fitted model, on NumPy's arrays.
        values: Shape `(T, C)`, NaN where missing; a list or frame, and `(T,)` for one channel too.
        time_us: Times `(T,)`, int64 microseconds, increasing; dates too.
        key: Key of the training that the series belongs to. Default: the model's only key, or a key
            never seen.

    Raises:
        ValueError: If the shapes do not fit, times do not increase, the model is on another
            backend, or it does not know the key.
    """
    pipeline, config = model.pipeline, model.pipeline.config
    if ops.backend_name(pipeline.rbm.weights.data) != "numpy":
        raise ValueError(
            "A series is scored with all columns on NumPy's arrays only. Expected a model on numpy."
            f" Received: one on {ops.backend_name(pipeline.rbm.weights.data)}. Load it there."
        )
    name, state = first_state(model, key)
    band = first_band(model, name)
    values = in_channel_order(values, config.channels)
    times = as_times(time_us)
    values = as_values(values, len(times))
    blocks: list[dict[str, Any]] = []
    for begin in range(0, len(times), _BLOCK):
        part = slice(begin, begin + _BLOCK)
        state, band, columns = _block(pipeline, state, band, values[part], times[part])
        blocks.append(columns)
    if not blocks:
        raise ValueError("A series has rows. Expected at least one. Received: none.")
    columns = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
    return ScoredSeries(name, config.channels, **columns)


def first_state(model: FleetModel, key: str | bytes | None = None) -> tuple[bytes, State]:
    """Return the first state of a key of the training, or of a key never seen, with its name.

    Args:
        model: The fitted model.
        key: The key. Default: the model's only key, or a key never seen, whose name is empty.

    Raises:
        ValueError: If the model does not know the key.
    """
    if key is None and len(model.keys) != 1:
        return b"", model.new_state
    name = model.keys[0] if key is None else key.encode() if isinstance(key, str) else key
    if name not in model.keys:
        examples = ", ".join(repr(k.decode(errors="replace")) for k in model.keys[:5])
        raise ValueError(
            f"The model does not know this key. Expected one of its {len(model.keys):,}, such as "
            f"{examples}. Received: key={key!r}. Leave it out for a key never seen."
        )
    row = model.keys.index(name)
    return name, {field: value[row : row + 1] for field, value in model.key_state.items()}


def first_band(model: FleetModel, key: bytes) -> NDArray[np.float32]:
    """Return the band that a key begins with, `(1, 2, C)`, in usual sizes.

    Args:
        model: The fitted model.
        key: The key; one that the model does not know has the band of keys never seen.
    """
    bands = model.bands or bands_of_noise(len(model.keys), len(model.channels))
    band: NDArray[np.float32] = bands.new[None]
    if key in model.keys:
        band = bands.known[model.keys.index(key)][None]
    return band


def _block(
    pipeline: Pipeline, state: State, band: Any, values: Any, time_us: Any
) -> tuple[State, Any, dict[str, Any]]:
    """Score rows of one key; return state and band after them, and columns of the scored ones."""
    n = len(time_us)
    observation = pipeline.observe(state, values, time_us, PackedRows([1] * n))
    score = pipeline.score(observation.visible)
    # Once scored, always scored: the rows without a score are the first ones.
    scored = slice(n - int(np.sum(observation.scored)), None)
    decided = {f: state[f] for f in names_with(Role.DECIDED, pipeline.state_fields())}
    if scored.start == n:
        columns, band = _columns(pipeline, observation, None, values, score, n, band)
        return state | observation.state, band, columns
    decision = pipeline.decide(
        decided,
        score[scored],
        observation.may_fire[scored],
        observation.learning[scored],
        PackedRows([1] * (n - scored.start)),
        pipeline.channel_rows(observation, scored),
        None if observation.confidence is None else observation.confidence[scored],
    )
    columns, band = _columns(pipeline, observation, decision, values, score, scored.start, band)
    return observation.state | decision.state, band, columns


def _columns(
    pipeline: Pipeline,
    observation: Observation,
    decision: Decision | None,
    values: Any,
    score: Any,
    first: int,
    band: Any,
) -> tuple[dict[str, Any], Any]:
    """Return the columns of the rows from the first one that was scored, and the band after."""
    index = np.arange(first, len(score))
    count, empty = len(index), np.zeros(0, dtype=np.float32)
    trigger = np.zeros(count, dtype=np.int8)
    firing = np.zeros(count, dtype=bool)
    if decision is not None:
        trigger += decision.fires.astype(np.int8) - decision.resolves.astype(np.int8)
        firing = np.asarray(decision.firing) | decision.resolves
    usual = pipeline.usual_rows(observation, index, values[index])
    bounds = np.zeros((0, *band.shape[1:]), dtype=np.float32)
    if count:
        packed = PackedRows([1] * count)
        bounds, band = follow_bands(packed, band, usual.departures, ~firing)
    usual_band = usual.band(bounds)
    columns = {
        "time_us": observation.time_us[index],
        "score": score[index],
        "severity": empty if decision is None else np.asarray(decision.alarm, dtype=np.float32),
        "evidence": empty if decision is None else np.asarray(decision.evidence, dtype=np.float32),
        "threshold": np.full(count, pipeline.motor.on, dtype=np.float32),
        "firing": firing,
        "trigger": trigger,
        "value": values[index],
        "usual": usual_band.usual,
        "lower": usual_band.lower,
        "upper": usual_band.upper,
        "contribution": _shares(pipeline, observation, decision, index),
        "activation": observation.basis[index, : pipeline.liquid.hidden],
    }
    return columns, band


def _shares(
    pipeline: Pipeline, observation: Observation, decision: Decision | None, index: Any
) -> Any:
    """Return the share of each channel in the severity of rows, `(n, C)`, as events name it."""
    count = len(pipeline.config.channels)
    if decision is None or not index.size:
        return np.zeros((0, count))
    shares = pipeline.explain(observation.visible[index])
    if decision.lead is None:
        return shares
    return channel_weights(decision.severities, decision.lead, shares)

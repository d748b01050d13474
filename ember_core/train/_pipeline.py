"""Fit a whole pipeline on a fleet's history: scales per key, weights for all."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ember_core import ops
from ember_core.detect import Calibration, MotorNeuron, Tail, calibrate, fit_tail, leaky
from ember_core.features import find_period
from ember_core.fleet import FleetModel
from ember_core.pipeline import Pipeline, PipelineConfig
from ember_core.state import State
from ember_core.train._liquid import fit_liquid
from ember_core.train._rbm import fit_rbm

FloatArray = NDArray[np.float64]
SETTLE = 64  # rows at the start of a series that no fit uses: windows still fill
MIN_ROWS = 2 * SETTLE
EVIDENCE_ROWS = 0.5
BLOCKS = 8  # of a key's rows, to tell how uncertain its moments are
MIN_FLEET = 8  # keys that make a fleet to lean on
SEQUENCED_ROWS = 100_000  # the liquid read-out is fitted on
POOLED_EXCESSES = 20.0  # weight of the fleet's mean excess beside a key's own excesses
LEARNING_RATE = 4e-2  # 1e-2 needs four times the epochs for the same

DAY = 86_400.0  # seconds

# How slowly the tail follows, and how long an alarm keeps it still: rows, no shorter than so many
# periods of the data (which hold where times are mere record numbers), no longer than so long.
HALF_LIFE = (4320, 3.0, 7 * DAY)
FREEZE = (720, 0.5, DAY)


class Series(NamedTuple):
    """History of one key: times `(T,)` int64 microseconds, values `(T, C)` float64."""

    key: bytes
    time_us: NDArray[np.int64]
    values: FloatArray


def fit_pipeline(
    series: Sequence[Series],
    config: PipelineConfig,
    *,
    epochs: int = 20,
    max_rows: int = 120_000,
    budget_per_week: float | None = None,
    evidence_rows: float = EVIDENCE_ROWS,
    adapt: bool = True,
    progress: Callable[[str, float], None] | None = None,
) -> FleetModel:
    """Train on the history of a fleet; no labels are used.

    Args:
        series: One per key, times increasing.
        config: Shape of the pipeline; `periods_seconds` is replaced by what the data shows
            unless it is given.
        epochs: Passes over the rows for the RBM.
        max_rows: Rows the weights are fitted on, spread evenly over all keys.
        budget_per_week: False triggers accepted per key and week; sets the on-threshold. Default:
            the evidence that 3 training rows in 1,000 reach.
        evidence_rows: Time constant of the motor neuron's evidence, in rows: short follows every
            fault by itself, long adds up faults that are mild but last.
        adapt: Let each key's tail follow slowly on the stream (not while it alarms).
        progress: Called with a stage's name and the share done.

    Returns:
        The fitted pipeline, on the default backend, which has also trained the RBM.

    Raises:
        ValueError: If no series is long enough, or a channel holds no finite value at all.
    """
    tell = progress or (lambda _stage, _share: None)
    usable = [s for s in series if len(s.time_us) >= MIN_ROWS]
    if not usable:
        longest = max((len(s.time_us) for s in series), default=0)
        raise ValueError(
            f"Too little history to train on. Expected a key with at least {MIN_ROWS} rows. "
            f"Received: {len(series)} keys, the longest with {longest} rows."
        )
    usable.sort(key=lambda s: -len(s.time_us))  # the running batch is a prefix
    tell("scales", 0.0)
    scales = fit_scales(usable)
    if not config.periods_seconds:
        config = replace(config, periods_seconds=find_periods(usable, scales))
    pipeline = Pipeline(config).to(backend="numpy")  # a history is read on the host
    state = pipeline.initial_state(len(usable))
    for name, value in scales.items():
        state[name][...] = value
    state["known"][...] = 1
    first = {name: value.copy() for name, value in state.items()}

    lengths = np.array([len(s.time_us) for s in usable])
    stride = max(1, int(np.ceil(lengths.sum() / max_rows)))
    gathered = gather(pipeline, usable, lengths, state, stride, tell)

    tell("liquid network", 0.0)
    fit_liquid(pipeline.liquid, gathered.sequences)
    if config.residuals:
        # residuals exist only once the read-out does: run again with it
        state = {name: value.copy() for name, value in first.items()}
        gathered = gather(pipeline, usable, lengths, state, stride, tell)

    mean, var = gathered.feature_moments(len(usable))
    first["feature_mean"][...] = mean
    first["feature_var"][...] = var
    _prime_windows(pipeline, first)
    tell("RBM", 0.0)
    visible = gathered.visible(pipeline, first)
    if config.whiten:
        pipeline.whiten_by(visible)
        visible = np.concatenate([pipeline.whiten(part) for part in _tiles(visible)])
    backend = ops.backend_name()
    rbm = pipeline.rbm.to(backend=backend)
    fit_rbm(
        rbm,
        ops.to(visible, backend=backend),
        epochs=epochs,
        batch_size=128,
        learning_rate=LEARNING_RATE,
        momentum=0.5,
        weight_decay=1e-4,
        generator=ops.generator(config.seed),
    )
    rbm.to(backend="numpy")
    pipeline.frozen()

    tell("thresholds", 0.0)
    scores = np.concatenate([pipeline.score(part) for part in _tiles(visible)])
    low, mid = np.quantile(scores, [0.001, 0.5])
    interval = float(np.median(first["interval"]))
    pipeline.tail = Tail(
        floor=float(low - 0.25 * (mid - low)),
        half_life_rows=_rows(*HALF_LIFE, config.periods_seconds, interval) if adapt else 0,
        freeze_rows=_rows(*FREEZE, config.periods_seconds, interval),
    )
    logs = pipeline.tail.log_score(scores)
    _fit_tails(first, gathered.owner, logs)
    new_state = pipeline.initial_state(1)
    for name, value in fit_tail(logs).items():
        new_state[name][0] = value
    pipeline.motor = MotorNeuron(time_constant_rows=evidence_rows)
    assert gathered.whole is not None
    calibration = _calibrate(pipeline, first, gathered.whole)
    on = calibration.level
    if budget_per_week is not None:
        on = calibration.at_budget(budget_per_week)
    pipeline.motor = MotorNeuron(on=on, off=calibration.off, time_constant_rows=evidence_rows)
    tell("done", 1.0)
    report = {
        "keys": len(usable),
        "rows": int(lengths.sum()),
        "skipped_keys": len(series) - len(usable),
        "digest": _digest(usable),
        "periods_seconds": list(config.periods_seconds),
        "calibration": asdict(calibration),
        "on": pipeline.motor.on,
        "off": pipeline.motor.off,
        "score_quantiles": {str(q): float(np.quantile(scores, q)) for q in (0.5, 0.9, 0.99, 0.999)},
    }
    model = FleetModel(pipeline, [s.key for s in usable], first, new_state, report)
    return model.to(backend=backend)


def _rows(
    usual: int, cycles: float, most_seconds: float, periods: tuple[float, ...], interval: float
) -> int:
    """Rows of a span: as many as usual, at least so many of the longest period, bounded in time."""
    interval = max(interval, 1e-6)
    least = cycles * max(periods, default=0.0) / interval
    return max(1, int(min(max(usual, least), most_seconds / interval)))


def fit_scales(series: Sequence[Series]) -> State:
    """Mean, variance, range and usual interval of every key, from its own rows."""
    columns = series[0].values.shape[1]
    seen = np.zeros(columns, dtype=bool)
    out: State = {n: [] for n in ("norm_mean", "norm_var", "norm_low", "norm_high", "interval")}
    for s in series:
        finite = np.isfinite(s.values)
        seen |= finite.any(axis=0)
        x = np.where(finite, s.values, 0.0)
        n = np.maximum(finite.sum(axis=0), 1)
        mean = x.sum(axis=0) / n
        out["norm_mean"].append(mean)
        out["norm_var"].append((np.where(finite, x - mean, 0.0) ** 2).sum(axis=0) / n)
        held = finite.any(axis=0)
        out["norm_low"].append(np.where(held, np.where(finite, x, np.inf).min(axis=0), 0.0))
        out["norm_high"].append(np.where(held, np.where(finite, x, -np.inf).max(axis=0), 0.0))
        out["interval"].append(float(np.median(np.diff(s.time_us))) * 1e-6)
    if not seen.all():
        raise ValueError(
            "Every channel needs at least one finite value in the training data. "
            f"Received: none in column(s) {np.flatnonzero(~seen).tolist()}."
        )
    return {name: np.asarray(rows) for name, rows in out.items()}


def find_periods(series: Sequence[Series], scales: State, most: int = 24) -> tuple[float, ...]:
    """The fleet's common period in seconds, where most of the looked-at keys agree on one."""
    found = []
    for k, s in enumerate(series[:most]):
        interval = float(scales["interval"][k])
        if interval <= 0:
            continue
        grid = np.arange(s.time_us[0] * 1e-6, s.time_us[-1] * 1e-6, interval)
        if not 64 <= len(grid) <= 200_000:
            continue
        at = np.searchsorted(s.time_us * 1e-6, grid + 0.5 * interval, side="right") - 1
        z = np.nan_to_num(
            (s.values[at] - scales["norm_mean"][k]) / np.sqrt(scales["norm_var"][k] + 1e-12)
        )
        moves = scales["norm_var"][k] > 1e-12
        rows = find_period(np.clip(z[:, moves], -5, 5))
        if rows is not None:
            found.append(rows * interval)
    if len(found) < max(1, (min(len(series), most) + 1) // 2):
        return ()
    middle = float(np.median(found))
    near = [p for p in found if abs(p / middle - 1.0) < 0.1]
    if 2 * len(near) < len(found):
        return ()
    period = float(np.median(near))
    return (DAY if abs(period / DAY - 1.0) < 0.01 else period,)


@dataclass
class _Rows:
    """Rows of the history: whose, when, unscaled features."""

    owner: NDArray[np.int64]
    time_us: NDArray[np.int64]
    raw: NDArray[np.float32]

    @classmethod
    def joined(cls, parts: list[tuple[Any, Any, Any]]) -> Any:
        """Rows of all parts, in order."""
        return cls(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def feature_moments(self, keys: int) -> tuple[Any, Any]:
        """Mean and variance of each feature per key, `(K, D)` each, float32.

        Each leans on the fleet's as far as a key's own rows leave it uncertain (empirical Bayes):
        rows follow each other closely, so the uncertainty is taken from the means of blocks. On
        1,500 rows a key, its own moments alone made healthy rows to come look improbable.
        """
        d = self.raw.shape[1]
        means, logs = np.zeros((keys, BLOCKS, d)), np.zeros((keys, BLOCKS, d))
        mean, var = np.zeros((keys, d)), np.ones((keys, d))
        for k in range(keys):
            rows = self.raw[self.owner == k].astype(np.float64)
            if len(rows) < BLOCKS:
                continue
            mean[k], var[k] = rows.mean(axis=0), rows.var(axis=0)
            for i, block in enumerate(np.array_split(rows, BLOCKS)):
                means[k, i] = block.mean(axis=0)
                spread = ((block - mean[k]) ** 2).mean(axis=0)
                logs[k, i] = np.log(spread + 1e-6)
        shrunk = _lean(mean, means)
        log_var = _lean(np.log(var + 1e-6), logs)
        return shrunk.astype(np.float32), np.exp(log_var).astype(np.float32)

    def visible(self, pipeline: Pipeline, first: State) -> NDArray[np.float32]:
        """Visible units of the rows, not yet whitened unless the pipeline is, `(R, V)`."""
        out = np.empty((len(self.owner), pipeline.n_visible), dtype=np.float32)
        for i in range(0, len(out), 8192):
            part = slice(i, i + 8192)
            who = self.owner[part]
            own = {n: first[n][who] for n in ("feature_mean", "feature_var")}
            clock = pipeline.clock(self.time_us[part])
            out[part] = pipeline.visible_units(own, self.raw[part], clock)
        return out


@dataclass
class _Gathered(_Rows):
    """Rows kept from one pass over the history.

    Attributes:
        sequences: Per key what the liquid read-out is fitted on.
        whole: All rows of some keys, to calibrate alarms on.
    """

    sequences: list[tuple[Any, Any, Any]] = field(default_factory=list)
    whole: _Rows | None = None


def _lean(own: Any, blocks: Any) -> Any:
    """Draw a key's values, `(K, D)`, to the fleet's mean as far as they are uncertain.

    By the share of their variance over keys that the variance over each key's blocks,
    `(K, BLOCKS, D)`, explains.
    """
    if len(own) < MIN_FLEET:
        return own
    uncertain = blocks.var(axis=1, ddof=1).mean(axis=0) / BLOCKS
    across = own.var(axis=0, ddof=1)
    keep = np.clip(1.0 - uncertain / np.maximum(across, 1e-12), 0.0, 1.0)
    fleet = own.mean(axis=0)
    return fleet + keep * (own - fleet)


def _tiles(rows: Any, size: int = 8192) -> list[Any]:
    """Rows in pieces that fit the cache."""
    return [rows[i : i + size] for i in range(0, len(rows), size)]


def lockstep(
    pipeline: Pipeline, series: Sequence[Series], lengths: Any, state: State
) -> Iterator[tuple[int, int, Any]]:
    """All keys one row at a time: `(t, keys still running, observation)`; state in place."""
    pipeline.frozen()
    for t in range(int(lengths[0])):
        n = int(np.count_nonzero(lengths > t))
        values = np.stack([s.values[t] for s in series[:n]])
        times = np.array([s.time_us[t] for s in series[:n]], dtype=np.int64)
        seen = pipeline.observe({k: v[:n] for k, v in state.items()}, values, times)
        for name, value in seen.state.items():
            state[name][:n] = value
        yield t, n, seen


def gather(
    pipeline: Pipeline,
    series: Sequence[Series],
    lengths: Any,
    state: State,
    stride: int,
    tell: Callable[[str, float], None] | None = None,
    *,
    sequences: bool = True,
) -> _Gathered:
    """Run the history through the recurrent parts and keep every `stride`-th row of a key."""
    parts: list[tuple[Any, Any, Any]] = []
    every: list[tuple[Any, Any, Any]] = []
    basis: list[list[Any]] = [[] for _ in series]
    z: list[list[Any]] = [[] for _ in series]
    anchor: list[list[Any]] = [[] for _ in series]
    sequenced = max(1, min(len(series), SEQUENCED_ROWS // max(1, int(lengths[0])))) * sequences
    for t, n, seen in lockstep(pipeline, series, lengths, state):
        if tell and t % 512 == 0:
            tell("history", t / int(lengths[0]))
        m = min(n, sequenced)
        for k in range(m):
            basis[k].append(seen.basis[k])
            z[k].append(seen.z[k])
            anchor[k].append(seen.state["anchor"][k])
        if t < SETTLE:
            continue
        kept = np.flatnonzero((np.arange(n) + t) % stride == 0)
        if kept.size:
            parts.append((kept, seen.state["last_time"][kept], seen.raw[kept]))
        if sequenced:
            now = min(n, sequenced)
            every.append((np.arange(now), seen.state["last_time"][:now], seen.raw[:now]))
    kept_sequences = [
        (np.stack(b[SETTLE:]), np.stack(v[SETTLE:]), np.stack(a[SETTLE:]))
        for b, v, a in zip(basis, z, anchor, strict=True)
        if len(b) > SETTLE
    ]
    rows = _Rows.joined(parts)
    whole = _Rows.joined(every) if every else None
    return _Gathered(rows.owner, rows.time_us, rows.raw, kept_sequences, whole)


def _prime_windows(pipeline: Pipeline, first: State) -> None:
    """Begin a known key's moving variances at their usual size instead of zero."""
    if "ewvar" not in first:
        return
    c = len(pipeline.config.channels)
    strides = first["ewvar"].shape[1]
    start = c * (1 + strides)
    usual = first["feature_mean"][:, start : start + c * strides]
    first["ewvar"][...] = usual.reshape(-1, strides, c) ** 2


def _fit_tails(state: State, owner: Any, logs: Any) -> None:
    """Tail of every key; its mean excess leans on the fleet's where it has few rows of its own."""
    keys = len(state["known"])
    for k in range(keys):
        own = logs[owner == k]
        for name, value in fit_tail(own if own.size else logs).items():
            state[name][k] = value
    # a key's few excesses come in a handful of episodes: its own large ones would mask themselves
    excesses = 0.02 * np.bincount(owner, minlength=keys)
    common = float(np.mean(state["tail_excess"]))
    pooled = excesses * state["tail_excess"] + POOLED_EXCESSES * common
    state["tail_excess"][...] = pooled / (excesses + POOLED_EXCESSES)


def _calibrate(pipeline: Pipeline, first: State, rows: _Rows) -> Calibration:
    """How high evidence rises, and how often, on consecutive rows as the stream has them."""
    logs = _log_scores(pipeline, rows, first)
    traces = []
    for k in np.unique(rows.owner):
        tail = {n: first[n][k : k + 1] for n in ("tail_mid", "tail_high", "tail_excess")}
        severity = pipeline.tail.severity(tail, logs[rows.owner == k])
        traces.append(leaky(severity, pipeline.motor.time_constant_rows))
    return calibrate(traces, float(np.median(first["interval"])))


def _log_scores(pipeline: Pipeline, rows: _Rows, state: State) -> Any:
    """Log scores of rows under a state's feature scales."""
    visible = rows.visible(pipeline, state)
    return np.concatenate(
        [pipeline.tail.log_score(pipeline.score(part)) for part in _tiles(visible)]
    )


def _digest(series: Sequence[Series]) -> str:
    """SHA-256 over keys, times and values: which data a model was trained on."""
    h = hashlib.sha256()
    for s in sorted(series, key=lambda s: s.key):
        h.update(len(s.key).to_bytes(4, "big") + s.key)
        h.update(np.ascontiguousarray(s.time_us).tobytes())
        h.update(np.ascontiguousarray(s.values).tobytes())
    return h.hexdigest()

"""Fit a whole pipeline on a fleet's history: scales per key, weights for all."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from ember_core import ops
from ember_core.pipeline.fleet import FleetModel
from ember_core.pipeline.motor import Calibration, MotorNeuron, calibrate, leaky
from ember_core.pipeline.pipeline import Pipeline, PipelineConfig
from ember_core.pipeline.stage import State
from ember_core.pipeline.tail import Tail, fit_tail
from ember_core.training import fit_rbm

from .liquid import fit_liquid
from .scales import DAY, feature_scales, find_periods, fit_scales, scale_prior
from .series import SETTLE, Rows, Series, gather, tiles

MIN_ROWS = 2 * SETTLE
EVIDENCE_ROWS = 0.5
POOLED_EXCESSES = 20.0  # weight of the fleet's mean excess beside a key's own excesses
BATCH, STEPS = 128, 8_000  # of the RBM's training
LEARNING_RATE = 4e-2  # 1e-2 needs four times the epochs for the same
GIBBS_STEPS = 3  # of its negative phase: CD-1 leaves improbable records probable; 10 bring no more

# How slowly the tail follows, and how long an alarm keeps it still: periods of the data, which
# hold where times are mere record numbers; rows where there is no period; no longer than so long.
HALF_LIFE = (7.0, 10_080, 7 * DAY)
FREEZE = (0.5, 720, DAY)


def fit_pipeline(
    series: Sequence[Series],
    config: PipelineConfig,
    *,
    epochs: int | None = None,
    max_rows: int = 120_000,
    budget_per_week: float | None = None,
    evidence_rows: float = EVIDENCE_ROWS,
    adapt: bool = True,
    refine: int = 0,
    progress: Callable[[str, float], None] | None = None,
) -> FleetModel:
    """Train on the history of a fleet; no labels are used.

    Args:
        series: One per key, times increasing.
        config: Shape of the pipeline; `periods_seconds` is replaced by what the data shows
            unless it is given.
        epochs: Passes over the rows for the RBM. Default: as many as make 8,000 steps, 5 to 40:
            with fewer it hardly knows what goes together, with more it learns the faults too.
        max_rows: Rows the weights are fitted on, spread evenly over all keys.
        budget_per_week: False triggers accepted per key and week; sets the on-threshold. Default:
            the evidence that 3 training rows in 1,000 reach.
        evidence_rows: Time constant of the motor neuron's evidence, in rows: short follows every
            fault by itself, long adds up faults that are mild but last.
        adapt: Let each key's tail follow slowly on the stream (not while it alarms).
        refine: Most epochs of gradient descent on the liquid cell, see `fit_liquid`; 0 leaves it as
            it was made.
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
    backend = ops.backend_name()
    if refine:
        pipeline.liquid.to(backend=backend)
    of_liquid = fit_liquid(pipeline.liquid, gathered.sequences, refine=refine)
    pipeline.liquid.to(backend="numpy")
    if config.residuals:
        # residuals exist only once the read-out does: run again with it
        state = {name: value.copy() for name, value in first.items()}
        gathered = gather(pipeline, usable, lengths, state, stride, tell)

    of_features = feature_scales(gathered, len(usable), stride)
    first["feature_mean"][...] = of_features.mean
    first["feature_var"][...] = of_features.var
    pipeline.scaler.assign({"heavy": of_features.heavy, "prior_rows": of_features.prior_rows})
    prior = scale_prior(usable, pipeline.normaliser.scale(first))
    pipeline.normaliser.assign({"prior_rows": prior.rows.astype(np.float32)})
    for name, value in pipeline.windows.primed(first["feature_mean"]).items():
        first[name][...] = value
    tell("RBM", 0.0)
    visible = gathered.visible(pipeline, first)
    if config.whiten:
        pipeline.visible.fit_whitener(visible)
        visible = np.concatenate([pipeline.visible.decorrelate(part) for part in tiles(visible)])
    rbm = pipeline.rbm.to(backend=backend)
    fit_rbm(
        rbm,
        ops.to(visible, backend=backend),
        epochs=epochs or epochs_for(len(visible)),
        batch_size=BATCH,
        learning_rate=LEARNING_RATE,
        momentum=0.5,
        weight_decay=1e-4,
        k=GIBBS_STEPS,
        generator=ops.generator(config.seed),
    )
    rbm.to(backend="numpy")
    pipeline.freeze()

    tell("thresholds", 0.0)
    scores = np.concatenate([pipeline.score(part) for part in tiles(visible)])
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
    new_state["norm_var"][0] = prior.var
    new_state["feature_mean"][0] = of_features.new_mean
    new_state["feature_var"][0] = of_features.new_var
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
        "liquid": of_liquid,
        "score_quantiles": {str(q): float(np.quantile(scores, q)) for q in (0.5, 0.9, 0.99, 0.999)},
    }
    model = FleetModel(pipeline, [s.key for s in usable], first, new_state, report)
    return model.to(backend=backend)


def epochs_for(rows: int) -> int:
    """Passes over so many rows that make about 8,000 steps of the RBM, 5 to 40."""
    return int(np.clip(round(STEPS * BATCH / rows), 5, 40))


def _rows(
    cycles: float, usual: int, most_seconds: float, periods: tuple[float, ...], interval: float
) -> int:
    """Rows of a span: so many of the longest period, or as many as usual; bounded in time."""
    interval = max(interval, 1e-6)
    rows = cycles * max(periods) / interval if periods else usual
    return max(1, int(min(rows, most_seconds / interval)))


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


def _calibrate(pipeline: Pipeline, first: State, rows: Rows) -> Calibration:
    """How high evidence rises, and how often, on consecutive rows as the stream has them."""
    logs = _log_scores(pipeline, rows, first)
    traces = []
    for k in np.unique(rows.owner):
        tail = {n: first[n][k : k + 1] for n in ("tail_mid", "tail_high", "tail_excess")}
        severity = pipeline.tail.severity(tail, logs[rows.owner == k])
        traces.append(leaky(severity, pipeline.motor.time_constant_rows))
    return calibrate(traces, float(np.median(first["interval"])))


def _log_scores(pipeline: Pipeline, rows: Rows, state: State) -> Any:
    """Log scores of rows under a state's feature scales."""
    visible = rows.visible(pipeline, state)
    return np.concatenate(
        [pipeline.tail.log_score(pipeline.score(part)) for part in tiles(visible)]
    )


def _digest(series: Sequence[Series]) -> str:
    """SHA-256 over keys, times and values: which data a model was trained on."""
    h = hashlib.sha256()
    for s in sorted(series, key=lambda s: s.key):
        h.update(len(s.key).to_bytes(4, "big") + s.key)
        h.update(np.ascontiguousarray(s.time_us).tobytes())
        h.update(np.ascontiguousarray(s.values).tobytes())
    return h.hexdigest()

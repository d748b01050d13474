"""Choice of the features a fleet's RBM sees, by injected faults instead of labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ember_core import ops
from ember_core.evaluate import auc_pr
from ember_core.models import RBM
from ember_core.pipeline.pipeline import Pipeline, PipelineConfig
from ember_core.pipeline.visible_units import CLOCK_SCALE
from ember_core.training import fit_rbm

from .injected_faults import GAP, KINDS, inject
from .liquid import fit_liquid
from .periods import find_periods
from .scales import feature_scales, fit_scales
from .series import Series, checked_fleet, gather, lockstep
from .trainer import LEARNING_RATE, MIN_ROWS

KEYS = 8  # looked at, spread over the fleet
HEAD_ROWS = 6000  # of a key that a trial learns from, and then is scored on
HELD_ROWS = 3000
RBM_ROWS = 16_000  # of all keys together
REPEATS = 3  # sets of faults put into each held-back part
EPOCHS = 8
MARGIN = 0.01  # mean AUC-PR a block must bring, and more than its standard error

Floats = NDArray[np.float32]


class _Trial(NamedTuple):
    """Scaled units of the rows to learn from, and of the rows to judge, per key and repeat."""

    head: Floats
    held: list[Floats]
    kinds: list[NDArray[np.int8]]


@ops.default_backend("numpy")  # a history is read on the host
def choose_features(
    series: Sequence[Series],
    config: PipelineConfig,
    *,
    horizons: tuple[int, ...] = (1, 6, 24),
    progress: Callable[[str, float], None] | None = None,
) -> tuple[PipelineConfig, list[dict[str, Any]]]:
    """Choose levels, clock and liquid residuals by faults put into held-back training rows.

    A block stays when the mean AUC-PR over keys and kinds of fault rises by more than 0.01 and
    more than the standard error of that rise. No labels are used.

    Args:
        series: History per key, times increasing.
        config: Shape of the pipeline; its `levels`, `clock_visible`, `horizons` and `residuals`
            are replaced.
        horizons: Forecast horizons whose residuals are tried, in rows.
        progress: Called with a stage's name and the share done.

    Returns:
        The configuration, and a row per block tried: `block`, `auc_pr` with it, `gain`, `error`
        of the gain, `kept`, and the AUC-PR of each kind of fault. With too little history, the
    configuration as it was and no rows.

    Raises:
        ValueError: If a key is there twice, one has other channels, or a channel has no value.
    """
    report_progress = progress or (lambda _stage, _share: None)
    series = checked_fleet(series, config.channels)
    usable = [s for s in series if len(s.time_us) >= 8 * MIN_ROWS]
    if not usable:
        return config, []
    sampled = [usable[i] for i in np.unique(np.linspace(0, len(usable) - 1, KEYS).astype(int))]
    given_seconds = config.periods_seconds
    if not given_seconds:
        seconds = tuple(sorted(period.seconds for period in find_periods(sampled)))
        config = replace(config, periods_seconds=seconds)
    full = replace(config, levels=True, horizons=tuple(sorted({1, *horizons})), residuals=horizons)
    report_progress("blocks", 0.0)
    trial, columns = _trial(sampled, full)
    if not trial.held:
        return config, []
    results: list[dict[str, Any]] = []
    blocks = ["departures"]
    best = _evaluate(trial, columns, blocks, config)
    results.append({"block": "departures", "gain": 0.0, "error": 0.0, "kept": True, **_row(best)})
    options = [name for name in columns if name != "departures"]
    for i, name in enumerate(options):
        report_progress("blocks", (i + 1) / (len(options) + 1))
        result = _evaluate(trial, columns, [*blocks, name], config)
        rise = np.nanmean(result, axis=1) - np.nanmean(best, axis=1)
        gain, error = float(rise.mean()), float(rise.std() / np.sqrt(len(rise)))
        improves = gain > max(MARGIN, error)
        results.append(
            {"block": name, "gain": gain, "error": error, "kept": improves, **_row(result)}
        )
        if improves:
            blocks.append(name)
            best = result
    residuals = tuple(h for h in horizons if f"residual {h}" in blocks)
    return (
        replace(
            config,
            periods_seconds=given_seconds,  # training looks for those of all keys
            levels="levels" in blocks,
            clock_visible="clock" in blocks,
            horizons=tuple(sorted({1, *config.horizons, *residuals})),
            residuals=residuals,
        ),
        results,
    )


def _trial(series: list[Series], config: PipelineConfig) -> tuple[_Trial, dict[str, Any]]:
    """Run head and held-back parts once with every block; return them and each block's columns."""
    heads, held_back = [], []
    for s in sorted(series, key=lambda s: -len(s.time_us)):
        held_rows = min(HELD_ROWS, len(s.time_us) // 4)
        cut = len(s.time_us) - held_rows
        begin = max(0, cut - HEAD_ROWS)
        heads.append(s.rows(begin, cut))
        held_back.append(s.rows(cut))
    pipeline = Pipeline(config)
    key_state = pipeline.initial_state(len(heads))
    for name, value in fit_scales(heads, config.channels).items():
        key_state[name][...] = value
    key_state["known"][...] = 1
    lengths = np.array([len(s.time_us) for s in heads])
    thinning = max(1, int(np.ceil(lengths.sum() / RBM_ROWS)))
    state = {name: value.copy() for name, value in key_state.items()}
    fit_liquid(pipeline.liquid, gather(pipeline, heads, lengths, state, 64).sequences)
    state = {name: value.copy() for name, value in key_state.items()}
    head_rows = gather(pipeline, heads, lengths, state, thinning, sequences=False)
    scales = feature_scales(head_rows, len(heads))
    scaler = {"feature_mean": scales.mean, "feature_var": scales.var}
    pipeline.scaler.assign({"heavy": scales.heavy})
    scale = pipeline.normaliser.scale(key_state)

    rng = np.random.default_rng(config.seed)
    faulty, kinds, owner = [], [], []
    for k, s in enumerate(held_back):
        for _ in range(REPEATS):
            values, kind = inject(s.values, scale[k], rng)
            if not (kind >= 0).any():
                continue
            faulty.append(s.with_values(values))
            kinds.append(kind)
            owner.append(k)
    if not faulty:
        return _Trial(np.empty((0, 0), dtype=np.float32), [], []), {}
    order = np.argsort([-len(s.time_us) for s in faulty], kind="stable")
    faulty, kinds = [faulty[i] for i in order], [kinds[i] for i in order]
    fault_keys = np.asarray(owner, dtype=np.int64)[order]
    running = {name: value[fault_keys].copy() for name, value in state.items()}
    units: list[list[Any]] = [[] for _ in faulty]
    sizes = np.array([len(s.time_us) for s in faulty])
    for t, n, observation in lockstep(pipeline, faulty, sizes, running):
        del t
        row_scales = {name: value[fault_keys[:n]] for name, value in scaler.items()}
        clock = pipeline.clock.features(observation.state["last_time"])
        rows = np.hstack([pipeline.scaler.scale(row_scales, observation.raw), CLOCK_SCALE * clock])
        for k in range(n):
            units[k].append(rows[k])
    row_scales = {name: value[head_rows.owner] for name, value in scaler.items()}
    head = np.hstack(
        [
            pipeline.scaler.scale(row_scales, head_rows.raw),
            CLOCK_SCALE * pipeline.clock.features(head_rows.time_us),
        ]
    )

    c, width = len(config.channels), pipeline.windows.n_features
    plain = Pipeline(replace(config, levels=False, residuals=())).windows.n_features
    columns = {"departures": np.arange(plain), "levels": np.arange(plain, width)}
    if pipeline.clock.n_features:
        columns["clock"] = np.arange(pipeline.n_features, head.shape[1])
    for i, h in enumerate(config.residuals):
        columns[f"residual {h}"] = np.arange(width + i * c, width + (i + 1) * c)
    return _Trial(head, [np.stack(u) for u in units], kinds), columns


def _evaluate(
    trial: _Trial, columns: dict[str, Any], blocks: list[str], config: PipelineConfig
) -> NDArray[np.float64]:
    """Return the AUC-PR of each kind of fault in each held-back part, `(P, kinds)`, or NaN."""
    indices = np.concatenate([columns[name] for name in blocks])
    generator = ops.generator(config.seed)
    rbm = RBM(len(indices), config.rbm_hidden, visible="gaussian", generator=generator)
    fit_rbm(
        rbm,
        np.ascontiguousarray(trial.head[:, indices]),
        epochs=EPOCHS,
        learning_rate=LEARNING_RATE,
        generator=generator,
    )
    out = np.full((len(trial.held), len(KINDS)), np.nan)
    for p, (rows, kind) in enumerate(zip(trial.held, trial.kinds, strict=True)):
        score = np.asarray(rbm.free_energy(np.ascontiguousarray(rows[:, indices])))
        near_fault = np.convolve(kind >= 0, np.ones(GAP + 1), mode="full")[: len(kind)] > 0
        for j in range(len(KINDS)):
            is_kind = kind == j
            used = is_kind | ~near_fault  # windows still hold a fault that has just passed
            if is_kind.any():
                out[p, j] = auc_pr(is_kind[used].astype(np.int8), score[used])
    return out


def _row(result: NDArray[np.float64]) -> dict[str, float]:
    """Return the mean AUC-PR, over all and of each kind of fault."""
    table = {"auc_pr": float(np.nanmean(result))}
    for j, name in enumerate(KINDS):
        finite = result[np.isfinite(result[:, j]), j]
        if finite.size:
            table[name] = float(finite.mean())
    return table

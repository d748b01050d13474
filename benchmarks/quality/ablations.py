"""The chain without one of its parts, each trained and thresholded with the same effort.

What a setting of training leaves out goes through the product. The rest is put together here from
parts of the library on what the product's own `observe` saw, and thresholded as the baselines are.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.frame import BenchmarkError, log_progress
from benchmarks.quality.others import judged_scores
from benchmarks.quality.product import Run, Subject, run
from benchmarks.quality.seeds import over_seeds
from benchmarks.quality.trace import Trace, scored_series, trace
from ember_core import ops
from ember_core.evaluate import summarise, summary
from ember_core.models import RBM
from ember_core.pipeline import CascadePipeline
from ember_core.pipeline.fit import fit_cascade
from ember_core.pipeline.fit.trainer import BATCH, GIBBS_STEPS, LEARNING_RATE, epochs_for
from ember_core.training import fit_rbm
from stream.training import history

Floats = NDArray[np.float32]

RBM_ROWS: Final = 120_000  # as in training
LAGS: Final = 10  # rows that the linear forecaster looks back
RIDGE: Final = 1.0
CLIP: Final = 10.0

# Through the product: what training is told otherwise.
SWITCHES: Final[dict[str, dict[str, Any]]] = {
    "without stride": {"half_lives": (10.0,)},
    "without levels": {"levels": False},
    "without liquid residual": {"residuals": ()},
    "with liquid residual": {"residuals": (1,)},
    "windows of rows": {"windows": "dilated"},
}


def ablations(subject: Subject) -> dict[str, Any]:
    """Figures of each arrangement, over the seeds of the product's own runs."""
    by_seed = []
    for seed, seed_run in enumerate(subject.runs):
        log_progress(f"  seed {seed}")
        by_seed.append(_switched(subject, seed_run, seed) | _composed(subject, seed_run, seed))
    in_all = [name for name in by_seed[0] if all(name in figures for figures in by_seed)]
    return {name: over_seeds([figures[name] for figures in by_seed]) for name in in_all}


def _switched(subject: Subject, own: Run, seed: int) -> dict[str, Any]:
    """Arrangements that run through the product."""
    out = {}
    config = own.model.pipeline.config
    for name, options in SWITCHES.items():
        unchanged = {k: v for k, v in options.items() if getattr(config, k) == v}
        if unchanged == options:
            continue  # the product's own choice
        if name == "with liquid residual" and config.residuals:
            continue
        log_progress(f"  {name}")
        try:
            variant_run = run(subject.family, subject.dataset, subject.recipe.also(**options), seed)
        except BenchmarkError as error:
            log_progress(f"  {name} is left out: {error}")
            continue
        out[name] = variant_run.figures
    return out


def _composed(subject: Subject, own: Run, seed: int) -> dict[str, Any]:
    """Arrangements that are assembled here."""
    out = {}
    train = trace(own.model, history(subject.dataset))
    test = trace(own.model, scored_series(subject.dataset))
    for name, build in COMPOSED.items():
        log_progress(f"  {name}")
        scores = build(train, test, seed)
        if scores is not None:
            out[name] = judged_scores(subject, *scores)
    out["without tail"] = _plain_threshold(subject, own, train)
    out["without motor hysteresis"] = _flags_alone(subject, own)
    return out


def _by_rbm(train: list[Floats], test: list[Floats], seed: int) -> tuple[list[Any], list[Any]]:
    """Free energy of an RBM trained as the product's."""
    rows = np.concatenate(train)
    stride = max(1, -(-len(rows) // RBM_ROWS))
    generator = ops.generator(seed)
    rbm = RBM(rows.shape[1], 128, visible="gaussian", generator=generator)
    fit_rbm(
        rbm,
        np.ascontiguousarray(rows[::stride]),
        epochs=epochs_for(-(-len(rows) // stride)),
        batch_size=BATCH,
        learning_rate=LEARNING_RATE,
        momentum=0.5,
        weight_decay=1e-4,
        k=GIBBS_STEPS,
        generator=generator,
    )

    def score(rows: Floats) -> Any:
        return np.asarray(rbm.free_energy(rows), dtype=np.float64)

    return [score(x) for x in train], [score(x) for x in test]


def _features_only(
    train: list[Trace], test: list[Trace], _seed: int
) -> tuple[list[Any], list[Any]]:
    """Mean square of the scaled features: no RBM."""
    return [_mean_square(trace.visible) for trace in train], [
        _mean_square(trace.visible) for trace in test
    ]


def _rbm_only(train: list[Trace], test: list[Trace], seed: int) -> tuple[list[Any], list[Any]]:
    """The RBM on the normalised record alone."""
    return _by_rbm([trace.z for trace in train], [trace.z for trace in test], seed)


def _liquid_only(train: list[Trace], test: list[Trace], _seed: int) -> tuple[list[Any], list[Any]]:
    """Mean square of the liquid network's one-row residual, each over its usual size."""
    train_rows, test_rows = _usual(
        [trace.z - trace.expected for trace in train], [trace.z - trace.expected for trace in test]
    )
    return [_mean_square(x) for x in train_rows], [_mean_square(x) for x in test_rows]


def _linear_var(train: list[Trace], test: list[Trace], seed: int) -> tuple[list[Any], list[Any]]:
    """The chain with the residual of a linear VAR(10) of the fleet beside its features."""
    inputs = np.concatenate([_lagged(trace.z)[LAGS:] for trace in train]).astype(np.float64)
    targets = np.concatenate([trace.z[LAGS:] for trace in train]).astype(np.float64)
    gram = inputs.T @ inputs + RIDGE * np.eye(inputs.shape[1])
    weights = np.linalg.solve(gram, inputs.T @ targets)
    train_rows, test_rows = _usual(
        [trace.z - (_lagged(trace.z) @ weights).astype(np.float32) for trace in train],
        [trace.z - (_lagged(trace.z) @ weights).astype(np.float32) for trace in test],
    )
    return _by_rbm(
        [np.hstack([trace.visible, r]) for trace, r in zip(train, train_rows, strict=True)],
        [np.hstack([trace.visible, r]) for trace, r in zip(test, test_rows, strict=True)],
        seed,
    )


def _cascade(
    train: list[Trace], test: list[Trace], seed: int
) -> tuple[list[Any], list[Any]] | None:
    """The older arrangement: the RBM's hidden probabilities into the liquid network.

    Its gradients need PyTorch; without it there is nothing to show.
    """
    if importlib.util.find_spec("torch") is None:
        log_progress("  cascade is left out: no PyTorch")
        return None
    series = [np.asarray(trace.z, dtype=np.float64) for trace in train]
    with ops.default_backend("torch"):
        cascade = CascadePipeline(series[0].shape[1], network_type="cfc", units=32)
        fit_cascade(cascade, series, liquid_epochs=6, generator=ops.generator(seed))
        train_scores = [np.asarray(cascade.score(x), dtype=np.float64) for x in series]
        test_scores = [np.asarray(cascade.score(trace.z), dtype=np.float64) for trace in test]
    return train_scores, test_scores


COMPOSED: Final[
    dict[str, Callable[[list[Trace], list[Trace], int], tuple[list[Any], list[Any]] | None]]
] = {
    "features only": _features_only,
    "RBM only": _rbm_only,
    "liquid only": _liquid_only,
    "linear VAR": _linear_var,
    "cascade": _cascade,
}


def _mean_square(rows: Floats) -> NDArray[np.float64]:
    return np.asarray(np.mean(np.square(rows, dtype=np.float64), axis=1))


def _lagged(z: Floats) -> Floats:
    """The `LAGS` rows before each, the first row repeated before it, `(T, LAGS * C)`."""
    padded = np.concatenate([np.repeat(z[:1], LAGS, axis=0), z])
    return np.hstack([padded[LAGS - lag : LAGS - lag + len(z)] for lag in range(1, LAGS + 1)])


def _usual(train: list[Floats], test: list[Floats]) -> tuple[list[Floats], list[Floats]]:
    """Residuals over their usual size, per key and channel, clipped."""
    train_rows, test_rows = [], []
    for train_values, new in zip(train, test, strict=True):
        mean, std = train_values.mean(axis=0), np.maximum(train_values.std(axis=0), 1e-3)
        train_rows.append(np.clip((train_values - mean) / std, -CLIP, CLIP))
        test_rows.append(np.clip((new - mean) / std, -CLIP, CLIP))
    return train_rows, test_rows


def _plain_threshold(subject: Subject, own: Run, train: list[Trace]) -> dict[str, Any]:
    """The product's score against the 99.7 % quantile of each key's training scores."""
    score = own.model.pipeline.score
    train_scores = [np.asarray(score(trace.visible), dtype=np.float64) for trace in train]
    test_scores = [s.score.astype(np.float64) for s in own.result.scores]
    flags = [
        x >= np.quantile(usual, 0.997) for usual, x in zip(train_scores, test_scores, strict=True)
    ]
    return judged_scores(subject, train_scores, test_scores, flags)


def _flags_alone(subject: Subject, own: Run) -> dict[str, Any]:
    """The product's severity against its on-threshold, record by record."""
    threshold = own.model.pipeline.motor.on
    per_key = {}
    for k, table in enumerate(subject.dataset.tables):
        label, scores = own.result.labels(k), own.result.scores[k]
        assert label is not None
        flags = scores.severity >= threshold
        per_key[table.key.decode()] = summary(
            label, scores.score, flags, buffer=subject.family.buffer
        )
    return over_seeds([summarise(per_key)])

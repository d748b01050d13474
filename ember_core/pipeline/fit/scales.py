"""Usual values of each key of a fleet: scales of its channels and features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ember_core.pipeline.scaler import FLOOR
from ember_core.pipeline.stage import State

from .series import Rows, Series

BLOCKS = 8  # of a key's rows, to tell how uncertain its moments are
USUAL_FACTOR = 2.0  # between the scales of two keys, before a fleet has shown more or less
MOST_PRIOR = 2000.0  # rows that the fleet's scales count at most beside a new key's own
MOST_OF_FEATURES = 250.0  # the same of its features, which keys differ in more than a few show
MIN_FLEET = 8  # keys that make a fleet to lean on
EXTREME = 0.9999  # quantile of a feature's departure that tells how heavy its tails are
GAUSSIAN = 3.3  # deviations that a Gaussian feature's extremes reach
EXTREME_ROWS = 2000.0  # rows from which a key's own extremes count half

FloatArray = NDArray[np.float64]


def fit_scales(series: Sequence[Series], channels: Sequence[str]) -> State:
    """Return mean, variance, range and usual interval of every key, from its own rows.

    Args:
        series: The fleet.
        channels: Names of the channels, for the message.

    Raises:
        ValueError: If a channel holds no finite value at all.
    """
    columns = series[0].values.shape[1]
    has_values = np.zeros(columns, dtype=bool)
    out: State = {n: [] for n in ("norm_mean", "norm_var", "norm_low", "norm_high", "interval")}
    for s in series:
        finite = np.isfinite(s.values)
        has_values |= finite.any(axis=0)
        x = np.where(finite, s.values, 0.0)
        n = np.maximum(finite.sum(axis=0), 1)
        mean = x.sum(axis=0) / n
        out["norm_mean"].append(mean)
        out["norm_var"].append((np.where(finite, x - mean, 0.0) ** 2).sum(axis=0) / n)
        present = finite.any(axis=0)
        out["norm_low"].append(np.where(present, np.where(finite, x, np.inf).min(axis=0), 0.0))
        out["norm_high"].append(np.where(present, np.where(finite, x, -np.inf).max(axis=0), 0.0))
        out["interval"].append(float(np.median(np.diff(s.time_us))) * 1e-6)
    if not has_values.all():
        raise ValueError(
            "Every channel needs at least one finite value in the training data. "
            "Received: none in "
            f"{', '.join(channels[i] for i in np.flatnonzero(~has_values).tolist())}. "
            "Leave these channels out."
        )
    return {name: np.asarray(rows) for name, rows in out.items()}


class Prior(NamedTuple):
    """First scales of a key never seen, each `(C,)`.

    Attributes:
        var: Variance of each channel.
        rows: Number of the key's own rows that they count as.
    """

    var: FloatArray
    rows: FloatArray


def scale_prior(series: Sequence[Series], scale: FloatArray) -> Prior:
    """Return the fleet's usual scales, and their weight for another key.

    Args:
        series: The fleet.
        scale: Usual deviation of each key's channels, floored, `(K, C)`.
    """
    sizes = np.zeros((len(series), BLOCKS, scale.shape[1]))
    for k, s in enumerate(series):
        for i, block in enumerate(np.array_split(s.values, BLOCKS)):
            finite = np.isfinite(block)
            n = np.maximum(finite.sum(axis=0), 1)
            x = np.where(finite, block, 0.0)
            from_mean = np.where(finite, x - x.sum(axis=0) / n, 0.0)
            spread = (from_mean**2).sum(axis=0) / n
            sizes[k, i] = 0.5 * np.log(spread + (FLOOR * scale[k]) ** 2)
    log_scales = np.log(scale)
    rows = float(np.mean([len(s.values) for s in series])) / BLOCKS
    # variances add up: beside keys a hundred times larger a small one would hardly be seen
    similarity = np.exp(-log_scales.var(axis=0))
    return Prior(
        np.exp(2.0 * log_scales.mean(axis=0)),
        similarity * rows_of_prior(log_scales, sizes, rows, MOST_PRIOR),
    )


def rows_of_prior(key_logs: Any, blocks: Any, rows: float, most: float) -> Any:
    """Return the rows of a new key that tell as much of a log size as the fleet's, `(D,)`.

    Empirical Bayes: the spread of a key's blocks about its own value, against the spread of the
    keys. Few where keys differ, many where a size takes long to show.

    Args:
        key_logs: Log size of each key, `(K, D)`.
        blocks: Log size of its blocks, `(K, BLOCKS, D)`.
        rows: Rows of a block.
        most: Largest result.
    """
    uncertain = ((blocks - key_logs[:, None]) ** 2).mean(axis=(0, 1)) * rows
    between_keys = ((key_logs - key_logs.mean(axis=0)) ** 2).sum(axis=0) + np.log(USUAL_FACTOR) ** 2
    return np.clip(uncertain / (between_keys / len(key_logs)), 0.0, most)


class FeatureScales(NamedTuple):
    """Scales of the features.

    Attributes:
        mean: Mean of each feature per key, `(K, D)`, float32.
        var: Variance per key, `(K, D)`, float32, larger where its own tails are heavier than
            the fleet's, smaller where they are lighter.
        heavy: Weight of the fleet's tails, `(D,)`, at least 1; see `FeatureScaler`.
        new_mean: Mean that a key never seen begins with, `(D,)`.
        new_var: Its variance, `(D,)`.
        prior_rows: Number of the key's own rows that they count as, `(D,)`.
    """

    mean: NDArray[np.float32]
    var: NDArray[np.float32]
    heavy: NDArray[np.float32]
    new_mean: NDArray[np.float32]
    new_var: NDArray[np.float32]
    prior_rows: NDArray[np.float32]


def feature_scales(rows: Rows, keys: int, thinning: int = 1, is_new: Any = None) -> FeatureScales:
    """Return mean, variance and heaviness of each feature per key, of one row in `thinning`.

    Mean and variance lean on the fleet's as far as a key's own rows leave them uncertain
    (empirical Bayes): rows follow each other closely, so the uncertainty is taken from the means
    of blocks. On 1,500 rows a key, its own moments alone made healthy rows to come look improbable.

    Args:
        rows: Rows of the keys.
        keys: Number of keys.
        thinning: Distance of the rows in the history.
        is_new: Keys that begin as a key never seen, beside their few rows, `(K,)`; None: none.
    """
    d = rows.raw.shape[1]
    is_new = np.zeros(keys, np.bool_) if is_new is None else is_new
    is_known = ~is_new
    means, logs = np.zeros((keys, BLOCKS, d)), np.zeros((keys, BLOCKS, d))
    mean, var, log_heavy = np.zeros((keys, d)), np.ones((keys, d)), np.zeros((keys, d))
    counts = np.bincount(rows.owner, minlength=keys)[:, None]
    for k in range(keys):
        key_rows = rows.raw[rows.owner == k].astype(np.float64)
        if len(key_rows) < BLOCKS:
            continue
        mean[k], var[k] = key_rows.mean(axis=0), key_rows.var(axis=0)
        extremes = np.quantile(np.abs(key_rows - mean[k]), EXTREME, axis=0)
        usual = np.maximum(np.sqrt(var[k]), FLOOR)
        log_heavy[k] = 0.5 * np.log(np.maximum(extremes / (GAUSSIAN * usual), 1.0))
        for i, block in enumerate(np.array_split(key_rows, BLOCKS)):
            means[k, i] = block.mean(axis=0)
            spread = ((block - mean[k]) ** 2).mean(axis=0)
            logs[k, i] = np.log(spread + 1e-6)
    used = is_known & (counts[:, 0] >= BLOCKS)
    used |= is_known & ~used.any()  # too few rows of every key: there is nothing to leave out
    fleet_log_heavy = np.median(log_heavy[used], axis=0)
    trust = counts / (counts + EXTREME_ROWS)
    departs = np.exp(2.0 * trust * (log_heavy - fleet_log_heavy))
    own_log = np.log(var + 1e-6)
    block_rows = float(counts[used].mean()) / BLOCKS * thinning
    new_mean, new_log = mean[used].mean(axis=0), own_log[used].mean(axis=0)
    prior_rows = rows_of_prior(own_log[used], logs[used], block_rows, MOST_OF_FEATURES)
    own_share = counts * thinning / np.maximum(counts * thinning + prior_rows, 1.0)
    leaned_mean = new_mean + own_share * (mean - new_mean)
    log_var = new_log + own_share * (own_log - new_log)
    leaned_mean[is_known] = _shrink_to_fleet(mean[is_known], means[is_known])
    log_var[is_known] = _shrink_to_fleet(own_log[is_known], logs[is_known])
    departs[is_new] = 1.0
    out = (
        leaned_mean,
        np.maximum(np.exp(log_var), FLOOR**2) * departs,
        np.exp(fleet_log_heavy),
        new_mean,
        np.exp(new_log),
        prior_rows,
    )
    return FeatureScales(*(x.astype(np.float32) for x in out))


def _shrink_to_fleet(values: Any, blocks: Any) -> Any:
    """Draw a key's values, `(K, D)`, to the fleet's mean as far as they are uncertain.

    By the share of their variance over keys that the variance over each key's blocks,
    `(K, BLOCKS, D)`, explains.
    """
    if len(values) < MIN_FLEET:
        return values
    uncertain = blocks.var(axis=1, ddof=1).mean(axis=0) / BLOCKS
    between_keys = values.var(axis=0, ddof=1)
    keep = np.clip(1.0 - uncertain / np.maximum(between_keys, 1e-12), 0.0, 1.0)
    fleet = values.mean(axis=0)
    return fleet + keep * (values - fleet)

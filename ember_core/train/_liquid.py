"""Fit the liquid network's motor read-out by ridge regression: seconds, no gradients."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ember_core import ops
from ember_core.models import LiquidNetwork
from ember_core.models.liquid import GAPS

RIDGE = 1e-3  # of the mean diagonal: neurons are correlated by construction


def fit_liquid(
    network: LiquidNetwork, sequences: Iterable[tuple[Any, Any, Any]], *, ridge: float = RIDGE
) -> dict[str, float]:
    """Least squares from the frozen cell's state to the coming departures of each channel.

    Args:
        network: The network; its `readout` and `growth` are replaced.
        sequences: Per key `(basis, z, anchor)`: `(T, H + inputs)`, `(T, C)`, `(T, C)` of
            consecutive rows, as `LiquidNetwork.forward` gives them.
        ridge: Penalty, as a share of the mean diagonal of the normal equations.

    Returns:
        Mean squared error of each horizon (`"mse_1"` ...) and of forecasting no change of the
        anchor's departure (`"persistence_1"` ...), in usual deviations squared.

    Raises:
        ValueError: If no sequence is longer than the longest horizon.
    """
    sequences = list(sequences)
    c = network.n_channels
    width = network.readout.data.shape[0]
    readout = np.zeros((width, c * len(network.horizons)), dtype=np.float64)
    growth = np.ones((len(network.horizons), GAPS, c), dtype=np.float32)
    report: dict[str, float] = {}
    for i, horizon in enumerate(network.horizons):
        gram = np.zeros((width, width))
        cross = np.zeros((width, c))
        parts = [s for s in sequences if len(s[0]) > horizon]
        if not parts:
            raise ValueError(
                "The history is shorter than the forecast horizon. "
                f"Expected more than {horizon} rows. Received: "
                f"{max((len(s[0]) for s in sequences), default=0)} rows."
            )
        for basis, z, anchor in parts:
            x = _with_ones(basis[:-horizon])
            y = (z[horizon:] - anchor[:-horizon]).astype(np.float64)
            gram += x.T @ x
            cross += x.T @ y
        penalty = ridge * np.trace(gram) / width
        weights = np.linalg.solve(gram + penalty * np.eye(width), cross)
        readout[:, i * c : (i + 1) * c] = weights
        still = 0.0
        spread, rows = np.zeros((GAPS, c)), np.zeros((GAPS, 1))
        for basis, z, anchor in parts:
            ahead = anchor + _with_ones(basis) @ weights
            for k in range(GAPS):
                wait = horizon - 1 + 2**k
                if len(z) > wait:
                    spread[k] += ((z[wait:] - ahead[:-wait]) ** 2).sum(axis=0)
                    rows[k] += len(z) - wait
            still += float(((z[horizon:] - z[:-horizon]).astype(np.float64) ** 2).sum())
        count = float(rows[0, 0]) * c
        growth[i] = _growth(spread, rows)
        report[f"mse_{horizon}"] = float(spread[0].sum()) / count
        report[f"persistence_{horizon}"] = still / count
    like = network.readout.data
    network.readout.data = ops.from_numpy(readout.astype(np.float32), like=like)
    network.assign({"growth": ops.from_numpy(growth, like=like)})
    network.frozen()
    return report


def _growth(spread: Any, rows: Any) -> Any:
    """Size of the residual after each wait over that after the shortest, `(GAPS, C)`.

    Never shrinking, from the summed squares `(GAPS, C)` over so many rows `(GAPS, 1)`; as after the
    wait before where no sequence is long enough.
    """
    size = np.where(rows > 0, np.sqrt(spread / np.maximum(rows, 1.0)), 0.0)
    return np.maximum.accumulate(size / np.maximum(size[:1], 1e-3), axis=0).clip(1.0)


def _with_ones(basis: Any) -> Any:
    """The read-out's input with its constant, float64."""
    return np.hstack([basis.astype(np.float64), np.ones((len(basis), 1))])

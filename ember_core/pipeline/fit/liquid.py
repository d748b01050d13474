"""Fit the liquid network: its read-out by ridge regression, on demand the cell by gradients."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ember_core import ops
from ember_core.pipeline.liquid import GAPS, LiquidNetwork
from ember_core.training import Callback, Optimizer

from .refine import refine_cell, split

RIDGE = 1e-3  # of the mean diagonal: neurons are correlated by construction


def fit_liquid(
    network: LiquidNetwork,
    sequences: Iterable[tuple[Any, ...]],
    *,
    ridge: float = RIDGE,
    refine: int = 0,
    optimizer: Optimizer | None = None,
    callbacks: Sequence[Callback] = (),
) -> dict[str, float]:
    """Least squares from the cell's state to the coming departures of each channel.

    That takes seconds and leaves the cell as it was made. With `refine` the error of the forecasts
    is propagated back through time into the cell first, see `refine_cell`, and the read-out is
    fitted on the states of the refined cell.

    Args:
        network: The network; its `readout` and `growth` are replaced, and with `refine` its cell.
        sequences: Per key `(basis, z, anchor)`: `(T, H + inputs)`, `(T, C)`, `(T, C)` of
            consecutive rows, as `LiquidNetwork.forward` gives them; NumPy's. A fourth, `(T,)`, is
            the elapsed time of each row, in usual intervals; 1 without it.
        ridge: Penalty, as a share of the mean diagonal of the normal equations.
        refine: Most epochs of gradient descent on the cell; 0 leaves it alone.
        optimizer: How its parameters move; `Adam(3e-3)` without one.
        callbacks: Told of the refinement, beside the early stop it always has.

    Returns:
        Mean squared error of each horizon (`"mse_1"` ...) and of forecasting no change of the
        anchor's departure (`"persistence_1"` ...), in usual deviations squared; of a refinement
        also the mean error over held-back rows without and with it (`"held_ridge"`,
        `"held_refined"`; equal where it did not help and was taken back).

    Raises:
        ValueError: If no sequence is longer than the longest horizon, or long enough to refine on.
        ImportError: If a network on NumPy's arrays is to be refined without `autograd`.

    Examples:
        >>> import numpy as np
        >>> from ember_core.pipeline import LiquidNetwork, Observation, PackedRows
        >>> from ember_core.pipeline.stage import zero_state
        >>> from ember_core.pipeline.fit import fit_liquid
        >>> net = LiquidNetwork(3, hidden=8, horizons=(1, 2))
        >>> state, rows = zero_state(net.state_fields(), 1), []
        >>> z = np.sin(np.arange(211)[:, None] / 5 + np.arange(3)).astype("float32")
        >>> for t in range(211):
        ...     seen = Observation(PackedRows([1]), rows=np.array([t]), first=np.array([t == 0]))
        ...     seen.z, seen.clock, seen.elapsed = z[t : t + 1], z[:1, :0], np.ones(1, "float32")
        ...     state, _ = net.forward(state, z[t : t + 1], seen)
        ...     rows.append((seen.basis[0], z[t], state["anchor"][0]))
        >>> report = fit_liquid(net, [tuple(map(np.stack, zip(*rows)))])
        >>> report["mse_1"] < 0.1 * report["persistence_1"]
        True
    """
    whole = [s if len(s) > 3 else (*s, np.ones(len(s[0]), dtype=np.float32)) for s in sequences]
    found: dict[str, float] = {}
    if refine < 0:
        raise ValueError(
            "The cell cannot be refined so. Expected epochs, or 0 for none. "
            f"Received: refine={refine}."
        )
    if refine:
        _read_out(network, split(whole, network)[0], ridge)
        whole, found = refine_cell(
            network, whole, epochs=refine, optimizer=optimizer, callbacks=callbacks
        )
    return _read_out(network, whole, ridge) | found


def _read_out(
    network: LiquidNetwork, sequences: list[tuple[Any, ...]], ridge: float
) -> dict[str, float]:
    """Ridge regression of the read-out, and how its errors grow with time."""
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
        for basis, z, anchor, _ in parts:
            x = _with_ones(basis[:-horizon])
            y = (z[horizon:] - anchor[:-horizon]).astype(np.float64)
            gram += x.T @ x
            cross += x.T @ y
        penalty = ridge * np.trace(gram) / width
        weights = np.linalg.solve(gram + penalty * np.eye(width), cross)
        readout[:, i * c : (i + 1) * c] = weights
        still = 0.0
        spread, rows = np.zeros((GAPS, c)), np.zeros((GAPS, 1))
        for basis, z, anchor, _ in parts:
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
    network.freeze()
    return report


def _growth(spread: Any, rows: Any) -> Any:
    """Root of the residual's size after each wait over that after the shortest, `(GAPS, C)`.

    The root, for the whole growth hid faults too (ASD with half of the rows lost, two seeds: .457
    against .471 VUS-PR). Never shrinking, from the summed squares `(GAPS, C)` over so many rows
    `(GAPS, 1)`; as after the wait before where no sequence is long enough.
    """
    size = np.where(rows > 0, np.sqrt(spread / np.maximum(rows, 1.0)), 0.0)
    return np.sqrt(np.maximum.accumulate(size / np.maximum(size[:1], 1e-3), axis=0).clip(1.0))


def _with_ones(basis: Any) -> Any:
    """The read-out's input with its constant, float64."""
    return np.hstack([basis.astype(np.float64), np.ones((len(basis), 1))])

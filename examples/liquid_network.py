"""A liquid network alone: CfC neurons in a neural circuit forecast a sensor read irregularly.

Gradients on NumPy need `autograd`; with EMBER_BACKEND=torch or mlx that backend's own are used.
"""

from __future__ import annotations

import numpy as np

from ember_core import nn, ops
from ember_core.models import LiquidForecaster
from ember_core.training import Adam, fit


def series(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two channels `(count, 40, 2)`, and the time since the row before `(count, 40)`."""
    rng = np.random.default_rng(seed)
    elapsed = rng.uniform(0.2, 1.0, (count, 40))
    phase = np.cumsum(elapsed, axis=1) + rng.uniform(0, 6, (count, 1))
    rows = np.stack([np.sin(phase), np.cos(phase)], axis=2)
    return rows.astype(np.float32), elapsed.astype(np.float32)


def surprise(model: LiquidForecaster, batch: tuple[ops.Array, ops.Array]) -> ops.Array:
    """Mean squared error of the forecasts, the first ten rows left out."""
    rows, elapsed = batch
    reading, _ = model(rows, elapsed=elapsed)
    return ops.mean(reading.error[:, 10:])


cell = nn.WiredCfCCell(2, nn.AutoNCP(19, 4, seed=1), generator=ops.generator(2))
model = LiquidForecaster(cell, n_targets=2)
history = fit(
    model,
    series(64, 0),
    loss=surprise,
    optimizer=Adam(0.01),
    epochs=20,
    batch_size=16,
    max_gradient_norm=1.0,
    validation=series(16, 1),
    generator=ops.generator(3),
)
print(f"loss {history['loss'][0]:.4f} -> {history['loss'][-1]:.4f}")
print(f"on other sequences: {history['validation_loss'][-1]:.4f}")

# On a stream: one row at a time, the state handed along.
rows, elapsed = (ops.from_numpy(x) for x in series(1, 7))
state = None
for t in range(3):
    reading, state = model(rows[:, t : t + 1], state, elapsed[:, t : t + 1])
print("state of a key:", ops.shape(state))

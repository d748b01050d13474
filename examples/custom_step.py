"""A training step of one's own: CD-1 for an RBM whose rows have weights.

A step gives gradients by name and figures; the loop does batches, optimiser, callbacks, processes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ember_core import RBM, ops
from ember_core.training import Adam, Run, contrastive_divergence, fit

rng = np.random.default_rng(0)
rows = rng.standard_normal((2_000, 5)).astype(np.float32)
rows[:, 1] = rows[:, 0]
weights = np.where(np.arange(2_000) < 1_000, 1.0, 0.0).astype(np.float32)
rows[1_000:, 1] *= -1.0  # rows that count nothing teach nothing


def weighted(rbm: RBM, batch: Any, run: Run) -> tuple[dict[str, Any], dict[str, float]]:
    """Rows are drawn in proportion to their weight, then learnt from as ever."""
    v, weight = batch
    chance = weight / ops.max(weight)
    sampled = v[ops.random.uniform(run.generator, ops.shape(chance)) < chance]
    divergence = contrastive_divergence(rbm, sampled, generator=run.generator)
    return divergence.gradients, {"error": divergence.error or 0.0, "kept": len(sampled) / len(v)}


rbm = RBM(5, 12, generator=ops.generator(1))
history = fit(
    rbm,
    (rows, weights),
    step=weighted,
    optimizer=Adam(0.01),
    epochs=40,
    generator=ops.generator(2),
)
print(
    f"error {history['error'][0]:.2f} -> {history['error'][-1]:.2f}, kept {history['kept'][0]:.0%}"
)
counted, ignored = (float(rbm.free_energy(part).mean()) for part in np.split(rows, 2))
print(f"free energy of rows that counted {counted:.2f}, of the others {ignored:.2f}")

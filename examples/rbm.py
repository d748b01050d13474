"""An RBM alone: learn rows, find the improbable ones, say of what kind they are, and dream."""

from __future__ import annotations

import numpy as np

from ember_core import RBM, fit_rbm, ops
from ember_core.models import categorize_anomalies
from ember_core.training import EarlyStop, Progress

rng = np.random.default_rng(0)
load = rng.standard_normal((3_000, 2))  # of two machines, three sensors each
rows = np.repeat(load, 3, axis=1) * [1.0, 0.9, -0.8, 1.0, -0.7, 0.8]
rows = (rows + 0.3 * rng.standard_normal(rows.shape)).astype(np.float32)
train, validation, test = np.split(rows, [2_000, 2_500])
test[:20, 1] += 6.0  # two kinds of faults
test[20:40, 4] -= 6.0

rbm = RBM(6, 16, generator=ops.generator(1))
history = fit_rbm(
    rbm,
    train,
    epochs=60,
    learning_rate=0.02,
    validation=validation,
    generator=ops.generator(2),
    callbacks=[EarlyStop("validation_error", patience=10), Progress()],
)
print(rbm.summary())
print(
    f"error {history['reconstruction_error'][0]:.2f} -> {history['reconstruction_error'][-1]:.2f}"
)

# High free energy is improbable: the threshold is on the right tail.
threshold = np.quantile(rbm.free_energy(validation), 0.99)
unusual = rbm.free_energy(test) > threshold
print(f"faults found: {unusual[:40].sum()} of 40, false alarms: {unusual[40:].sum()} of 460")

kinds = categorize_anomalies(rbm, test, unusual, most=3, least_rows=8)
print(f"kinds: {len(kinds.centres)}, most departing units: {kinds.units[:, 0].tolist()}")
print("dreamt:", np.array2string(rbm.sample(2, ops.generator(3), steps=200), precision=1))

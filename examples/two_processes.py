"""Two processes train one RBM: the same weights as one process on the whole batches.

On several machines `torchrun` starts the processes; what `train` does stays the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ember_core import RBM, fit_rbm, ops
from ember_core.training import OneProcess, Strategy, TorchDistributed, launch


def train(strategy: Strategy | None = None) -> Any:
    """Train in one process of several, with the same data and seeds, and its rows of each batch."""
    rows = np.random.default_rng(0).standard_normal((1_000, 7)).astype(np.float32)
    rbm = RBM(7, 11, generator=ops.generator(1))
    fit_rbm(
        rbm,
        rows,
        epochs=5,
        batch_size=100,
        generator=ops.generator(2),
        strategy=TorchDistributed() if strategy is None else strategy,
    )
    return rbm.weights.data


if __name__ == "__main__":
    alone = train(OneProcess())
    for rank, weights in enumerate(launch(train, 2)):
        print(f"process {rank}: differs from one process by {np.abs(weights - alone).max():.1e}")

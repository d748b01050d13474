"""Data-parallel training over `mlx.distributed`: its ring of sockets, MPI, or what a Mac has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ember_core import ops
from ember_core.distribution import install_command
from ember_core.ops import Array

from ._strategy import Arrays, flatten, unflatten


class MLXDistributed:
    """Gradients averaged over an `mlx.distributed` group.

    Arrays of every backend may be trained: others are converted to MLX arrays on the way. The
    group is made from the environment that `mlx.launch` (or `ember_core.training.launch`) sets.

    Args:
        backend: `"ring"`, `"mpi"`, or `"any"` that is there.

    Raises:
        RuntimeError: If mlx is missing, or no group can be made.
    """

    def __init__(self, backend: str = "any") -> None:
        try:
            import mlx.core as mx
        except ImportError as error:
            raise RuntimeError(
                f"This needs mlx. Install it with: {install_command('mlx')}."
            ) from error
        self._mx: Any = mx
        try:
            self._group: Any = mx.distributed.init(strict=True, backend=backend)
        except (RuntimeError, ValueError) as error:
            raise RuntimeError(
                f"There is no group of MLX processes. Expected the environment of mlx.launch. "
                f"Received: backend={backend!r} ({error}). Start the script with "
                f"'mlx.launch -n 2 SCRIPT', or use ember_core.training.launch."
            ) from error
        self.rank: int = self._group.rank()
        self.size: int = self._group.size()

    def average(self, arrays: Mapping[str, Array], weight: float) -> Arrays:
        """Weighted mean of each array over the processes; one message for all of them."""
        return self._sum(arrays, weight)

    def broadcast(self, arrays: Mapping[str, Array]) -> Arrays:
        """The arrays of process 0: the sum in which only its own count."""
        return self._sum(arrays, float(self.rank == 0))

    def _sum(self, arrays: Mapping[str, Array], weight: float) -> Arrays:
        mx = self._mx
        vector = flatten(arrays)
        message = vector if isinstance(vector, mx.array) else mx.array(ops.to_numpy(vector))
        total = mx.distributed.all_sum(message * weight, group=self._group)
        mx.eval(total)  # every process has to send at the same point of its program
        if not isinstance(vector, mx.array):
            total = ops.from_numpy(np.array(total), like=vector)
        return unflatten(total, arrays)

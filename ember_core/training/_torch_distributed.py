"""Data-parallel training over `torch.distributed`: gloo between CPUs, nccl between GPUs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ember_core import ops
from ember_core.distribution import install_command
from ember_core.ops import Array

from ._strategy import Arrays, flatten, unflatten

_VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


class TorchDistributed:
    """Gradients averaged over a `torch.distributed` process group.

    Arrays of every backend may be trained: others are converted to tensors on the CPU. The
    group is the one that is there; else one is made from the environment variables that
    `torchrun` (or `ember_core.training.launch`) sets.

    Args:
        backend: `"gloo"` or `"nccl"`; gloo without one, unless the environment's local rank has a
            CUDA device and `cuda` is asked for.
        cuda: Whether the messages go between GPUs: nccl, each process on the device of its
            `LOCAL_RANK`.

    Raises:
        RuntimeError: If torch is missing, or there is neither a group nor an environment for one.
    """

    def __init__(self, backend: str | None = None, *, cuda: bool = False) -> None:
        try:
            import torch
            import torch.distributed as group
        except ImportError as error:
            raise RuntimeError(
                f"This needs torch. Install it with: {install_command('torch')}."
            ) from error
        self._torch: Any = torch
        self._group: Any = group
        self._device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if cuda else "cpu"
        if not group.is_initialized():
            missing = [name for name in _VARIABLES if name not in os.environ]
            if missing:
                raise RuntimeError(
                    f"There is no process group. Expected the environment of torchrun. Missing: "
                    f"{', '.join(missing)}. Start the script with "
                    f"'torchrun --nproc-per-node 2 SCRIPT', or use ember_core.training.launch."
                )
            if cuda:
                torch.cuda.set_device(self._device)
            group.init_process_group(backend or ("nccl" if cuda else "gloo"))
        self.rank: int = group.get_rank()
        self.size: int = group.get_world_size()

    def average(self, arrays: Mapping[str, Array], weight: float) -> Arrays:
        """Weighted mean of each array over the processes; one message for all of them."""
        message = self._tensor(flatten(arrays)) * weight
        self._group.all_reduce(message)
        return unflatten(self._back(message, arrays), arrays)

    def broadcast(self, arrays: Mapping[str, Array]) -> Arrays:
        """The arrays of process 0."""
        message = self._tensor(flatten(arrays)).clone()
        self._group.broadcast(message, 0)
        return unflatten(self._back(message, arrays), arrays)

    def close(self) -> None:
        """Leave the process group."""
        self._group.destroy_process_group()

    def _tensor(self, vector: Array) -> Any:
        if not isinstance(vector, self._torch.Tensor):
            vector = self._torch.from_numpy(ops.to_numpy(vector))
        return vector.detach().to(self._device)

    def _back(self, message: Any, like: Mapping[str, Array]) -> Array:
        """Return a message as an array of the sender's backend and device."""
        first = next(iter(like.values()))
        if isinstance(first, self._torch.Tensor):
            return message.to(first.device)
        return ops.from_numpy(message.cpu().numpy(), like=first)

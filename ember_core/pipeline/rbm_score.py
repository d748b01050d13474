"""Free energy of rows as their score: each row's bits are its own, whatever the batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ember_core import ops
from ember_core.models import RBM
from ember_core.ops import Array, ExactWeight

from .observation import Observation
from .stage import Stage, State

_WEIGHT_LIMIT = 8.0
# Rows at a time: intermediate arrays then stay in a processor's cache. An accelerator wants many
# rows; these take 64 MiB where there are 256 hidden units.
_TILE_ROWS = 256
_DEVICE_ROWS = 65_536
HALVINGS = 6  # 2^6 factors a product, each at most 2


@dataclass(frozen=True, slots=True)
class FrozenRBM:
    """Weights rounded for `ops.exact_matmul`, with `sigma` folded in.

    Every method takes float32 rows `(B, V)` and gives float32; the results of a row do not depend
    on its neighbours, their number, their order or the memory's layout.

    Attributes:
        gaussian: Whether visible units are Gaussian.
        weights: `(V, N)`, of Gaussian units `W / sigma`.
        visible_bias: `(V,)`.
        hidden_bias: `(N,)`.
        precision: `(V,)`, `1 / sigma`.
    """

    gaussian: bool
    weights: ExactWeight
    visible_bias: Array
    hidden_bias: Array
    precision: Array

    def drive(self, v: Array) -> Array:
        """Return the input of the hidden units before the sigmoid, `(B, N)`."""
        return ops.exact_matmul(v, self.weights) + self.hidden_bias

    def free_energy(self, v: Array) -> Array:
        """Return the improbability of each row, `(B,)`, as `RBM.free_energy` does."""
        v = _rows(v)
        size = _TILE_ROWS if ops.device(v) == "cpu" else _DEVICE_ROWS
        tiles = [
            self._free_energy(v[start : start + size]) for start in range(0, max(len(v), 1), size)
        ]
        return tiles[0] if len(tiles) == 1 else ops.concatenate(tiles)

    def _free_energy(self, v: Array) -> Array:
        hidden = sum_of_softplus(self.drive(v))
        if self.gaussian:
            visible = 0.5 * ops.wide_sum(ops.square((v - self.visible_bias) * self.precision))
        else:
            visible = -ops.wide_sum(v * self.visible_bias)
        return ops.astype(visible - hidden, "float32")  # of terms ten times as large


def freeze_rbm(rbm: RBM) -> FrozenRBM:
    """Return an RBM's form for inference: rows alone or by the thousand give the same bits.

    Args:
        rbm: The RBM; later changes of its weights do not reach the result.

    Raises:
        ValueError: If a weight is not finite or too large for `ops.exact_matmul`.

    Examples:
        >>> from ember_core import ops
        >>> from ember_core.models import RBM
        >>> from ember_core.pipeline import freeze_rbm
        >>> freeze_rbm(RBM(5, 3)).free_energy(ops.zeros((2, 5))).shape
        (2,)
    """
    gaussian = rbm.visible == "gaussian"
    sigma = ops.reshape(ops.astype(rbm.sigma, "float64"), (-1, 1))
    w = ops.astype(rbm.weights.data, "float64")
    forward, backward = (w / sigma, w * sigma) if gaussian else (w, w)
    # Explanations need the weights back to the visible units on the same grid.
    largest = max(float(ops.max(ops.abs(forward))), float(ops.max(ops.abs(backward))))
    if not largest < _WEIGHT_LIMIT:
        raise ValueError(
            "The RBM's weights are outside the grid of exact inference. Expected finite "
            f"weights (over and times sigma) of magnitude below {_WEIGHT_LIMIT:g}. Received: "
            f"largest={largest:.4g}. Train with a lower learning rate or more weight decay."
        )
    return FrozenRBM(
        gaussian=gaussian,
        weights=ops.exact_weight(forward),
        visible_bias=ops.copy(ops.astype(rbm.visible_bias.data, "float32")),
        hidden_bias=ops.copy(ops.astype(rbm.hidden_bias.data, "float32")),
        precision=ops.astype(1.0 / rbm.sigma, "float32"),
    )


class RBMScore(Stage):
    """Stage of the score: the RBM's free energy of visible units, high where improbable."""

    def __init__(self) -> None:
        super().__init__()
        self._frozen: FrozenRBM | None = None

    @property
    def prepared(self) -> bool:
        """True while the weights of an RBM are ready."""
        return self._frozen is not None

    @property
    def frozen(self) -> FrozenRBM:
        """The weights that are ready; there must be some."""
        assert self._frozen is not None
        return self._frozen

    def prepare(self, rbm: RBM | None) -> None:
        """Freeze an RBM's weights, anew after they have changed; drop them without an RBM."""
        self._frozen = None if rbm is None else freeze_rbm(rbm)

    def forward(self, state: State, x: Any, observation: Observation) -> tuple[State, Any]:
        """Return the score of each row, `(R,)`, float32, for visible units `(R, V)`.

        Arguments as `Stage.forward` has them.
        """
        return {}, ops.astype(self.frozen.free_energy(x), "float32")


def sum_of_softplus(x: Array) -> Array:
    """Return the sum of softplus along the last axis, `(..., N)` to `(...)`, in float64.

    Computed as `max(x, 0)` and the log of products of `1 + exp(-|x|)`: 64 numbers from 1 to 2 have
    a product that float32 holds, and need one logarithm.
    """
    factors = ops.exact_exp(-ops.abs(x)) + 1.0
    for _ in range(HALVINGS):
        half = factors.shape[-1] // 2
        if not half:
            break
        pairs = factors[..., :half] * factors[..., half : 2 * half]
        remainder = factors[..., 2 * half :]
        factors = ops.concatenate([pairs, remainder], axis=-1) if remainder.shape[-1] else pairs
    return ops.wide_sum(ops.maximum(x, 0.0)) + ops.wide_sum(ops.exact_log(factors))


def _rows(v: Array) -> Array:
    """Return `v` as contiguous float32 rows: only then does a row's sum have one order."""
    return ops.ascontiguous(ops.astype(v, "float32"))

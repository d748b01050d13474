"""Which channels made a record improbable: closed form from the free energy."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ember_core import ops
from ember_core.nn import Module


class _Part(NamedTuple):
    """Channels with as many visible units each, stacked: `(S, ...)`."""

    channels: list[int]
    columns: Any  # (S * V_c,)
    into: Any  # ExactWeight (S, V_c, N)
    back: Any  # ExactWeight (S, N, V_c)
    bias: Any  # (S, 1, V_c)
    precision: Any  # (S, 1, V_c)


class Explainer(Module):
    """Free energy gained when one channel is replaced by what the rest of the record expects.

    For channel `c` with visible units `V_c`: take them out of the hidden units' input, let the
    hidden units reconstruct them, and compare `F(v) - F(v with V_c reconstructed)`. Gains below
    zero count as zero; the shares are the gains over their sum.

    Args:
        channel_of_visible: Channel index of each visible unit, length `V`; -1 for none (clock).
        n_channels: Number of channels `C`.
    """

    def __init__(self, channel_of_visible: list[int], n_channels: int) -> None:
        super().__init__()
        self.n_channels = n_channels
        self.channel_of_visible = list(channel_of_visible)
        self._parts: list[_Part] = []
        self._rbm: Any = None

    def prepare(self, rbm: Any) -> None:
        """Take the weights of a Gaussian RBM; again after they change."""
        frozen = rbm.frozen()
        owner = np.asarray(self.channel_of_visible)
        weights = ops.to_numpy(rbm.weights.data).astype(np.float64)
        sigma = ops.to_numpy(rbm.sigma).astype(np.float64)[:, None]
        self._rbm = frozen
        self._parts = []
        of_channel = [np.flatnonzero(owner == channel) for channel in range(self.n_channels)]
        for size in sorted({at.size for at in of_channel} - {0}):
            channels = [c for c, at in enumerate(of_channel) if at.size == size]
            at = np.stack([of_channel[c] for c in channels])
            columns, into, back = (
                ops.from_numpy(np.ascontiguousarray(x), like=rbm.sigma)
                for x in (
                    at.ravel(),
                    (weights / sigma)[at],
                    (weights * sigma)[at].transpose(0, 2, 1),
                )
            )
            self._parts.append(
                _Part(
                    channels,
                    columns,
                    ops.exact_weight(into),
                    ops.exact_weight(back),
                    ops.reshape(ops.take(frozen.visible_bias, columns), (-1, 1, size)),
                    ops.reshape(ops.take(frozen.precision, columns), (-1, 1, size)),
                )
            )

    def forward(self, visible: Any) -> Any:
        """Shares of the channels in records.

        Args:
            visible: Shape `(B, V)`, float32.

        Returns:
            Shares of shape `(B, C)`, float64, each >= 0, every row summing to 1; a row's bits do
            not depend on the batch.
        """
        drive = self._rbm.drive(visible)
        energy = ops.sum(ops.softplus(drive), axis=1)
        gains = [0.0 * energy] * self.n_channels  # of a channel without units
        for part in self._parts:
            own = ops.take(visible, part.columns, 1)
            own = ops.reshape(own, (len(own), len(part.channels), -1))
            own = ops.ascontiguous(ops.transpose(own, (1, 0, 2)))
            without = drive - ops.exact_matmul(own, part.into)
            expected = ops.exact_matmul(ops.sigmoid(without), part.back) + part.bias
            then = without + ops.exact_matmul(expected, part.into)
            departure = ops.square((own - part.bias) * part.precision)
            usual = ops.square((expected - part.bias) * part.precision)
            quadratic = 0.5 * ops.sum(departure - usual, axis=-1)
            gained = quadratic - energy + ops.sum(ops.softplus(then), axis=-1)
            for i, channel in enumerate(part.channels):
                gains[channel] = gained[i]
        gain = ops.maximum(ops.astype(ops.stack(gains, axis=1), "float64"), 0.0)
        total = ops.sum(gain, axis=1)[:, None]
        even = ops.where(total > 0, 0.0 * gain, 0.0 * gain + 1.0 / self.n_channels)
        return ops.where(total > 0, gain / ops.where(total > 0, total, 1.0), even)

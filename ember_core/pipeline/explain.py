"""Share of each channel in a row's improbability: closed form from the free energy."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ember_core import ops

from .observation import Observation, tail_probability
from .rbm_score import freeze_rbm, sum_of_softplus
from .stage import Stage, State

_TILE_ROWS = 64
"""Rows at a time: each has a drive of all hidden units for each channel, and these then stay in a
processor's cache."""


class ChannelUnits(NamedTuple):
    """Channels with as many visible units each, stacked: `(S, ...)`."""

    channels: list[int]
    columns: Any  # (S * V_c,)
    into: Any  # ExactWeight (S, V_c, N)
    back: Any  # ExactWeight (S, N, V_c)
    bias: Any  # (S, 1, V_c)
    precision: Any  # (S, 1, V_c)


class Explainer(Stage):
    """Free energy gained when one channel is replaced by what the rest of the record expects.

    For channel `c` with visible units `V_c`: take them out of the hidden units' input, let the
    hidden units reconstruct them, and compare `F(v) - F(v with V_c reconstructed)`. Gains below
    zero count as zero; the shares are the gains over their sum.

    Args:
        channel_of_visible: Channel index of each visible unit, length `V`; -1 for none (clock).
        n_channels: Number of channels `C`.

    Attributes:
        frozen: The RBM's frozen weights, once they are prepared.
        parts: Units and weights of the channels, replaced as a whole.
    """

    def __init__(self, channel_of_visible: list[int], n_channels: int) -> None:
        super().__init__()
        self.n_channels = n_channels
        self.channel_of_visible = list(channel_of_visible)
        self.parts: tuple[ChannelUnits, ...] = ()
        self.frozen: Any = None

    def prepare(self, rbm: Any) -> None:
        """Freeze the weights of a Gaussian RBM; again after they change."""
        frozen = freeze_rbm(rbm)
        owner = np.asarray(self.channel_of_visible)
        weights = ops.to_numpy(rbm.weights.data).astype(np.float64)
        sigma = ops.to_numpy(rbm.sigma).astype(np.float64)[:, None]
        self.frozen, parts = frozen, []
        of_channel = [np.flatnonzero(owner == channel) for channel in range(self.n_channels)]
        for size in sorted({units.size for units in of_channel} - {0}):
            channels = [c for c, units in enumerate(of_channel) if units.size == size]
            units = np.stack([of_channel[c] for c in channels])
            columns, to_hidden, to_visible = (
                ops.from_numpy(np.ascontiguousarray(x), like=rbm.sigma)
                for x in (
                    units.ravel(),
                    (weights / sigma)[units],
                    (weights * sigma)[units].transpose(0, 2, 1),
                )
            )
            parts.append(
                ChannelUnits(
                    channels,
                    columns,
                    ops.exact_weight(to_hidden),
                    ops.exact_weight(to_visible),
                    ops.reshape(ops.take(frozen.visible_bias, columns), (-1, 1, size)),
                    ops.reshape(ops.take(frozen.precision, columns), (-1, 1, size)),
                )
            )
        self.parts = tuple(parts)

    def forward(self, state: State, x: Any, observation: Observation) -> tuple[State, Any]:
        """Return the shares `(R, C)` of the channels in rows of visible units `(R, V)`.

        Arguments as `Stage.forward` has them.
        """
        return {}, self.attribute(x)

    def attribute(self, visible: Any) -> Any:
        """Return the shares of the channels in the free energy of rows.

        Args:
            visible: Visible units, shape `(B, V)`, float32.

        Returns:
            Shares of shape `(B, C)`, float64, each >= 0, every row summing to 1; a row's bits do
            not depend on the batch.
        """
        tiles = [
            self._attribute(visible[start : start + _TILE_ROWS])
            for start in range(0, max(len(visible), 1), _TILE_ROWS)
        ]
        return tiles[0] if len(tiles) == 1 else ops.concatenate(tiles)

    def _attribute(self, visible: Any) -> Any:
        """Return the shares of the channels in the free energy of some rows."""
        drive = self.frozen.drive(visible)
        energy = sum_of_softplus(drive)
        gains = [0.0 * energy] * self.n_channels  # a channel without units keeps 0
        for part in self.parts:
            values = ops.take(visible, part.columns, 1)
            values = ops.reshape(values, (len(values), len(part.channels), -1))
            values = ops.ascontiguous(ops.transpose(values, (1, 0, 2)))
            drive_without = drive - ops.exact_matmul(values, part.into)
            expected = ops.exact_matmul(ops.exact_sigmoid(drive_without), part.back) + part.bias
            replaced = drive_without + ops.exact_matmul(expected, part.into)
            departure = ops.square((values - part.bias) * part.precision)
            expected_departure = ops.square((expected - part.bias) * part.precision)
            quadratic = 0.5 * ops.sum(departure - expected_departure, axis=-1)
            gained = quadratic - energy + sum_of_softplus(replaced)
            for i, channel in enumerate(part.channels):
                gains[channel] = gained[i]
        gain = ops.maximum(ops.astype(ops.stack(gains, axis=1), "float64"), 0.0)
        total = ops.sum(gain, axis=1)[:, None]
        even = ops.where(total > 0, 0.0 * gain, 0.0 * gain + 1.0 / self.n_channels)
        return ops.where(total > 0, gain / ops.where(total > 0, total, 1.0), even)


def channel_weights(severities: Any, lead: Any, shares: Any) -> Any:
    """Return the share of each channel in rows with channel evidence, `(B, C)`, float64.

    A row that one channel leads is shared out by the probabilities of the channels, and its lead
    has the largest share. A row that all channels lead together keeps their shares in the free
    energy.

    Args:
        severities: Severity of each group, `(B, G)`.
        lead: Leading group, `(B,)`.
        shares: Share of each channel in the free energy, `(B, C)`; only rows that all channels
            lead are read.
    """
    count = shares.shape[1]
    channel_weight = 1.0 / tail_probability(severities[:, :count])
    channel_weight = np.where(
        np.arange(count)[None, :] == lead[:, None],
        channel_weight.max(axis=1)[:, None] + channel_weight,
        channel_weight,
    )
    return np.where(
        (lead < count)[:, None], channel_weight / channel_weight.sum(axis=1)[:, None], shares
    )

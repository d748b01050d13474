"""Coverage of usual bands, and the band of normal noise, with which a component begins."""

from __future__ import annotations

from typing import Any, Final

from ember_core import ops

COVERAGE: Final = 0.95
"""Share of usual rows that lie between the bounds of their band, by channel."""
_NOISE: Final = 1.96
"""Deviations to each side of the mean between which that share of normal noise lies."""


def band_of_noise(n_channels: int) -> Any:
    """Return the bounds of normal noise in its own deviations, `(2, C)`: lower and upper.

    Args:
        n_channels: Number of channels `C`.
    """
    return ops.stack([ops.full((n_channels,), -_NOISE), ops.full((n_channels,), _NOISE)], axis=0)

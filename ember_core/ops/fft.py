"""Fourier transform of real series."""

from __future__ import annotations

from .dispatch import BY_TYPE, Array


def rfft(x: Array, axis: int = -1) -> Array:
    """Complex amplitudes of the frequencies 0 to `T // 2` of a real series of length T.

    MLX computes it in float32 whatever the dtype of `x`.
    """
    return BY_TYPE[type(x)].rfft(x, axis)


def irfft(x: Array, n: int, axis: int = -1) -> Array:
    """The real series of length `n` whose amplitudes are `x`: the inverse of `rfft`.

    Args:
        x: Complex amplitudes, `n // 2 + 1` along `axis`.
        n: Length of the series.
        axis: The axis of the amplitudes.
    """
    return BY_TYPE[type(x)].irfft(x, n, axis)

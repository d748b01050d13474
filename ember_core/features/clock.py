"""Time of day as sines and cosines, where the data has a period."""

from __future__ import annotations

from typing import Any

import numpy as np

from ember_core import ops
from ember_core.nn import Module


class Clock(Module):
    """`sin(2 pi k t / P)` and `cos(2 pi k t / P)` for each period `P` and harmonic `k`.

    Args:
        periods_seconds: Periods found in training; none gives no columns.
        harmonics: Harmonics of each period.
    """

    def __init__(self, periods_seconds: tuple[float, ...] = (), harmonics: int = 2) -> None:
        super().__init__()
        self.periods_seconds = tuple(float(p) for p in periods_seconds)
        self.harmonics = harmonics
        self.n_features = 2 * harmonics * len(self.periods_seconds)

    def get_config(self) -> dict[str, Any]:
        """Arguments that make an equal component."""
        return {"periods_seconds": list(self.periods_seconds), "harmonics": self.harmonics}

    def forward(self, time_us: Any) -> Any:
        """Clock features of event times.

        Args:
            time_us: Event times, shape `(B,)`, int64 microseconds since the epoch.

        Returns:
            float32 of shape `(B, 2 * harmonics * len(periods_seconds))`.
        """
        columns = []
        for period in self.periods_seconds:
            period_us = max(1, round(period * 1e6))
            phase = ops.astype(time_us % period_us, "float64") * (2.0 * np.pi / period_us)
            for k in range(1, self.harmonics + 1):
                columns += [ops.sin(k * phase), ops.cos(k * phase)]
        if not columns:
            return ops.astype(time_us[:, None][:, :0], "float32")
        return ops.astype(ops.stack(columns, axis=1), "float32")


def find_period(series: Any, minimum: int = 8, strength: float = 0.3) -> int | None:
    """Dominant period of a group of evenly sampled series, in rows.

    The candidate is the largest peak of the mean autocorrelation beyond its first zero crossing;
    it counts when its correlation reaches `strength`, at least three cycles fit in, and it stands
    above the autocorrelation half a period away.

    Args:
        series: Shape `(T, K)`: standardised series, NaN-free.
        minimum: Shortest period looked for, in rows.
        strength: Smallest autocorrelation at the peak.

    Returns:
        The period in rows, or None where there is none.
    """
    x = np.asarray(series, dtype=np.float64)
    n = x.shape[0]
    if n < 4 * minimum or x.shape[1] == 0:
        return None
    # the trend would hide the period behind a slowly falling autocorrelation
    width = max(3, n // 3)
    kernel_sum = np.cumsum(np.vstack([np.zeros((1, x.shape[1])), x]), axis=0)
    half = width // 2
    lo, hi = np.maximum(np.arange(n) - half, 0), np.minimum(np.arange(n) + half + 1, n)
    x = x - (kernel_sum[hi] - kernel_sum[lo]) / (hi - lo)[:, None]
    size = 1 << (2 * n - 1).bit_length()
    spectrum = np.fft.rfft(x, size, axis=0)
    correlation = np.fft.irfft(np.abs(spectrum) ** 2, size, axis=0)[:n]
    power = correlation[0]
    alive = power > 1e-9
    if not alive.any():
        return None
    unbiased = correlation[:, alive] / power[alive] * (n / (n - np.arange(n)))[:, None]
    mean = unbiased.mean(axis=1)
    limit = n // 3
    below = np.flatnonzero(mean[:limit] < 0)
    if below.size == 0:
        return None
    start = max(minimum, int(below[0]))
    if start >= limit:
        return None
    peak = start + int(np.argmax(mean[start:limit]))
    trough = mean[peak // 2]
    if mean[peak] < strength or mean[peak] - trough < strength:
        return None
    return peak
